package policy

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
)

// A Keyed keeps one core for each key: a Circuit for each host, a limit for each tenant. It remembers at most Max, and
// to make room forgets the one that was not asked for the longest among those that are Idle. Where none is, a new key
// gets a core that is not remembered, so that neither memory nor what a busy core knows is lost.
//
// It is safe for concurrent use: a New that takes its time holds up only those who ask for its key. New may ask the same
// Keyed for other keys, but not for its own. Get of a key that is remembered allocates nothing. It must not be copied,
// and its fields not be changed, after first use.
type Keyed[C any] struct {
	New  func(key string) C // makes the core of a key, once for as long as it is remembered; required
	Idle func(core C) bool  // whether nothing is lost by forgetting it; nil asks the core's own Idle, if it has one
	Max  int                // cores remembered at most; 0 means 1024

	mu    sync.Mutex // guards the fields below
	byKey map[string]*list.Element
	order list.List // of *entry[C], the latest asked for first
}

type entry[C any] struct {
	key  string
	once sync.Once
	made atomic.Bool // core is there; stays false where New did not return
	core C
}

const defaultKeys = 1024

// Get is the core of key. Where New panics, or ends the goroutine, so does Get, and the next one asks New again.
func (k *Keyed[C]) Get(key string) C {
	for {
		e, added := k.find(key)
		if !e.made.Load() {
			e.once.Do(func() { k.make(e) }) // without the lock: New is the user's code
		}
		if !e.made.Load() {
			continue // New did not return to another caller
		}
		if added {
			k.makeRoom(e)
		}
		return e.core
	}
}

// make asks New for the core of e. It is called once.
func (k *Keyed[C]) make(e *entry[C]) {
	defer func() {
		if !e.made.Load() {
			k.forget(e)
		}
	}()
	e.core = k.New(e.key)
	e.made.Store(true)
}

// peek is the core of key, if it is remembered.
func (k *Keyed[C]) peek(key string) (core C, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.byKey[key]
	if !ok || !at.Value.(*entry[C]).made.Load() {
		return core, false
	}
	k.order.MoveToFront(at)
	return at.Value.(*entry[C]).core, true
}

// find is the entry of key, a new one if need be.
func (k *Keyed[C]) find(key string) (found *entry[C], added bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.byKey[key]; ok {
		k.order.MoveToFront(e)
		return e.Value.(*entry[C]), false
	}
	if k.byKey == nil {
		k.byKey = make(map[string]*list.Element)
	}
	found = &entry[C]{key: key}
	k.byKey[key] = k.order.PushFront(found)
	return found, true
}

// crowd are all that are remembered, the longest not asked for first, where they are too many.
func (k *Keyed[C]) crowd() (all []*entry[C]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	most := k.Max
	if most <= 0 {
		most = defaultKeys
	}
	if k.order.Len() <= most {
		return nil
	}
	for e := k.order.Back(); e != nil; e = e.Prev() {
		all = append(all, e.Value.(*entry[C]))
	}
	return all
}

// makeRoom forgets those that are idle, the longest not asked for first, until there is room for latest; or else latest.
// One that is being made is not idle: somebody is about to use it.
func (k *Keyed[C]) makeRoom(latest *entry[C]) {
	room := false
	defer func() {
		if !room {
			k.forget(latest) // there is none, or Idle has panicked
		}
	}()
	for crowd := k.crowd(); len(crowd) > 0; crowd = k.crowd() {
		if !slices.ContainsFunc(crowd, func(e *entry[C]) bool {
			return e != latest && e.made.Load() && k.idle(e.core) && k.forget(e)
		}) {
			return
		}
	}
	room = true
}

// idle reports whether core may be forgotten.
func (k *Keyed[C]) idle(core C) bool {
	if k.Idle != nil {
		return k.Idle(core)
	}
	own, ok := any(core).(interface{ Idle() bool })
	return !ok || own.Idle()
}

// forget reports whether e was remembered.
func (k *Keyed[C]) forget(e *entry[C]) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.byKey[e.key]
	if !ok || at.Value != any(e) {
		return false
	}
	delete(k.byKey, e.key)
	k.order.Remove(at)
	return true
}

// Len is the number of cores remembered.
func (k *Keyed[C]) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.order.Len()
}

// All are the cores remembered, by key, but for those that New has yet to return.
func (k *Keyed[C]) All() map[string]C {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string]C, k.order.Len())
	for key, at := range k.byKey {
		if e := at.Value.(*entry[C]); e.made.Load() {
			all[key] = e.core
		}
	}
	return all
}
