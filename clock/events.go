package clock

import "container/heap"

// An event is what happens at a time: a func is called, or a process goes on.
type event struct {
	clock   *Virtual
	when    int64
	key     uint64 // orders what is due at one instant, before seq does
	seq     uint64
	f       func()
	process *process
	index   int // in clock.due; -1 once it happened or was stopped
}

// happen is called when it is due.
func (e *event) happen() {
	if e.process != nil {
		e.process.resume()
	} else {
		e.f()
	}
}

// Stop implements Timer.
func (e *event) Stop() bool {
	e.clock.mu.Lock()
	defer e.clock.mu.Unlock()
	if e.index < 0 {
		return false
	}
	heap.Remove(&e.clock.due, e.index)
	return true
}

// events is a heap, by time first.
type events []*event

func (h events) Len() int { return len(h) }

func (h events) Less(i, j int) bool {
	a, b := h[i], h[j]
	switch {
	case a.when != b.when:
		return a.when < b.when
	case a.key != b.key:
		return a.key < b.key
	default:
		return a.seq < b.seq
	}
}

func (h events) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *events) Push(x any) {
	e := x.(*event)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *events) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
