package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A suite is the tests that are to notice.
type suite struct {
	dir   string
	also  []string
	limit time.Duration
	files []*file

	temp   string
	binary string             // of all mutants that share a build
	rapid  bool               // the tests know rapid's flags
	took   map[string]float64 // by test, in seconds, without a mutant
	tests  map[int][]string   // those that come by a mutant
}

type verdict int

const (
	senseless verdict = iota // it does not compile
	unnoticed
	noticed
	endless
)

// run tries the mutants, and prints which survive.
func run(s suite, workers int) (err error) {
	if s.temp, err = os.MkdirTemp("", "mutate"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(s.temp) }()
	if err := s.prepare(); err != nil {
		return err
	}
	var all []*mutant
	for _, f := range s.files {
		all = append(all, f.mutants...)
	}
	count := tally{start: time.Now(), of: len(all), byFile: map[string][2]int{}}
	queue := make(chan *mutant)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for m := range queue {
				count.add(m, s.try(m))
			}
		})
	}
	for _, m := range all {
		queue <- m
	}
	close(queue)
	wg.Wait()
	count.print()
	return nil
}

// A tally counts verdicts.
type tally struct {
	start time.Time
	of    int

	mu                         sync.Mutex // guards the fields below
	done, killed, lived, stuck int
	byFile                     map[string][2]int // noticed, and all
}

func (t *tally) add(m *mutant, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	name := filepath.Base(m.file.path)
	n := t.byFile[name]
	switch v {
	case noticed:
		t.killed++
		n[0]++
	case endless:
		t.stuck++
		n[0]++
	case unnoticed:
		t.lived++
		fmt.Println("survived", m)
	case senseless:
		n[1]--
	}
	n[1]++
	t.byFile[name] = n
	left := time.Since(t.start) / time.Duration(t.done) * time.Duration(t.of-t.done)
	fmt.Fprintf(os.Stderr, "\r%d of %d tried, %d survived, %v left   ", t.done, t.of, t.lived, left.Round(time.Second))
}

func (t *tally) print() {
	fmt.Println()
	for name, n := range t.byFile {
		fmt.Printf("%4d of %4d  %s\n", n[0], n[1], name)
	}
	total := t.killed + t.stuck + t.lived
	fmt.Printf("%d of %d noticed (%.1f %%): %d by failing tests, %d by tests that did not end; %d survived\n",
		t.killed+t.stuck, total, 100*float64(t.killed+t.stuck)/float64(max(1, total)), t.killed, t.stuck, t.lived)
}

// drop takes a mutant off its site.
func (s *site) drop(m *mutant) {
	s.mutants = slices.DeleteFunc(s.mutants, func(other *mutant) bool { return other == m })
}

// apart gives a mutant a build of its own.
func (m *mutant) apart() {
	if m.site != nil {
		m.site.drop(m)
		m.site = nil
	}
}

// prepare builds the mutants that can share a build, and finds out which tests come by them. Those that do not compile
// beside the others get a build of their own.
func (s *suite) prepare() error {
	name, err := s.output("go", "list", "-f", "{{.Name}}", ".")
	if err != nil {
		return err
	}
	for _, f := range s.files {
		for _, m := range f.mutants {
			if m.site != nil && m.site.kind == isOperation && (operations[m.was] == "" || operations[m.with] == "") {
				m.apart()
			}
		}
	}
	deps, err := s.output("go", "list", "-test", "-deps", ".")
	if err != nil {
		return err
	}
	s.rapid = strings.Contains(deps, "pgregory.net/rapid\n")
	s.binary = filepath.Join(s.temp, "tests")
	for {
		path, err := overlay(s.dir, strings.TrimSpace(name), s.temp, s.files)
		if err != nil {
			return err
		}
		text, err := s.output("go", "test", "-c", "-vet=off", "-gcflags=-e", "-overlay", path, "-o", s.binary, ".")
		if err == nil {
			break
		}
		if !s.repair(text) {
			return fmt.Errorf("the mutants do not compile:\n%s", text)
		}
	}
	return s.cover()
}

var complaint = regexp.MustCompile(`([a-z_0-9A-Z]+\.go):(\d+)`)

// repair sets apart the mutants of the lines that the compiler complains about. Schemas keep the lines of their source.
func (s *suite) repair(text string) (changed bool) {
	for _, at := range complaint.FindAllStringSubmatch(text, -1) {
		line, _ := strconv.Atoi(at[2])
		for _, f := range s.files {
			if filepath.Base(f.path) != at[1] {
				continue
			}
			for _, m := range f.mutants {
				if m.site != nil && m.at.Line <= line && line <= m.at.Line+strings.Count(f.source[m.site.from:m.site.to], "\n") {
					m.apart()
					changed = true
				}
			}
		}
	}
	return changed
}

// cover runs every test by itself, to see how long it takes and which mutants it comes by. A test that fails because of the
// build, such as one that counts allocations, is left to the mutants with a build of their own.
func (s *suite) cover() error {
	list, err := s.output(s.binary, "-test.list", ".")
	if err != nil {
		return errors.New(list)
	}
	s.took, s.tests = map[string]float64{}, map[int][]string{}
	log := filepath.Join(s.temp, "log")
	for _, test := range strings.Fields(list) {
		if !strings.HasPrefix(test, "Test") && !strings.HasPrefix(test, "Example") && !strings.HasPrefix(test, "Fuzz") {
			continue
		}
		_ = os.Remove(log)
		start := time.Now()
		if s.command([]string{"MUTANT_LOG=" + log}, s.limit, s.binary, "-test.run", "^"+test+"$") != unnoticed {
			continue
		}
		s.took[test] = time.Since(start).Seconds()
		seen, err := os.Open(log)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(seen); lines.Scan(); {
			id, _ := strconv.Atoi(lines.Text())
			if !slices.Contains(s.tests[id], test) {
				s.tests[id] = append(s.tests[id], test)
			}
		}
		_ = seen.Close()
		fmt.Fprintf(os.Stderr, "\r%d tests run without a mutant   ", len(s.took))
	}
	return nil
}

// try finds out whether the tests notice a mutant.
func (s *suite) try(m *mutant) verdict {
	if m.site != nil {
		if v := s.shared(m); v != unnoticed {
			return v
		}
	}
	return s.alone(m) // all tests have a look, those too that the shared build disturbs
}

// shared tries a mutant of the shared build by the tests that come by it, the quick ones first.
func (s *suite) shared(m *mutant) verdict {
	const quick = 0.2 // seconds
	var groups [2][]string
	var seconds [2]float64
	for _, test := range s.tests[m.id] {
		i := 0
		if s.took[test] > quick {
			i = 1
		}
		groups[i] = append(groups[i], test)
		seconds[i] += s.took[test]
	}
	for i, tests := range groups {
		if len(tests) == 0 {
			continue
		}
		limit := min(s.limit, time.Duration(4*seconds[i]*float64(time.Second))+3*time.Second)
		v := s.command([]string{"MUTANT=" + strconv.Itoa(m.id)}, limit, s.binary, "-test.failfast",
			"-test.run", "^("+strings.Join(tests, "|")+")$")
		if v != unnoticed {
			return v
		}
	}
	return unnoticed
}

// alone builds the tests with a mutant in place of the file, and runs them.
func (s *suite) alone(m *mutant) verdict {
	temp, err := os.MkdirTemp(s.temp, "alone")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	abs, err := filepath.Abs(m.file.path)
	if err != nil {
		panic(err)
	}
	mutated, tests := filepath.Join(temp, "mutated.go"), filepath.Join(temp, "tests")
	source := m.file.source[:m.from] + m.with + m.file.source[m.to:]
	overlay, err := writeOverlay(temp, map[string]string{abs: mutated})
	if err := errors.Join(err, os.WriteFile(mutated, []byte(source), 0o600)); err != nil {
		panic(err)
	}
	if _, err := s.output("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", tests, "."); err != nil {
		return senseless
	}
	own := s.command(nil, s.limit, tests, "-test.failfast")
	if own != unnoticed || len(s.also) == 0 {
		return own
	}
	root, err := s.output("go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		panic(err)
	}
	others := append([]string{"-C", strings.TrimSpace(root), "test", "-vet=off", "-failfast", "-overlay", overlay}, s.also...)
	return s.command(nil, s.limit, "go", others...)
}

func writeOverlay(temp string, replace map[string]string) (string, error) {
	path := filepath.Join(temp, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	return path, errors.Join(err, os.WriteFile(path, text, 0o600))
}

// output runs a command in the package's folder.
func (s *suite) output(name string, args ...string) (string, error) {
	command := exec.Command(name, args...)
	command.Dir = s.dir
	var text bytes.Buffer
	command.Stdout, command.Stderr = &text, &text
	err := command.Run()
	return text.String(), err
}

// command runs tests, and returns what came of them.
func (s *suite) command(env []string, limit time.Duration, name string, args ...string) verdict {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if name != "go" && s.rapid {
		args = append(args, "-rapid.shrinktime=0", "-rapid.nofailfile")
	}
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = s.dir, append(os.Environ(), env...)
	switch err := command.Run(); {
	case err == nil:
		return unnoticed
	case ctx.Err() != nil:
		return endless
	default:
		return noticed
	}
}
