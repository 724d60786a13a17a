//go:build explore

package policy

import (
	"sync"
	"sync/atomic"
)

// step comes before every operation on what goroutines share; m is the mutex that it locks, if it does. The explorer
// replaces it by one that lets others go first.
var step = func(m *mutex) {}

type mutex struct {
	sync.Mutex
	held bool
}

func (m *mutex) Lock() {
	step(m)
	m.Mutex.Lock()
	m.held = true
}

// Unlock is no step: whoever waits for the mutex can only go on after it, and to the others it makes no difference.
func (m *mutex) Unlock() {
	m.held = false
	m.Mutex.Unlock()
}

type atomicBool struct{ v atomic.Bool }

func (a *atomicBool) Swap(v bool) bool { step(nil); return a.v.Swap(v) }

type atomicInt64 struct{ v atomic.Int64 }

func (a *atomicInt64) Load() int64           { step(nil); return a.v.Load() }
func (a *atomicInt64) Store(v int64)         { step(nil); a.v.Store(v) }
func (a *atomicInt64) Add(delta int64) int64 { step(nil); return a.v.Add(delta) }

func (a *atomicInt64) CompareAndSwap(before, after int64) bool {
	step(nil)
	return a.v.CompareAndSwap(before, after)
}

type atomicUint64 struct{ v atomic.Uint64 }

func (a *atomicUint64) Load() uint64            { step(nil); return a.v.Load() }
func (a *atomicUint64) Store(v uint64)          { step(nil); a.v.Store(v) }
func (a *atomicUint64) Add(delta uint64) uint64 { step(nil); return a.v.Add(delta) }
func (a *atomicUint64) Swap(v uint64) uint64    { step(nil); return a.v.Swap(v) }

func (a *atomicUint64) CompareAndSwap(before, after uint64) bool {
	step(nil)
	return a.v.CompareAndSwap(before, after)
}

type atomicPointer[T any] struct{ v atomic.Pointer[T] }

func (a *atomicPointer[T]) Load() *T   { step(nil); return a.v.Load() }
func (a *atomicPointer[T]) Store(v *T) { step(nil); a.v.Store(v) }
