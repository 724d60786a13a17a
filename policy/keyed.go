package policy

import (
	"container/list"
	"sync"
)

// A Keyed keeps one core for each key: a Circuit for each host, a limit for each tenant. It remembers at most Max, and
// to make room forgets the one that was not asked for the longest among those that are Idle. Where none is, a new key
// gets a core that is not remembered, so that neither memory nor what a busy core knows is lost.
//
// It is safe for concurrent use. Get of a key that is remembered allocates nothing. It must not be copied, and its
// fields not be changed, after first use.
type Keyed[C any] struct {
	New  func(key string) C // makes the core of a key, once for as long as it is remembered; required
	Idle func(core C) bool  // whether nothing is lost by forgetting it; nil means that it always may be forgotten
	Max  int                // cores remembered at most; 0 means 1024

	mu    sync.Mutex // guards the fields below
	byKey map[string]*list.Element
	order list.List // of *entry[C], the latest asked for first
}

type entry[C any] struct {
	key  string
	core func() C // makes it on the first call
}

const defaultKeys = 1024

// Get is the core of key.
func (k *Keyed[C]) Get(key string) C {
	e, crowd := k.find(key)
	core := e.core() // without the lock: it may be the user's code
	if len(crowd) > 0 {
		k.makeRoom(crowd, e)
	}
	return core
}

// find is the entry of key, a new one if need be. If that is one too many, crowd are the others, the longest not asked
// for first.
func (k *Keyed[C]) find(key string) (found *entry[C], crowd []*entry[C]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.byKey[key]; ok {
		k.order.MoveToFront(e)
		return e.Value.(*entry[C]), nil
	}
	most := k.Max
	if most <= 0 {
		most = defaultKeys
	}
	if k.order.Len() >= most {
		for e := k.order.Back(); e != nil; e = e.Prev() {
			crowd = append(crowd, e.Value.(*entry[C]))
		}
	}
	if k.byKey == nil {
		k.byKey = make(map[string]*list.Element)
	}
	made := &entry[C]{key, sync.OnceValue(func() C { return k.New(key) })}
	k.byKey[key] = k.order.PushFront(made)
	return made, crowd
}

// makeRoom forgets the first of crowd that is idle, or else the one that has just come.
func (k *Keyed[C]) makeRoom(crowd []*entry[C], latest *entry[C]) {
	for _, e := range crowd {
		if (k.Idle == nil || k.Idle(e.core())) && k.forget(e) {
			return
		}
	}
	k.forget(latest)
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

// All are the cores remembered, by key.
func (k *Keyed[C]) All() map[string]C {
	k.mu.Lock()
	entries := make([]*entry[C], 0, k.order.Len())
	for _, at := range k.byKey {
		entries = append(entries, at.Value.(*entry[C]))
	}
	k.mu.Unlock()
	all := make(map[string]C, len(entries))
	for _, e := range entries {
		all[e.key] = e.core()
	}
	return all
}
