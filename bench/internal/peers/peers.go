// Package peers does every workload with every library, each in a file of its own and in the way its documentation
// recommends: what can be built once is built once, and what belongs to a call is made by the call.
//
// Every library is given the caller's context wherever it takes one, and the func gets a context too.
package peers

import (
	"context"

	"github.com/holdfast-go/holdfast/bench/internal/load"
)

// All are the libraries, Holdfast first and plain Go second.
func All() []load.Peer {
	return []load.Peer{
		Holdfast(), Hand(), Failsafe(), Together(), Gobreaker(), Backoff(), RetryGo(), GoRetry(), Resiliency(),
	}
}

// Ours and Limit are the names of the two that everything is compared with.
const (
	Ours  = "Holdfast"
	Limit = "hand-written"
)

// A library is a load.Peer out of a table.
type library struct {
	name    string
	modules []string
	ops     map[string]func(load.Work) load.Op
	notes   map[string][]string
}

func (l library) Name() string               { return l.name }
func (l library) Modules() []string          { return l.modules }
func (l library) Notes(name string) []string { return l.notes[name] }

func (l library) Op(name string, work load.Work) load.Op {
	build := l.ops[name]
	if build == nil {
		return nil
	}
	return build(work)
}

type (
	ops   = map[string]func(load.Work) load.Op
	notes = map[string][]string
)

// Notes that several libraries have.
const (
	onStack = "calls the func through no interface, so that what it captures stays on the stack; policies that compose need one"
	oneCopy = "hands the result through no policies, so that it is copied less often"
)

// failing calls what is to fail until a breaker that opens at load.Threshold failures has opened.
func failing(call func() error) {
	for range load.Threshold {
		_ = call()
	}
}

func down(context.Context) (int, error) { return 0, load.ErrDown }
