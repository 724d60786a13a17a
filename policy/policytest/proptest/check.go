package proptest

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/pipeline"
)

// Check runs the pipelines that build makes against Cases, ten thousand of them, which takes a second or two, and fails
// tb with the smallest case it can find in which a property does not hold. Under the race detector it is three hundred.
// build is called for every run, and must make everything anew, circuits and budgets too. Where no properties are given,
// they are KeepsResults, KeepsBounds and NothingLeft.
//
// A case in which nothing happens for 10 seconds of real time fails as it is, and says where the pipeline waits. Check does
// not look at the lints of Explain. rapid keeps the bits of what it finds in testdata/rapid beside the test: leave that
// folder out of version control, and keep the test that Check prints.
//
// The flag -rapid.checks says how many cases to try, -rapid.seed where to begin.
func Check[T any](tb testing.TB, build func(Env) pipeline.Pipeline[T], properties ...Property) {
	tb.Helper()
	CheckOf(tb, Cases(), build, properties...)
}

// CheckOf is Check with cases of one's own.
func CheckOf[T any](tb testing.TB, cases *rapid.Generator[Case], build func(Env) pipeline.Pipeline[T], properties ...Property) {
	tb.Helper()
	found, err := search(tb.Name(), cases, build, properties)
	switch {
	case err != nil:
		tb.Fatal(err)
	case found != nil:
		tb.Fatal(found.report())
	}
}

// Replay runs the pipeline that build makes against one case, and fails tb with its timeline if a property does not
// hold. It is what Check prints, for what it has found.
func Replay[T any](tb testing.TB, c Case, build func(Env) pipeline.Pipeline[T], properties ...Property) {
	tb.Helper()
	if found := judge(c, build, properties); found != nil {
		tb.Fatal(found.report())
	}
}

// A finding is a run in which properties do not hold.
type finding struct {
	*Run
	found      bool // by a search, and not given
	properties []Property
	broken     []string // names of those that do not hold
	errs       []error  // why
}

// judge runs a case, and says what is wrong with the run, or nil.
func judge[T any](c Case, build func(Env) pipeline.Pipeline[T], properties []Property) *finding {
	if len(properties) == 0 {
		properties = []Property{KeepsResults(), KeepsBounds(), NothingLeft()}
	}
	var probe time.Duration
	for _, p := range properties {
		if p.Judge == nil {
			panic(fmt.Errorf("the property %q has no Judge", p.Name))
		}
		probe = max(probe, p.Probe)
	}
	f := &finding{Run: run(c, build, probe), properties: properties}
	if err := f.Run.broken; err != nil {
		f.broken, f.errs = []string{"the run"}, []error{err}
		return f
	}
	for _, p := range properties {
		judged := f.Run
		if p.Probe > 0 && p.Probe < probe { // its last probe is another
			judged = run(c, build, p.Probe)
		}
		if err := p.Judge(judged); err != nil {
			f.broken, f.errs = append(f.broken, p.Name), append(f.errs, fmt.Errorf("%s does not hold: %w", p.Name, err))
		}
	}
	if len(f.errs) == 0 {
		return nil
	}
	return f
}

// search is the smallest finding among the cases, or nil. The error says why the search itself came to nothing.
func search[T any](test string, cases *rapid.Generator[Case], build func(Env) pipeline.Pipeline[T], properties []Property) (*finding, error) {
	var latest *finding
	times := rounds
	if checks := flag.Lookup("rapid.checks"); checks != nil && checks.Value.String() != checks.DefValue {
		times = 1
	}
	for range times {
		t := &quiet{name: test}
		t.check(func(t *rapid.T) {
			if latest != nil && latest.hangs {
				return // each smaller case would take as long to find out about
			}
			if f := judge(cases.Draw(t, "case"), build, properties); f != nil {
				latest = f // rapid ends with the smallest
				t.Fatal(errors.Join(f.errs...))
			}
		})
		if t.failed && latest == nil {
			return nil, fmt.Errorf("proptest: the cases could not be tried: %s", strings.Join(t.said, "\n"))
		}
		if t.failed {
			break
		}
	}
	if latest != nil {
		if !latest.hangs {
			latest = smallest(latest, build)
		}
		latest.found = true
	}
	return latest, nil
}

// effort is how many cases are tried to make a finding smaller.
const effort = 5000

// smallest is a finding of the same kind in a case that no step makes simpler.
func smallest[T any](f *finding, build func(Env) pipeline.Pipeline[T]) *finding {
	effort := effort
again:
	for c := range f.Case.smaller() {
		if effort--; effort < 0 {
			return f
		}
		if found := judge(c, build, f.properties); found != nil && slices.Contains(found.broken, f.broken[0]) {
			f = found
			goto again
		}
	}
	return f
}

// report is all that there is to say about a finding.
func (f *finding) report() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%v\n\nThe dependency: %s\n\n", errors.Join(f.errs...), f.schedule())
	for _, line := range f.lines {
		text.WriteString("    " + line + "\n")
	}
	if !f.found {
		return text.String()
	}
	names := make([]string, len(f.properties))
	for i, p := range f.properties {
		names[i] = p.Name
	}
	body := strings.ReplaceAll(fmt.Sprintf("%#v", f.Case), "\n", "\n\t")
	fmt.Fprintf(&text, "\nTo see it again, with the build func of this test:\n\nfunc TestAgain(t *testing.T) {\n\tproptest.Replay(t, %s, build, %s)\n}\n", body, strings.Join(names, ", "))
	return text.String()
}

func (f *finding) schedule() string {
	if f.Case.Schedule == nil || f.Case.Schedule.String() == "" {
		return "always ok"
	}
	return f.Case.Schedule.String()
}

// quiet is a test that keeps to itself what rapid has to say.
type quiet struct {
	rapid.TB
	name   string
	failed bool
	said   []string
}

// check is rapid.Check, without ending the goroutine.
func (q *quiet) check(property func(*rapid.T)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		rapid.Check(q, property)
	}()
	<-done
}

func (q *quiet) Helper()      {}
func (q *quiet) Name() string { return q.name }
func (q *quiet) Logf(format string, args ...any) {
	q.said = append(q.said, fmt.Sprintf(format, args...))
}
func (q *quiet) Log(args ...any) { q.said = append(q.said, fmt.Sprint(args...)) }
func (q *quiet) Errorf(format string, args ...any) {
	q.Logf(format, args...)
	q.failed = true
}
func (q *quiet) Error(args ...any) { q.Log(args...); q.failed = true }
func (q *quiet) Fail()             { q.failed = true }
func (q *quiet) Failed() bool      { return q.failed }
func (q *quiet) FailNow()          { q.failed = true; runtime.Goexit() }
