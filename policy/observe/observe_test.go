package observe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/observe"
)

// plain is a logger without times.
func plain(w *bytes.Buffer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// One line an event, at the level it deserves, with what is zero left out.
func TestLogWritesALinePerEvent(t *testing.T) {
	var out bytes.Buffer
	o := observe.Log(plain(&out, slog.LevelDebug))
	ctx := t.Context()
	o.Observe(ctx, policy.Event{Kind: policy.GaveUp, Pipeline: "users", Policy: "retry", Name: "r", Attempt: 3, Err: errors.New("down"), Reason: policy.AttemptsSpent})
	o.Observe(ctx, policy.Event{Kind: policy.Retrying, Policy: "retry", Attempt: 1, Delay: time.Second})
	o.Observe(ctx, policy.Event{Kind: policy.Finished, Attempt: 1, Outcome: policy.Success, Elapsed: time.Minute})
	require.Equal(t, strings.Join([]string{
		`level=WARN msg="gave up" pipeline=users policy=retry name=r attempt=3 outcome="transient failure" err=down reason="attempts spent"`,
		`level=INFO msg=retrying policy=retry attempt=1 outcome="transient failure" delay=1s`,
		`level=DEBUG msg=finished attempt=1 outcome=success elapsed=1m0s`,
		``,
	}, "\n"), out.String())
}

// Opening is a warning, the rest is information.
func TestChangesWritesALinePerChange(t *testing.T) {
	var out bytes.Buffer
	f := observe.Changes(plain(&out, slog.LevelDebug))
	f(policy.Change{Circuit: "db", From: policy.Closed, To: policy.Open, Generation: 2, Cause: errors.New("down")})
	f(policy.Change{From: policy.HalfOpen, To: policy.Closed, Generation: 4})
	require.Equal(t, strings.Join([]string{
		`level=WARN msg="circuit open" circuit=db from=closed to=open generation=2 cause=down`,
		`level=INFO msg="circuit closed" from=half-open to=closed generation=4`,
		``,
	}, "\n"), out.String())
	out.Reset()
	observe.Changes(plain(&out, slog.LevelError))(policy.Change{To: policy.Open})
	require.Empty(t, out.String())
}

// A level that is not enabled costs no allocation, and a nil logger is the default of the moment.
func TestLogCostsNothingWhereNobodyReads(t *testing.T) {
	var out bytes.Buffer
	o := observe.Log(plain(&out, slog.LevelError))
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(100, func() { o.Observe(ctx, policy.Event{Kind: policy.GaveUp, Err: context.Canceled}) }))
	require.Empty(t, out.String())

	before := slog.Default()
	defer slog.SetDefault(before)
	o = observe.Log(nil)
	f := observe.Changes(nil)
	slog.SetDefault(plain(&out, slog.LevelDebug))
	o.Observe(ctx, policy.Event{Kind: policy.GaveUp})
	f(policy.Change{To: policy.Open})
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
}

func ExampleLog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	p := pipeline.Wrap(&policy.Retry[int]{Attempts: 2, Backoff: policy.Constant(time.Second), Clock: clock.NewVirtual()}).
		Named("users").Observe(observe.Log(logger))
	_, err := p.Do(context.Background(), func(context.Context) (int, error) { return 0, errors.New("down") })
	fmt.Println(err)
	// Output:
	// level=INFO msg=retrying pipeline=users policy=retry attempt=1 outcome="transient failure" err=down delay=1s
	// level=WARN msg="gave up" pipeline=users policy=retry attempt=2 outcome="transient failure" err=down reason="attempts spent"
	// down
}
