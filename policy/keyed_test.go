package policy_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A graded is a core that knows what is lost with it.
type graded struct {
	key  string
	loss float64
	asks int
}

func (g *graded) Loss() float64 {
	g.asks++
	return g.loss
}

// A keyedModel is what the comment of Keyed.Max says, for one caller at a time.
type keyedModel struct {
	most  int
	order []*remembered // the next to be examined first
}

type remembered struct {
	core  *graded
	asked bool // since its last turn
}

func (m *keyedModel) find(key string) *remembered {
	for _, r := range m.order {
		if r.core.key == key {
			return r
		}
	}
	return nil
}

func (m *keyedModel) evict(r *remembered) {
	m.order = slices.DeleteFunc(m.order, func(other *remembered) bool { return other == r })
}

// add makes room for the core of a new key, or reports false.
func (m *keyedModel) add(core *graded) bool {
	var idle, least *remembered
	for range min(8, m.most) {
		if len(m.order) < m.most {
			break
		}
		r := m.order[0]
		m.order = append(m.order[1:], r)
		asked := r.asked
		r.asked = false
		switch {
		case r.core.loss == 0 && !asked:
			m.evict(r)
		case r.core.loss == 0:
			if idle == nil {
				idle = r
			}
		case r.core.loss < 1 && (least == nil || r.core.loss <= least.core.loss):
			least = r
		}
	}
	if idle != nil && len(m.order) >= m.most {
		m.evict(idle)
	}
	if least != nil && len(m.order) >= m.most+m.most/8 {
		m.evict(least)
	}
	if len(m.order) >= m.most+m.most/8 {
		return false
	}
	m.order = append(m.order, &remembered{core: core})
	return true
}

// A Keyed does what its model does: it returns the core that it remembers, evicts what loses the least, and nothing
// that must stay.
func TestKeyedModel(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]int{1, 2, 8, 9, 24, 40}).Draw(t, "max")
		keys := rapid.IntRange(most+4, 2*most+4).Draw(t, "keys")
		losses := rapid.SliceOfN(rapid.SampledFrom([]float64{0.2, 1, 0, 0.4}), 1, 3).Draw(t, "losses")
		k := &policy.Keyed[*graded]{Max: most, New: func(key string) *graded { return &graded{key: key} }}
		m := &keyedModel{most: most}
		for range rapid.IntRange(2*most, 10*most+20).Draw(t, "steps") {
			key := fmt.Sprint(rapid.IntRange(0, keys-1).Draw(t, "key"))
			got := k.Get(key)
			require.Equal(t, key, got.key)
			if r := m.find(key); r != nil {
				require.Same(t, r.core, got)
				r.asked = true
			} else {
				before := len(m.order)
				added := m.add(got)
				seen[fmt.Sprintf("added %v, grew %v, over Max %v", added, len(m.order) > before, before > most)]++
			}
			all := map[string]*graded{}
			for _, r := range m.order {
				all[r.core.key] = r.core
			}
			require.Equal(t, all, k.All())
			require.Equal(t, len(all), k.Len())
			got.loss = rapid.SampledFrom(losses).Draw(t, "loss")
		}
	})
	for _, kind := range []string{
		"added true, grew true, over Max false", "added true, grew false, over Max false", "added false, grew false, over Max false",
		"added true, grew true, over Max true", "added true, grew false, over Max true", "added false, grew false, over Max true",
	} {
		require.NotZero(t, seen[kind], kind)
	}
}

// A New that panics or ends its goroutine is asked again by the next caller, and troubles no other key.
// Where it is not told what is idle, a Keyed asks the cores, and forgets none that knows something.
func TestKeyedAsksItsCores(t *testing.T) {
	v := clock.NewVirtual()
	for name, core := range map[string]struct {
		busy, idle func(k any)
		get        func() func(key string) any
	}{
		"circuit": {
			func(c any) { c.(*policy.Circuit).Isolate() }, func(c any) { c.(*policy.Circuit).Reset() },
			remembering(func() *policy.Circuit { return &policy.Circuit{Clock: v} }),
		},
		"gate": {
			func(g any) { _, _ = g.(*policy.Gate).Acquire(t.Context()) }, nil,
			remembering(func() *policy.Gate { return &policy.Gate{Clock: v} }),
		},
		"limit": {
			func(l any) { _, _ = l.(*policy.Limit).Acquire(0) }, nil,
			remembering(func() *policy.Limit { return &policy.Limit{Clock: v} }),
		},
		"bucket": {
			func(b any) { b.(*policy.Bucket).Allow() }, func(any) { v.Advance(time.Second) },
			remembering(func() *policy.Bucket { return &policy.Bucket{Clock: v} }),
		},
		"throttle": {
			func(s any) { s.(*policy.Throttle).Done(policy.TransientFailure) }, func(any) { v.Advance(time.Hour) },
			remembering(func() *policy.Throttle { return &policy.Throttle{Clock: v} }),
		},
	} {
		get := core.get()
		one := get("one")
		get("two")
		require.NotSame(t, one, get("one"), "%s: nothing is lost with it", name)
		one = get("one")
		core.busy(one)
		get("two")
		require.Same(t, one, get("one"), name)
		if core.idle != nil {
			core.idle(one)
			get("two")
			require.NotSame(t, one, get("one"), name)
		}
	}
}

// remembering makes Keyeds of one core.
func remembering[C any](build func() C) func() func(key string) any {
	return func() func(key string) any {
		k := &policy.Keyed[C]{Max: 1, New: func(string) C { return build() }}
		return func(key string) any { return k.Get(key) }
	}
}

func TestKeyedForgetsWhatCouldNotBeMade(t *testing.T) {
	fails := runtime.Goexit
	k := policy.Keyed[int]{Max: 1, New: func(key string) int {
		if key == "bad" {
			fails()
		}
		return len(key)
	}}
	over := make(chan any)
	go func() {
		defer func() { over <- recover() }()
		k.Get("bad")
	}()
	require.Nil(t, <-over)
	fails = func() { panic("boom") }
	for range 2 {
		require.PanicsWithValue(t, "boom", func() { k.Get("bad") })
		require.Equal(t, 4, k.Get("good"))
		require.Equal(t, map[string]int{"good": 4}, k.All())
	}
	fails = func() {}
	require.Equal(t, 3, k.Get("bad"))
	require.Equal(t, map[string]int{"bad": 3}, k.All())
}

// While New works on one key others can be had, and New itself may ask for them.
func TestKeyedMakesOneKeyBesideAnother(t *testing.T) {
	var k policy.Keyed[int]
	k.Max = 1
	k.New = func(key string) int {
		if key == "outer" {
			return k.Get("inner") + 1
		}
		return 1
	}
	require.Equal(t, 2, k.Get("outer"))
	require.Equal(t, map[string]int{"outer": 2}, k.All())
}

// Where New panics on one of several who wait for a key, another has it made.
func TestKeyedIsMadeByAnotherWhereNewPanics(t *testing.T) {
	for range 50 {
		begun, goOn := make(chan struct{}), make(chan struct{})
		var calls atomic.Int64
		k := policy.Keyed[int]{New: func(string) int {
			if calls.Add(1) == 1 {
				close(begun)
				<-goOn
				panic("boom")
			}
			return 7
		}}
		first := make(chan any)
		go func() { first <- panicOf(func() { k.Get("a") }) }()
		<-begun
		others := make(chan int)
		for range 4 {
			go func() { others <- k.Get("a") }()
		}
		for range 10 {
			runtime.Gosched() // so that most of them wait, which nothing shows
		}
		close(goOn)
		require.Equal(t, "boom", <-first)
		for range 4 {
			require.Equal(t, 7, <-others)
		}
		require.EqualValues(t, 2, calls.Load())
	}
}

// Whoever comes while room is looked for, and whatever Idle does, a Keyed remembers no more than it may.
func TestKeyedKeepsToItsMax(t *testing.T) {
	var k *policy.Keyed[string]
	during := ""
	k = &policy.Keyed[string]{Max: 1, New: func(key string) string { return key }, Idle: func(core string) bool {
		if key := during; key != "" {
			during = ""
			over := make(chan struct{})
			go func() { defer close(over); k.Get(key) }()
			<-over
		}
		return core[0] == 'a' // what begins with another letter is busy
	}}
	k.Get("busy")
	for i := range 20 {
		during = fmt.Sprint("busy", i)
		k.Get(fmt.Sprint("a", i))
		require.Equal(t, 1, k.Len())
	}
	k = &policy.Keyed[string]{Max: 1, New: func(key string) string { return key }, Idle: func(string) bool { panic("boom") }}
	k.Get("one")
	require.PanicsWithValue(t, "boom", func() { k.Get("another") })
	require.Equal(t, 1, k.Len())
}

// keyedOf returns a full Keyed of cores with the given loss.
func keyedOf(most int, loss float64) *policy.Keyed[*graded] {
	k := &policy.Keyed[*graded]{Max: most, New: func(key string) *graded { return &graded{key: key, loss: loss} }}
	for i := 0; k.Len() < most+most/8; i++ {
		k.Get(fmt.Sprint("full", i))
		if loss < 1 && i >= most-1 {
			break
		}
	}
	return k
}

// What a new key costs depends neither on Max nor on how many cores are idle: the cores asked, the allocations and the
// bytes are the same.
func TestKeyedPaysTheSameForANewKeyWhateverMaxIs(t *testing.T) {
	for _, loss := range []float64{0, 0.5, 1} {
		var bytes [2]uint64
		for i, most := range []int{1_000, 20_000} {
			k := keyedOf(most, loss)
			full := k.All()
			for _, core := range full {
				core.asks = 0
			}
			n := 0
			const runs = 100
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			allocs := testing.AllocsPerRun(runs, func() {
				n++
				k.Get(fmt.Sprint("new", n))
			})
			runtime.ReadMemStats(&after)
			bytes[i] = (after.TotalAlloc - before.TotalAlloc) / (runs + 1)
			require.LessOrEqual(t, allocs, 15.0, "loss %v, Max %v", loss, most)
			asks := 0
			for _, core := range full {
				asks += core.asks
			}
			require.LessOrEqual(t, asks, 8*n, "loss %v, Max %v", loss, most)
			require.LessOrEqual(t, k.Len(), most+most/8)
		}
		require.InDelta(t, bytes[0], bytes[1], 500, "loss %v", loss)
	}
}

func TestKeyedAllocatesNothingForAKeyItRemembers(t *testing.T) {
	k := keyedOf(100, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { k.Get("full7") }))
}

// down calls the circuits of n hosts that are down, in turns, and returns how many calls each of them got.
func down(t *testing.T, k *policy.Keyed[*policy.Circuit], n, rounds int) []int {
	calls := make([]int, n)
	for range rounds {
		for i := range n {
			permit, err := k.Get(fmt.Sprint("host", i)).Acquire()
			if err == nil {
				calls[i]++
				permit.Done(policy.TransientFailure)
			} else {
				require.ErrorIs(t, err, policy.ErrOpen)
			}
		}
	}
	return calls
}

// With more hosts down than are remembered, circuits open all the same: with up to an eighth more than Max each gets as
// many calls as it would alone, and with any number of them nearly all that are remembered do.
func TestKeyedCircuitsOpenWithMoreKeysThanMax(t *testing.T) {
	const most, rounds = 64, 50
	for _, n := range []int{64, 65, 72, 73, 80, 128, 640, 2000} {
		v := clock.NewVirtual()
		k := &policy.Keyed[*policy.Circuit]{Max: most, New: func(string) *policy.Circuit { return &policy.Circuit{Clock: v} }}
		calls := down(t, k, n, rounds)
		if n <= most+most/8 {
			require.Equal(t, 5, slices.Max(calls), n)
		}
		slices.Sort(calls)
		require.LessOrEqual(t, calls[most-most/8], 12, n)
		require.LessOrEqual(t, k.Len(), most+most/8)
	}
}

// A host that is down gets a circuit of its own beside 1 024 open ones, and costs each of its callers little.
func TestKeyedProtectsANewKeyBesideOpenCircuits(t *testing.T) {
	const most = 1024
	v := clock.NewVirtual()
	asked := 0
	k := &policy.Keyed[*asking]{Max: most, New: func(string) *asking { return &asking{&asked, &policy.Circuit{Clock: v}} }}
	fail := func(key string, times int) (calls int) {
		for range times {
			if permit, err := k.Get(key).Acquire(); err == nil {
				calls++
				permit.Done(policy.TransientFailure)
			}
		}
		return calls
	}
	for i := range most {
		require.Equal(t, 5, fail(fmt.Sprint("open", i), 10))
	}
	require.Zero(t, asked)
	for i := range most / 8 {
		asked = 0
		require.Equal(t, 5, fail(fmt.Sprint("new", i), 100), "new %d", i)
		require.LessOrEqual(t, asked, 8)
	}
	asked = 0
	require.Equal(t, 100, fail("one too many", 100), "nothing can be evicted")
	require.LessOrEqual(t, asked, 800)
	require.Equal(t, most+most/8, k.Len())

	v.Advance(time.Minute) // the cooldowns are over, and nobody has asked
	require.Equal(t, 5, fail("one too many", 100))
}

// An asking is a circuit that counts how often its Loss is asked for.
type asking struct {
	asked *int
	*policy.Circuit
}

func (a *asking) Loss() float64 {
	*a.asked++
	return a.Circuit.Loss()
}

// A scan of keys that fail once each neither evicts a circuit that counts more, nor keeps a new key out.
func TestKeyedIsNotFilledByAScanOfFailingKeys(t *testing.T) {
	v := clock.NewVirtual()
	k := &policy.Keyed[*policy.Circuit]{Max: 64, New: func(string) *policy.Circuit { return &policy.Circuit{Clock: v} }}
	fail := func(key string) bool {
		permit, err := k.Get(key).Acquire()
		permit.Done(policy.TransientFailure)
		return err == nil
	}
	for i := range 1000 {
		require.True(t, fail(fmt.Sprint("scan", i)))
	}
	calls := 0
	for i := range 1000 {
		if fail("down") {
			calls++
		}
		require.True(t, fail(fmt.Sprint("another scan", i)))
	}
	require.Equal(t, 5, calls)
	for range 64 + 8 {
		v.Advance(10 * time.Minute)
		k.Get(fmt.Sprint("quiet", v.Nanos()))
	}
	require.Equal(t, 64, k.Len(), "all of the scan were idle, and there are no more than Max")
}

// What is evicted while New works on the same key does not take the core that New makes with it, and a core that has
// been evicted is not returned again.
func TestKeyedKeepsASuccessorUnderTheSameKey(t *testing.T) {
	made := 0
	var k *policy.Keyed[int]
	fail := false
	k = &policy.Keyed[int]{Max: 1, New: func(string) int {
		if fail {
			panic("boom")
		}
		made++
		return made
	}}
	require.Equal(t, 1, k.Get("a"))
	require.Equal(t, 2, k.Get("b"), "evicts a")
	require.Equal(t, 3, k.Get("a"), "a successor")
	fail = true
	require.Panics(t, func() { k.Get("b") })
	fail = false
	require.Equal(t, 3, k.Get("a"))
	require.Equal(t, 4, k.Get("b"))
	require.Equal(t, map[string]int{"b": 4}, k.All())
}

// An entry that is asked for while Idle looks at it is not evicted, whatever Idle says.
func TestKeyedKeepsWhatIsAskedForWhileIdleIsAsked(t *testing.T) {
	var k *policy.Keyed[string]
	k = &policy.Keyed[string]{
		Max: 1, New: func(key string) string { return key },
		Idle: func(core string) bool { return k.Get(core) == core },
	}
	k.Get("a")
	k.Get("b")
	require.Equal(t, map[string]string{"a": "a"}, k.All())
}

// Nor is it if it has had another turn meanwhile, so that it counts as not asked for again.
func TestKeyedKeepsWhatIsAskedForBeforeAnotherTurn(t *testing.T) {
	var k *policy.Keyed[string]
	asked := 0
	k = &policy.Keyed[string]{
		Max: 1, New: func(key string) string { return key },
		Idle: func(string) bool {
			if asked++; asked > 1 {
				return false // it is in use by now
			}
			k.Get("a")
			k.Get("another turn")
			return true
		},
	}
	k.Get("a")
	k.Get("b")
	require.Equal(t, 2, asked)
	require.Equal(t, map[string]string{"a": "a"}, k.All())
}

// Callers that ask for a new key at the same time get the same core, remembered or not.
func TestKeyedMakesOneCoreForCallersAtTheSameTime(t *testing.T) {
	for _, busy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var made atomic.Int64
			k := &policy.Keyed[int64]{
				Max:  1,
				New:  func(string) int64 { time.Sleep(time.Second); return made.Add(1) },
				Idle: func(int64) bool { return !busy },
			}
			require.EqualValues(t, 1, k.Get("first"))
			for range 8 {
				go func() { require.EqualValues(t, 2, k.Get("new")) }()
			}
			time.Sleep(time.Second)
			synctest.Wait()
			require.EqualValues(t, 2, made.Load())
			require.Equal(t, 1, k.Len())
		})
	}
}

// While New and Idle take their time nobody else waits.
func TestKeyedHoldsUpNoOtherKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &policy.Keyed[string]{
			Max:  2,
			New:  func(key string) string { time.Sleep(time.Duration(len(key)) * time.Second); return key },
			Idle: func(string) bool { time.Sleep(time.Minute); return true },
		}
		k.Get("a")
		k.Get("b")
		go k.Get("slow")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		start := time.Now()
		require.Equal(t, "a", k.Get("a"))
		require.Equal(t, "b", k.Get("b"))
		require.Equal(t, 2, k.Len())
		require.Len(t, k.All(), 2)
		require.Zero(t, time.Since(start))
		time.Sleep(2 * time.Minute)
		require.Equal(t, 2, k.Len())
	})
}

func TestKeyedSaysWhatIsWrong(t *testing.T) {
	var k policy.Keyed[int]
	require.EqualError(t, k.Validate(), "Keyed.New is nil; want a func")
	require.PanicsWithError(t, "policy: Keyed.New is nil; want a func", func() { k.Get("a") })
	k.New = func(string) int { return 1 }
	require.NoError(t, k.Validate())
	k.Max = -1
	require.EqualError(t, k.Validate(), "Keyed.Max is -1; want 0 or more")
	for i := range 1100 {
		k.Get(fmt.Sprint(i))
	}
	require.Equal(t, 1024, k.Len(), "the default")
}

// A held is a core that knows how many hold it.
type held struct {
	key     string
	holders atomic.Int64
}

func (h *held) Idle() bool { return h.holders.Load() == 0 }

// From many goroutines, busy and idle keys mixed: what a caller holds, and has then been returned again, stays
// remembered until it is let go, and there are never more cores than the comment of Max says.
func TestKeyedStress(t *testing.T) {
	const most, keys, goroutines, steps = 16, 40, 64, 400
	k := &policy.Keyed[*held]{Max: most, New: func(key string) *held { return &held{key: key} }}
	var group sync.WaitGroup
	var pinned, alone atomic.Int64
	for g := range goroutines {
		group.Go(func() {
			for i := range steps {
				key := fmt.Sprint((g*7 + i*(1+g%3)) % keys)
				h := k.Get(key)
				if h.key != key {
					t.Errorf("got %s for %s", h.key, key)
				}
				h.holders.Add(1)
				if k.Get(key) == h {
					pinned.Add(1)
					for range g % 4 {
						k.Get(fmt.Sprint("other", g, i))
						if again := k.Get(key); again != h {
							t.Errorf("%s has a second core while the first is held", key)
						}
					}
				} else {
					alone.Add(1)
				}
				if n := k.Len(); n > most+most/8 {
					t.Errorf("remembers %d", n)
				}
				h.holders.Add(-1)
			}
		})
	}
	group.Wait()
	require.NotZero(t, pinned.Load())
	require.NotZero(t, alone.Load())
	for key, h := range k.All() {
		require.Equal(t, key, h.key)
		require.True(t, h.Idle())
	}
	for i := range 2 * most {
		k.Get(fmt.Sprint("last", i))
	}
	require.Equal(t, most, k.Len(), "what was over Max has gone")
}
