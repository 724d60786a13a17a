package linear_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/policy"
)

// An Allow of a bucket.
type take struct{ now int } // → 0 or ErrLimited

const (
	per   = 2 // units between two turns
	burst = 2
)

// A bucket is the model of a policy.Bucket: the turn after the last one taken, the callers that wait, first come first, and
// those whose turn came as they did.
type bucket struct {
	used    bool
	at      int
	waiting []int
	served  []int
}

// An arrive is a caller that takes a turn or waits for one; a come is its turn, and goes its end without one.
type (
	arrive struct{ now, id, patience int }
	come   struct{ id, at int }
	goes   struct{ id, at int }
)

func (b bucket) equal(o bucket) bool {
	return b.used == o.used && b.at == o.at && slices.Equal(b.waiting, o.waiting) && slices.Equal(b.served, o.served)
}

// due is the time of the turn that follows those of so many waiters.
func (b bucket) due(waiters int) int { return b.at + (waiters+1-burst)*per }

func (b bucket) next(in, out any) (bucket, bool) {
	switch in := in.(type) {
	case take: // by Allow
		b, due := b.begin(in.now)
		if len(b.waiting) > 0 || due > in.now {
			return b, out == policy.ErrLimited
		}
		b.at += per
		return b, out == 0
	case arrive:
		b, due := b.begin(in.now)
		switch {
		case len(b.waiting) == 0 && due <= in.now:
			if out == (gone{}) {
				return b, true // it was canceled before it came
			}
			b.at += per
			b.served = with(b.served, in.id)
		case due-in.now > in.patience:
			return b, out == policy.ErrLimited || out == gone{}
		default:
			b.waiting = with(b.waiting, in.id)
		}
		return b, out != policy.ErrLimited
	case come:
		if i := slices.Index(b.served, in.id); i >= 0 {
			b.served = without(b.served, i)
			return b, true
		}
		if len(b.waiting) == 0 || b.waiting[0] != in.id || b.due(0) > in.at {
			return b, false
		}
		b.at, b.waiting = b.at+per, without(b.waiting, 0)
		return b, true
	case goes:
		if i := slices.Index(b.waiting, in.id); i >= 0 {
			b.waiting = without(b.waiting, i)
		}
		return b, true
	}
	return b, false
}

// otherwise is a caller that was canceled before it came, or that left as its turn came, after others had been given
// theirs: that turn is lost.
func (b bucket) otherwise(in, out any) (bucket, bool) {
	if _, ok := in.(arrive); ok {
		return b, out == gone{}
	}
	left, ok := in.(goes)
	if !ok || len(b.waiting) == 0 || b.waiting[0] != left.id || b.due(0) > left.at {
		return b, false
	}
	b.at, b.waiting = b.at+per, without(b.waiting, 0)
	return b, true
}

// begin has the next turn keep up with now, unless callers wait for it, and returns when the turn after theirs is due.
func (b bucket) begin(now int) (bucket, int) {
	if !b.used || len(b.waiting) == 0 && b.at < now {
		b.used, b.at = true, now
	}
	return b, b.due(len(b.waiting))
}

// A limiter is a policy.Bucket, or a broken one.
type limiter interface {
	Allow() bool
	Acquire(context.Context) error
}

// bucketRun has goroutines take turns, wait for them, and go away before they come.
func bucketRun(build func(h *history) limiter, maxWait int, first porcupine.Model) run {
	return func(t *testing.T, seed uint64) (*history, porcupine.Model) {
		return record(t, seed, []int{1, 2, 3, 7}, func(h *history) (func(*worker), func()) {
			b := build(h)
			var mu sync.Mutex
			var cancels []context.CancelFunc
			allow := func() {
				now, began := h.now(), h.begin()
				var out any = 0
				if !b.Allow() {
					out = policy.ErrLimited
				}
				h.add(began, call(take{now: now}, out))
			}
			acquire := func() {
				ctx, cancel := context.WithCancel(context.Background())
				mu.Lock()
				cancels = append(cancels, cancel)
				mu.Unlock()
				now, began := h.now(), h.begin()
				in := arrive{now, int(began), maxWait}
				h.waiting.Add(1)
				err := b.Acquire(ctx)
				h.waiting.Add(-1)
				switch {
				case err == nil:
					h.add(began, call(in, nil), call(come{in.id, h.now()}, nil))
				case ctx.Err() == nil:
					h.add(began, call(in, reason(err)))
				default:
					h.add(began, call(in, gone{}), call(goes{in.id, h.now()}, nil))
				}
			}
			return func(w *worker) {
				for range 3 {
					switch n := w.IntN(10); {
					case n < 3:
						allow()
					case n < 7:
						acquire()
					default:
						mu.Lock()
						if len(cancels) > 0 {
							cancels[len(cancels)-1-w.IntN(min(2, len(cancels)))]()
						}
						mu.Unlock()
					}
				}
			}, allow
		}), first
	}
}

const patience = 5

func ourBucket(*history) limiter {
	return &policy.Bucket{Rate: 1, Per: per * unit, Burst: burst, MaxWait: patience * unit}
}

func TestBucketIsLinearizable(t *testing.T) {
	requireLinearizable(t, 1000, bucketRun(ourBucket, patience, model(bucket{})))
}

// A hasty bucket looks whether there is a turn, and then takes it: what happens in between, it does not see.
type hastyBucket struct {
	*history
	at atomic.Int64
}

func (b *hastyBucket) Allow() bool {
	now := int64(b.now())
	at := max(now, b.at.Load())
	if at-(burst-1)*per > now {
		return false
	}
	runtime.Gosched()
	b.at.Store(at + per)
	return true
}

func (b *hastyBucket) Acquire(context.Context) error {
	if !b.Allow() {
		return policy.ErrLimited
	}
	return nil
}

func TestTurnsInExcessAreFound(t *testing.T) {
	build := func(h *history) limiter { return &hastyBucket{history: h} }
	requireFound(t, 2000, bucketRun(build, 0, model(bucket{})))
}

// A faultyBucket is the model with a bug planted in it.
type faultyBucket struct {
	bucket
	bug func(before, after bucket, in any) bucket
}

func (f faultyBucket) equal(o faultyBucket) bool { return f.bucket.equal(o.bucket) }

func (f faultyBucket) next(in, out any) (faultyBucket, bool) {
	after, ok := f.bucket.next(in, out)
	f.bucket = f.bug(f.bucket, after, in)
	return f, ok
}

func (f faultyBucket) otherwise(in, out any) (faultyBucket, bool) {
	after, ok := f.bucket.otherwise(in, out)
	f.bucket = after
	return f, ok
}

func TestBugsInTheModelOfABucketAreFound(t *testing.T) {
	for name, bug := range map[string]func(before, after bucket, in any) bucket{
		"a turn is taken twice": func(before, after bucket, in any) bucket {
			if after.at > before.at && before.used {
				after.at += per
			}
			return after
		},
		"a waiter that leaves takes its turn with it": func(before, after bucket, in any) bucket {
			if _, ok := in.(goes); ok && len(after.waiting) < len(before.waiting) {
				after.at += per
			}
			return after
		},
		"those behind a waiter that leaves do not move up": func(before, after bucket, in any) bucket {
			if _, ok := in.(goes); ok {
				return before
			}
			return after
		},
	} {
		t.Run(name, func(t *testing.T) {
			requireFound(t, 2000, bucketRun(ourBucket, patience, model(faultyBucket{bucket{}, bug})))
		})
	}
}
