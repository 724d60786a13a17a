package policy

import (
	"cmp"
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
)

// A Keyed keeps one core for each key, such as a Circuit for each host or a Limit for each tenant. See Max for how many
// cores it remembers, and which it evicts.
//
// It is safe for concurrent use. It calls New and Idle without a lock: a slow one holds up only callers that wait for
// the same new key. New and Idle may ask the same Keyed for other keys, but not for the key that is being made. Callers
// that ask for a new key at the same time get the same core.
//
// Get of a key that is remembered takes no lock and allocates nothing. Get of a new key costs the same whatever Max is:
// it asks at most 8 cores whether they are idle. A Keyed must not be copied, and its fields must not be changed, after
// first use.
type Keyed[C any] struct {
	// New returns the core of a key. It is called once for as long as the key is remembered. It is required: Get of a
	// Keyed without New panics, and Validate returns an error.
	New func(key string) C

	// Idle reports whether nothing is lost by evicting core. If it is nil, a core is asked itself: by its method
	// Loss() float64, from 0 for nothing to 1 for a core that must not be evicted, or else by Idle() bool. A core with
	// neither method is always idle.
	Idle func(core C) bool

	// Max is how many cores are remembered; 0 means 1024.
	//
	// Once there are Max, each new key examines up to 8 of them, in turn, and evicts the first one that is idle and was
	// not asked for since its last turn, or else the first that is idle. If none of the 8 is idle, up to Max/8 further
	// cores are remembered, until others become idle. Beyond that, the examined core that loses the least is evicted.
	// If all of them must stay, because they are in use or open circuits, the new key's core is not remembered: it
	// serves the callers that asked for it at the same time, and knows nothing of the calls before. So Max should be
	// larger than the number of keys that are in use, or failing, at a time.
	Max int

	entries sync.Map // of *entry[C] by key: those remembered, and those being made

	mu    sync.Mutex // guards the field below, and what is deleted from entries
	order list.List  // of *entry[C], those remembered: the next to be examined first
}

// An entry is the core of a key. Its state is
//
//	coreMaking → corePassed ⇄ coreAsked    while it is remembered: asked for since its last turn, or not
//	             corePassed → coreEvicted  if it has to make room
//	coreMaking → coreAlone                 if there was no room
//	coreMaking → coreFailed                if New or Idle did not return
//
// plus coreStates times how often it became coreAsked: an entry that is asked for while Idle looks at it, and has
// another turn meanwhile, is not in the state that it was seen in.
type entry[C any] struct {
	key   string
	state atomic.Uint64
	core  C             // set before state leaves coreMaking
	ready chan struct{} // closed once state has left coreMaking, and nil then; guarded by Keyed.mu
	at    *list.Element // in Keyed.order, if it is remembered; guarded by Keyed.mu
}

const (
	coreMaking = iota
	corePassed
	coreAsked
	coreEvicted
	coreAlone
	coreFailed

	coreStates = 8 // as many as there are, or more
)

const (
	defaultKeys = 1024
	candidates  = 8 // examined for each new key
	reserve     = 8 // one part in so many of Max is added to it while nothing is idle
)

var errNoNew = errors.New("policy: Keyed.New is nil; want a func")

// Get returns the core of key. If New or Idle panics, or ends the goroutine, so does Get, and the next Get of that key
// calls New again.
func (k *Keyed[C]) Get(key string) C {
	if core, ok := k.peek(key); ok {
		return core
	}
	return k.add(key)
}

// peek returns the core of key if it is remembered.
func (k *Keyed[C]) peek(key string) (core C, ok bool) {
	v, ok := k.entries.Load(key)
	if !ok {
		return core, false
	}
	e := v.(*entry[C])
	if !e.ask() {
		return core, false
	}
	return e.core, true
}

// ask marks an entry as asked for, so that it is not evicted before its next turn, or reports false if it is not
// remembered. Nearly always it is marked already, and there is nothing to write.
func (e *entry[C]) ask() bool {
	for {
		s := e.state.Load()
		switch s % coreStates {
		case coreAsked:
			return true
		case corePassed:
			if e.state.CompareAndSwap(s, s-corePassed+coreAsked+coreStates) {
				return true
			}
		default:
			return false
		}
	}
}

// pass begins a turn of an entry: it counts as not asked for from now on. seen is its state then, for evict.
func (e *entry[C]) pass() (seen uint64, asked bool) {
	for {
		s := e.state.Load()
		if s%coreStates != coreAsked {
			return s, false
		}
		if e.state.CompareAndSwap(s, s-coreAsked+corePassed) {
			return s - coreAsked + corePassed, true
		}
	}
}

// add returns the core of key, and makes it unless another caller does.
func (k *Keyed[C]) add(key string) C {
	if k.New == nil {
		panic(errNoNew)
	}
	for {
		e, ready, added := k.find(key)
		switch {
		case added:
			k.make(e)
			return e.core
		case ready != nil:
			<-ready // to wait for a lock would stop the time of a synctest bubble
			if e.state.Load() != coreFailed {
				return e.core
			}
		case e.ask():
			return e.core
		}
	}
}

// find returns the entry of key, and adds one if there is none. ready is not nil while another caller makes its core.
func (k *Keyed[C]) find(key string) (e *entry[C], ready chan struct{}, added bool) {
	k.mu.Lock() // an eviction is over then, so the entry found has not been evicted
	defer k.mu.Unlock()
	if v, ok := k.entries.Load(key); ok {
		e = v.(*entry[C])
		return e, e.ready, false
	}
	e = &entry[C]{key: key, ready: make(chan struct{})}
	k.entries.Store(key, e)
	return e, nil, true
}

// make calls New for e and remembers its core if there is room. It is called once.
func (k *Keyed[C]) make(e *entry[C]) {
	left := uint64(coreFailed)
	defer func() {
		if left != coreMaking {
			k.drop(e, left)
		}
	}()
	e.core = k.New(e.key) // without the lock, as Idle is called: they are the user's code
	if k.remember(e) {
		left = coreMaking
	} else {
		left = coreAlone
	}
}

// drop deletes an entry that is not remembered.
func (k *Keyed[C]) drop(e *entry[C], state uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries.Delete(e.key)
	e.settle(state)
}

// settle ends the making of a core. It is called with the lock held.
func (e *entry[C]) settle(state uint64) {
	e.state.Store(state)
	close(e.ready)
	e.ready = nil
}

// remember reports whether there is room for e, once it has evicted what the comment of Max says.
func (k *Keyed[C]) remember(e *entry[C]) bool {
	most := k.Max
	if most <= 0 {
		most = defaultKeys
	}
	if k.admit(e, most) {
		return true
	}
	var idle, victim candidate[C]
	least := 1.0 // the victim's loss
	for range min(candidates, most) {
		c := k.turn()
		if c == nil {
			break
		}
		seen, asked := c.pass()
		switch loss := k.loss(c.core); {
		case loss <= 0 && !asked:
			if k.evict(candidate[C]{c, seen}) && k.admit(e, most) {
				return true
			}
		case loss <= 0:
			idle = cmp.Or(idle, candidate[C]{c, seen})
		case loss < 1 && loss <= least:
			// Of equals the last one is the victim. If it was the first, new keys that come in turns would evict each
			// other in the order they came, and no circuit would ever get to its second failure.
			victim, least = candidate[C]{c, seen}, loss
		}
	}
	if idle.entry != nil {
		k.evict(idle)
	}
	return k.admit(e, most+most/reserve) || victim.entry != nil && k.evict(victim) && k.admit(e, most+most/reserve)
}

// loss returns how much is lost by evicting core, from 0 to 1.
func (k *Keyed[C]) loss(core C) float64 {
	idle := true
	if k.Idle != nil {
		idle = k.Idle(core)
	} else {
		switch own := any(core).(type) {
		case interface{ Loss() float64 }:
			return own.Loss()
		case interface{ Idle() bool }:
			idle = own.Idle()
		}
	}
	if idle {
		return 0
	}
	return 1
}

// admit remembers e, and reports true, if there are fewer than most.
func (k *Keyed[C]) admit(e *entry[C], most int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.order.Len() >= most {
		return false
	}
	e.at = k.order.PushBack(e)
	e.settle(corePassed)
	return true
}

// turn returns the next entry to be examined, and moves it behind all others; nil if there is none.
func (k *Keyed[C]) turn() *entry[C] {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.order.Front()
	if at == nil {
		return nil
	}
	k.order.MoveToBack(at)
	return at.Value.(*entry[C])
}

// A candidate is an entry that may be evicted, and the state that it had before it was asked for its loss.
type candidate[C any] struct {
	*entry[C]
	seen uint64
}

// evict deletes c, and reports true, unless it has been asked for since it was examined, or evicted by another caller.
func (k *Keyed[C]) evict(c candidate[C]) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.seen%coreStates != corePassed || !c.state.CompareAndSwap(c.seen, coreEvicted) {
		return false
	}
	k.entries.Delete(c.key)
	k.order.Remove(c.at)
	return true
}

// Len returns the number of cores remembered.
func (k *Keyed[C]) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.order.Len()
}

// All returns the cores remembered, by key.
func (k *Keyed[C]) All() map[string]C {
	all := make(map[string]C, k.Len())
	for _, v := range k.entries.Range {
		if e := v.(*entry[C]); e.remembered() {
			all[e.key] = e.core
		}
	}
	return all
}

func (e *entry[C]) remembered() bool {
	state := e.state.Load() % coreStates
	return state == coreAsked || state == corePassed
}

// Validate names every field that is out of range.
func (k *Keyed[C]) Validate() error {
	p := problems{owner: "Keyed"}
	if k.New == nil {
		p.add(".New is nil; want a func")
	}
	notNegative(&p, "Max", k.Max)
	return p.join()
}
