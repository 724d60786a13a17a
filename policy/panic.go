package policy

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// A Panic carries a panic from the goroutine where it happened to the one that waits for it, which panics with it.
type Panic struct {
	Value any    // what panic was called with
	Stack []byte // where, as debug.Stack prints it

	hook bool // an observer or another hook panicked, not the call
}

// caught returns the panic that is under way as a Panic. It must be called by a deferred func, with what recover returned.
func caught(value any) *Panic {
	return &Panic{Value: value, Stack: debug.Stack(), hook: hookPanicked()}
}

func (p *Panic) Error() string {
	if p == nil {
		return nothing
	}
	return fmt.Sprintf("%v\n\noriginal stack:\n%s", p.Value, p.Stack)
}

// Unwrap returns the Value if it is an error.
func (p *Panic) Unwrap() error {
	if p == nil {
		return nil
	}
	err, _ := p.Value.(error)
	return err
}

// raise panics with p on the goroutine that waited.
func (p *Panic) raise() {
	if p.hook {
		p.raiseHook()
	}
	panic(p)
}

// raiseHook is raise for the panic of a hook. hookPanicked knows it by its name.
func (p *Panic) raiseHook() { panic(p) }

// late emits the panic of a call that has no caller to panic on any more.
func late[T any](ctx context.Context, next Next[T], policy, name string, p *Panic) {
	next.Emit(ctx, Event{Kind: Panicked, Policy: policy, Name: name, Outcome: TransientFailure, Err: p})
}

// unwound returns the outcome of a call that did not return: it panicked, or ended its goroutine. That is a failure of
// the dependency, unless the caller has been canceled or it was a hook's doing. It must be called by a deferred func.
func unwound(ctx context.Context) Outcome {
	if canceled(ctx) || hookPanicked() {
		return Ignored
	}
	return TransientFailure
}

// mostFrames is how many frames hookPanicked looks at.
const mostFrames = 512

// hookPanicked reports whether the panic or runtime.Goexit under way began in an observer or in a circuit's OnChange,
// and not in the call. The frames of what panicked are still on the stack while deferred funcs run: the one that comes
// first, counted from the panic, decides. To look at them costs nothing unless something panics, and leaves the panic and
// its trace as they are.
func hookPanicked() bool {
	const own = "github.com/holdfast-go/holdfast/policy."
	var pcs [mostFrames]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		switch name, ours := strings.CutPrefix(frame.Function, own); {
		case !ours:
		case name == "(*Scope).notify", name == "(*Circuit).tellNext", name == "(*Panic).raiseHook":
			return true
		case name == "Next[...].Do", name == "(*Circuit).Do":
			return false
		}
		if !more {
			return false
		}
	}
}
