package clock

import (
	"cmp"
	"container/list"
	"context"
	"slices"
)

// afterEnd calls f when ctx ends, at once if ctx is a deadline on this clock, or else after the event that ended it.
// On a goroutine, as context.AfterFunc calls it, f would run at a time that differs from run to run. While the clock is
// not driven there is no other way.
//
// The clock is notified when its own contexts end: deadlines, and those by WithCancel. Any other context has to be looked
// at after every event.
func (v *Virtual) afterEnd(ctx context.Context, f func()) (forget func()) {
	done := ctx.Done()
	if done == nil {
		return func() {}
	}
	if own, _ := ctx.Value(deadlineKey{}).(*Deadline); own != nil && own.clock == Clock(v) && own.owns(done) {
		stop := own.AfterFunc(f)
		return func() { stop() }
	}
	w, e, driving := v.await(ctx, done, f)
	unwatch := func() bool { return false }
	if !driving {
		unwatch = context.AfterFunc(ctx, v.ended)
	}
	return func() {
		unwatch()
		v.mu.Lock()
		defer v.mu.Unlock()
		w.fs.Remove(e)
		if w.fs.Len() == 0 && v.ends[done] == w {
			v.drop(w)
		}
	}
}

// await adds f to what waits for ctx, and reports whether the clock is driven.
func (v *Virtual) await(ctx context.Context, done <-chan struct{}, f func()) (w *waiters, e *list.Element, driving bool) {
	own, stranger := v.sources(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	w = v.ends[done]
	if w == nil {
		v.seq++
		w = &waiters{since: v.seq, done: done}
		v.ends[done] = w
		v.link(w, own, stranger)
	}
	return w, w.fs.PushBack(f), v.driving
}

// waiters are the funcs to call once a context has ended.
type waiters struct {
	since uint64 // when the first of them came
	done  <-chan struct{}
	fs    list.List // of func()
	links []link    // to what may end the context
}

// A link is the place of waiters in the list of a source.
type link struct {
	source   *source
	at       *list.Element
	stranger <-chan struct{} // whose source it is; nil for a context of this clock
}

// A source is a context that may end others: itself and those derived from it.
type source struct {
	waiting list.List // of *waiters, for the contexts that it may end
}

// hookKey is the key by which a context of this package finds itself.
type hookKey struct{}

// A hook is a context of this package that notifies the clock of its end.
type hook interface {
	// owns reports whether done is that of the context.
	owns(done <-chan struct{}) bool

	// hook returns the clock that is notified, or nil, and what else may end the context without notifying it.
	hook() (v *Virtual, s *source, parent context.Context)
}

// sources returns what may end ctx: contexts that notify this clock, and the Done of at most one that does not.
func (v *Virtual) sources(ctx context.Context) (own []*source, stranger <-chan struct{}) {
	for ctx != nil {
		done := ctx.Done()
		if done == nil {
			break
		}
		h, _ := ctx.Value(hookKey{}).(hook)
		if h == nil || !h.owns(done) {
			return own, done
		}
		on, s, parent := h.hook()
		if on != v {
			return own, done
		}
		own = append(own, s)
		ctx = parent
	}
	return own, nil
}

// link has w looked at when one of its sources ends.
func (v *Virtual) link(w *waiters, own []*source, stranger <-chan struct{}) {
	for _, s := range own {
		w.links = append(w.links, link{s, s.waiting.PushBack(w), nil})
	}
	if stranger != nil {
		s := v.strangers[stranger]
		if s == nil {
			s = new(source)
			v.strangers[stranger] = s
		}
		w.links = append(w.links, link{s, s.waiting.PushBack(w), stranger})
	}
	if closed(w.done) {
		v.suspects = append(v.suspects, w) // it ended before it was linked
	}
}

// drop removes w.
func (v *Virtual) drop(w *waiters) {
	delete(v.ends, w.done)
	for _, l := range w.links {
		l.source.waiting.Remove(l.at)
		if l.stranger != nil && l.source.waiting.Len() == 0 {
			delete(v.strangers, l.stranger)
		}
	}
}

// sourceEnded has the waiters of s looked at after this event.
func (v *Virtual) sourceEnded(s *source) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.suspect(s)
}

func (v *Virtual) suspect(s *source) {
	for e := s.waiting.Front(); e != nil; e = e.Next() {
		v.suspects = append(v.suspects, e.Value.(*waiters))
	}
}

// ended hears of an end on a goroutine. Whoever drives finds out without it, at a time that is always the same.
func (v *Virtual) ended() {
	v.mu.Lock()
	driving := v.driving
	if !driving { // look at all: a context ends before its source notifies the clock
		for _, w := range v.ends {
			v.suspects = append(v.suspects, w)
		}
	}
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
	for done, s := range v.strangers {
		if closed(done) {
			v.suspect(s)
		}
	}
	var ended []*waiters
	for _, w := range v.suspects {
		if v.ends[w.done] == w && closed(w.done) {
			v.drop(w)
			ended = append(ended, w)
		}
	}
	clear(v.suspects)
	v.suspects = v.suspects[:0]
	slices.SortFunc(ended, func(a, b *waiters) int { return cmp.Compare(a.since, b.since) })
	return ended
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
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
