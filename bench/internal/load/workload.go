package load

import (
	"context"
	"strconv"
)

// The names of workloads. They are stable: bounds and results are kept by them.
const (
	Direct         = "direct call"
	ClockRead      = "clock read"
	Retry          = "retry"
	Breaker        = "breaker"
	BreakerCount   = "breaker, count window"
	BreakerTime    = "breaker, time window"
	BreakerSlow    = "breaker, slow calls"
	Fallback       = "fallback"
	Timeout        = "timeout"
	TimeoutDone    = "timeout, func asks for Done"
	Three          = "fallback ∘ retry ∘ breaker"
	ThreeRequest   = "the three, in a request"
	Four           = "the three ∘ timeout"
	Refusal        = "refusal by an open circuit"
	Failing        = "3 failed retries"
	CaptureRetry   = "retry, capturing func"
	CaptureBreaker = "breaker, capturing func"
	CaptureThree   = "the three, capturing func"
	BlockRetry     = "retry, 256-byte result"
	BlockBreaker   = "breaker, 256-byte result"
	BlockThree     = "the three, 256-byte result"
	Shared         = "one circuit, two result types"
	Budgeted       = "retry with a budget"
	Bulkhead       = "bulkhead"
	RateLimit      = "rate limit"
	Adaptive       = "adaptive limit"
	Shed           = "throttle"
	Hedge          = "hedge"
	Stale          = "stale value"
	Dedupe         = "dedupe"
)

// Layers is the workload of n policies that do nothing.
func Layers(n int) string { return strconv.Itoa(n) + " pass-through layers" }

// MostLayers is how many pass-through layers are measured at most.
const MostLayers = 8

// A Workload is a row of the table.
type Workload struct {
	Name    string
	Means   string // the configuration, in words
	Work    func() Work
	Context func() (context.Context, context.CancelFunc) // that each call is made in; nil means Background
	Calls   int                                          // of the dependency, by one Op

	// What it must do besides answering, when the dependency does not behave.
	Retries, Opens, Answers, TimesOut bool
}

// All are the workloads, in the order of the table.
func All() []Workload {
	all := []Workload{
		{Name: Direct, Means: "the func itself, called through a variable: the unit of everything here"},
		{Name: ClockRead, Means: "one reading of the monotonic clock, and the call"},
	}
	for n := range MostLayers + 1 {
		all = append(all, Workload{Name: Layers(n), Means: "policies that only call on"})
	}
	all = append(all,
		Workload{Name: Retry, Means: "up to 4 attempts; the first succeeds", Retries: true},
		Workload{Name: Breaker, Means: "opens at 5 failures in a row", Opens: true},
		Workload{Name: BreakerCount, Means: "opens at 50 % of the last 100 calls", Opens: true},
		Workload{Name: BreakerTime, Means: "opens at 50 % of at least 20 calls within 10 s", Opens: true},
		Workload{Name: BreakerSlow, Means: "a call that lasts a second counts as failed while it is running", Opens: true},
		Workload{Name: Fallback, Means: "answers in place of an error", Answers: true},
		Workload{Name: Timeout, Means: "1 s, around a func that does not look at its context", TimesOut: true},
		Workload{Name: TimeoutDone, Means: "1 s, around a func that asks its context for Done", Work: asking, TimesOut: true},
		Workload{Name: Three, Means: "all three, on success", Retries: true, Opens: true, Answers: true},
		Workload{Name: ThreeRequest, Means: "the same in a context ten deep, as a server's are", Context: request, Retries: true, Opens: true, Answers: true},
		Workload{Name: Four, Means: "the same with a timeout of 1 s for each attempt", Retries: true, Opens: true, Answers: true, TimesOut: true},
		Workload{Name: Refusal, Means: "and finding out by errors.Is that it is one", Calls: -1},
		Workload{Name: Failing, Means: "4 attempts that fail, no wait, and errors.Is", Work: Down, Calls: 4},
		Workload{Name: CaptureRetry, Means: "the func is made for each call, out of what it captures", Retries: true},
		Workload{Name: CaptureBreaker, Means: "the func is made for each call, out of what it captures", Opens: true},
		Workload{Name: CaptureThree, Means: "the func is made for each call, out of what it captures", Retries: true, Opens: true, Answers: true},
		Workload{Name: BlockRetry, Means: "a result that takes time to copy", Retries: true},
		Workload{Name: BlockBreaker, Means: "a result that takes time to copy", Opens: true},
		Workload{Name: BlockThree, Means: "a result that takes time to copy", Retries: true, Opens: true, Answers: true},
		Workload{Name: Shared, Means: "two calls, an int's and a block's, by one breaker", Calls: 2, Opens: true},
		Workload{Name: Budgeted, Means: "up to 4 attempts, the further ones a tenth of the calls at most; the first succeeds"},
		Workload{Name: Bulkhead, Means: "100 calls at once, nobody waits"},
		Workload{Name: RateLimit, Means: "more calls a second than are made"},
		Workload{Name: Adaptive, Means: "as many calls at once as latencies allow"},
		Workload{Name: Shed, Means: "refuses calls as the dependency does"},
		Workload{Name: Hedge, Means: "another call after a second; the first answers before"},
		Workload{Name: Stale, Means: "keeps the answer for when there is none"},
		Workload{Name: Dedupe, Means: "nobody else asks for the same meanwhile"},
	)
	for i := range all {
		w := &all[i]
		if w.Work == nil {
			w.Work = Healthy
		}
		if w.Context == nil {
			w.Context = background
		}
		w.Calls = max(0, w.Calls+btoi(w.Calls == 0))
	}
	return all
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func asking() Work {
	w := Healthy()
	w.Call = asks
	return w
}

func background() (context.Context, context.CancelFunc) { return context.Background(), func() {} }

type valueKey string

// request returns a context ten deep, as a server's handlers run in: the server's values, one context that is canceled for
// the connection and one for the request, and what middleware adds to that.
func request() (context.Context, context.CancelFunc) {
	ctx := withValues(context.Background(), "server", "address")
	ctx, hangUp := context.WithCancel(ctx)
	ctx, done := context.WithCancel(ctx)
	return withValues(ctx, "route", "trace", "span", "logger", "user", "tenant"), func() { done(); hangUp() }
}

func withValues(ctx context.Context, values ...string) context.Context {
	if len(values) == 0 {
		return ctx
	}
	return withValues(context.WithValue(ctx, valueKey(values[0]), values[0]), values[1:]...)
}
