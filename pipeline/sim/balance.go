package sim

import (
	"math/rand/v2"
	"time"
)

// A Balance says which of several servers a call goes to.
type Balance uint8

// How calls are spread over Setup.Replicas.
const (
	RoundRobin    Balance = iota // in turn
	Randomly                     // to any of them
	LeastInFlight                // to the one with the fewest calls in flight, the first of these
	SameZone                     // to one of the client's own zone, in turn
)

var balances = [...]string{"in turn", "randomly", "to the least busy", "within the zone"}

// String says what the balance does.
func (b Balance) String() string {
	if int(b) < len(balances) {
		return balances[b]
	}
	return "unknown"
}

// A fleet is the servers of a run.
type fleet struct {
	servers []*server
	balance Balance
	rand    *rand.Rand
	turn    int
	turns   []int // by zone
}

func newFleet(w *world) *fleet {
	s := w.setup
	f := &fleet{balance: s.Balance, rand: stream(s.Seed, 1), turns: make([]int, max(1, s.Zones))}
	if len(s.Replicas) == 0 {
		f.servers = []*server{{Server: s.Server, world: w, rand: f.rand}}
		return f
	}
	for i, r := range s.Replicas {
		// The streams of servers count down, those of clients up.
		own := &server{Server: r, world: w, number: i + 1, rand: stream(s.Seed, ^uint64(i))}
		if s.Zones > 0 {
			own.zone = i % s.Zones
		}
		f.servers = append(f.servers, own)
	}
	return f
}

// choose returns the server for a call of r.
func (f *fleet) choose(r *request) *server {
	if len(f.servers) == 1 {
		return f.servers[0]
	}
	switch f.balance {
	case Randomly:
		return f.servers[f.rand.IntN(len(f.servers))]
	case LeastInFlight:
		now, least := r.world.now(), f.servers[0]
		for _, s := range f.servers[1:] {
			if s.inFlight(now) < least.inFlight(now) {
				least = s
			}
		}
		return least
	case SameZone:
		zone := r.client.zone
		all := (len(f.servers) - zone + len(f.turns) - 1) / len(f.turns) // every so many-th is in the zone
		s := f.servers[zone+f.turns[zone]%all*len(f.turns)]
		f.turns[zone]++
		return s
	default:
		s := f.servers[f.turn%len(f.servers)]
		f.turn++
		return s
	}
}

// inFlight is the number of calls that have arrived at any server and not been answered.
func (f *fleet) inFlight(now time.Duration) (n int) {
	for _, s := range f.servers {
		n += s.inFlight(now)
	}
	return n
}
