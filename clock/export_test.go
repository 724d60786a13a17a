package clock

import "context"

// Polled returns how many contexts are looked at after every event.
func (v *Virtual) Polled() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.strangers)
}

// Waited returns how many contexts of those that are not deadlines on v are waited for.
func (v *Virtual) Waited() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.ends)
}

// Linked returns how many waits the end of ctx, which is by WithCancel, would have looked at.
func Linked(ctx context.Context) int {
	b := ctx.(*branch)
	b.clock.mu.Lock()
	defer b.clock.mu.Unlock()
	return b.source.waiting.Len()
}
