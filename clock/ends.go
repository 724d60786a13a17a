package clock

import (
	"cmp"
	"container/list"
	"context"
	"slices"
)

// afterEnd calls f when ctx ends, at once where ctx is on this clock. Any other context is looked at after everything
// that happens: by a goroutine, as context.AfterFunc does, f would come at a time nobody can foresee. Where nobody
// drives the clock there is no other way.
func (v *Virtual) afterEnd(ctx context.Context, f func()) (stop func() bool) {
	if own, ok := ctx.(*Deadline); ok && own.clock == Clock(v) {
		return own.AfterFunc(f)
	}
	done := ctx.Done()
	if done == nil {
		return func() bool { return false }
	}
	if own, _ := ctx.Value(deadlineKey{}).(*Deadline); own != nil && own.clock == Clock(v) && own.Done() == done {
		return own.AfterFunc(f)
	}
	w, e, driving := v.await(done, f)
	unwatch := func() bool { return false }
	if !driving {
		unwatch = context.AfterFunc(ctx, v.ended)
	}
	return func() bool {
		unwatch()
		v.mu.Lock()
		defer v.mu.Unlock()
		before := w.fs.Len()
		w.fs.Remove(e)
		if w.fs.Len() == 0 && v.ends[done] == w {
			delete(v.ends, done)
		}
		return w.fs.Len() < before
	}
}

// await adds f to those who wait for done, and reports whether somebody drives.
func (v *Virtual) await(done <-chan struct{}, f func()) (w *waiters, e *list.Element, driving bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w = v.ends[done]
	if w == nil {
		v.seq++
		w = &waiters{since: v.seq}
		v.ends[done] = w
	}
	return w, w.fs.PushBack(f), v.driving
}

// waiters are the funcs to call once a context has ended.
type waiters struct {
	since uint64    // when the first of them came
	fs    list.List // of func()
}

// ended hears of an end on a goroutine. Whoever drives finds out without it, at a time that is always the same.
func (v *Virtual) ended() {
	v.mu.Lock()
	driving := v.driving
	v.mu.Unlock()
	if !driving {
		v.tellEnds()
	}
}

// tellEnds calls what afterEnd has put off for contexts that have ended, and for those that this ends. Once it returns
// all have heard, whoever told them.
func (v *Virtual) tellEnds() {
	v.telling.Lock()
	defer v.telling.Unlock()
	for ended := v.takeEnded(); len(ended) > 0; ended = v.takeEnded() {
		for _, w := range ended {
			for f := v.next(w); f != nil; f = v.next(w) {
				f()
			}
		}
	}
}

// takeEnded is who waited for contexts that have ended, the earliest first.
func (v *Virtual) takeEnded() []*waiters {
	v.mu.Lock()
	defer v.mu.Unlock()
	var ended []*waiters
	for done, w := range v.ends {
		select {
		case <-done:
			delete(v.ends, done)
			ended = append(ended, w)
		default:
		}
	}
	slices.SortFunc(ended, func(a, b *waiters) int { return cmp.Compare(a.since, b.since) })
	return ended
}

// next takes the next func of w, or nil. One may take others off the list.
func (v *Virtual) next(w *waiters) func() {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := w.fs.Front()
	if e == nil {
		return nil
	}
	return w.fs.Remove(e).(func())
}
