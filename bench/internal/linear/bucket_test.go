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

// What can be done to a bucket. An Acquire that ends before its turn gives it back by a step of its own.
type (
	take     struct{ now, id, patience int } // → units waited, ErrLimited or gone
	giveBack struct{ id int }                // → gone
)

const (
	per   = 2 // units between two turns
	burst = 2
)

// A bucket is the model of a policy.Bucket: the turn after the last one given, those given back, and those that
// somebody waits for who will give them back.
type bucket struct {
	used  bool
	at    int
	given []int // earliest first
	held  []turn
}

type turn struct{ id, due int }

func (b bucket) equal(o bucket) bool {
	return b.used == o.used && b.at == o.at && slices.Equal(b.given, o.given) && slices.Equal(b.held, o.held)
}

func (b bucket) next(in, out any) (bucket, bool) {
	switch in := in.(type) {
	case take:
		if !b.used || b.at < in.now {
			b.used, b.at = true, in.now
		}
		for len(b.given) > 0 && b.given[0] < in.now {
			b.given = b.given[1:]
		}
		due, again := b.at-(burst-1)*per, false
		if len(b.given) > 0 && b.given[0] < due {
			due, again = b.given[0], true
		}
		wait := max(0, due-in.now)
		if wait > in.patience {
			return b, out == policy.ErrLimited || out == gone{}
		}
		if again {
			b.given = b.given[1:]
		} else {
			b.at += per
		}
		if out == (gone{}) {
			b.held = with(b.held, turn{in.id, due})
			return b, true
		}
		return b, out == wait
	case giveBack:
		i := slices.IndexFunc(b.held, func(t turn) bool { return t.id == in.id })
		if i < 0 {
			return b, true
		}
		b.given = with(b.given, b.held[i].due)
		b.held = without(b.held, i)
		slices.Sort(b.given)
		for n := len(b.given); n > 0 && b.given[n-1] == b.at-burst*per; n-- {
			b.at, b.given = b.at-per, b.given[:n-1]
		}
		return b, true
	}
	return b, false
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
				in := take{now, int(began), maxWait}
				h.waiting.Add(1)
				err := b.Acquire(ctx)
				h.waiting.Add(-1)
				switch {
				case err == nil:
					h.add(began, call(in, h.now()-now))
				case ctx.Err() == nil:
					h.add(began, call(in, reason(err)))
				default:
					h.add(began, call(in, gone{}), call(giveBack{in.id}, gone{}))
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

func TestBugsInTheModelOfABucketAreFound(t *testing.T) {
	for name, bug := range map[string]func(before, after bucket, in any) bucket{
		"a turn is taken twice": func(before, after bucket, in any) bucket {
			if _, ok := in.(take); ok && after.at > before.at {
				after.at += per
			}
			return after
		},
		"a turn that was given back is lost": func(before, after bucket, in any) bucket {
			if _, ok := in.(giveBack); ok {
				return before
			}
			return after
		},
		"a turn that was given back comes at the end": func(before, after bucket, in any) bucket {
			if _, ok := in.(giveBack); ok && len(after.given) > 0 {
				after.at, after.given = after.at-per*len(after.given), nil
			}
			return after
		},
	} {
		t.Run(name, func(t *testing.T) {
			requireFound(t, 2000, bucketRun(ourBucket, patience, model(faultyBucket{bucket{}, bug})))
		})
	}
}
