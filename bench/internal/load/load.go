// Package load says what is measured: workloads, the call they make, and what a library must do to take part.
package load

import (
	"context"
	"errors"
	"time"
)

// An Op is a workload as one library does it: one call of it is what is timed. It returns Answer and no error if all
// went as the workload wants, so that whoever does something else is found out on every call.
type Op func(ctx context.Context) (int, error)

// A Peer is a library, or a way of doing without one.
type Peer interface {
	// Name is what tables call it.
	Name() string
	// Modules are the modules it is made of, whose versions a report names.
	Modules() []string
	// Op is the workload of that name around work, or nil where the library has nothing of the kind.
	Op(name string, work Work) Op
	// Notes are what the library does otherwise than the workload says, and why it may be quicker.
	Notes(name string) []string
}

// Work is the call that a workload protects, in the shapes that workloads need.
type Work struct {
	Call  func(context.Context) (int, error)
	Block func(context.Context) (Block, error)
	Fetch func(ctx context.Context, key int) (int, error)
	Limit time.Duration // for timeouts
}

// A Block is a result that is expensive to copy. Its last byte counts.
type Block [256]byte

// What comes back, and what everybody is configured with.
const (
	Answer    = 42  // the dependency's
	Guest     = 7   // the fallback's
	Attempts  = 4   // calls a retry makes at most
	Threshold = 5   // failures in a row that open a breaker
	Last      = 100 // calls in a count window
	MinCalls  = 20  // calls in a time window that are enough to judge
	Ratio     = 0.5 // of failures that opens a window's breaker
	Base      = time.Millisecond
	Longest   = 20 * time.Millisecond
	Window    = 10 * time.Second
	Cooldown  = time.Hour
	Rate      = 100_000_000 // calls a second
	Burst     = 1_000_000   // calls at once
)

// ErrDown is what a failing dependency returns.
var ErrDown = errors.New("the dependency is down")

// Key is captured by the funcs that capture. It is a variable so that the compiler cannot fold it.
var Key = 3

// Healthy is work that answers at once: what is left of an Op's time is what protecting it costs.
func Healthy() Work { return Work{answer, block, fetch, time.Second} }

// Down is work that fails at once.
func Down() Work {
	return Work{
		Call:  down,
		Block: func(context.Context) (Block, error) { return Block{}, ErrDown },
		Fetch: func(context.Context, int) (int, error) { return 0, ErrDown },
		Limit: time.Second,
	}
}

func answer(context.Context) (int, error) { return Answer, nil }

func block(context.Context) (b Block, err error) {
	b[len(b)-1] = Answer
	return b, nil
}

func fetch(_ context.Context, key int) (int, error) { return Answer + key - Key, nil }

func down(context.Context) (int, error) { return 0, ErrDown }

// asks is work that waits by its context, though never for long: it asks for Done.
func asks(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	default:
		return Answer, nil
	}
}
