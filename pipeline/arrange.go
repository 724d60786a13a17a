package pipeline

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// arrange puts every policy, those of inner pipelines included, in its place under its scope: an inner pipeline's
// events go to its own observers and to those of the pipeline around it. An observer of both gets each event once.
func arrange[T any](policies []policy.Policy[T], scope *policy.Scope, means policy.Meaning[T]) []policy.Layer[T] {
	var layers []policy.Layer[T]
	for _, p := range policies {
		inner, ok := asPipeline(p)
		if !ok {
			layers = append(layers, policy.Layer[T]{Policy: p, Scope: scope})
			continue
		}
		layers = append(layers, arrangeInner(inner, scope, inner.means.Or(means))...)
	}
	return layers
}

// arrangeInner arranges a pipeline inside another one.
func arrangeInner[T any](inner Pipeline[T], outer *policy.Scope, means policy.Meaning[T]) []policy.Layer[T] {
	scope := func(observers []policy.Observer) *policy.Scope {
		s := &policy.Scope{Pipeline: inner.name, Clock: outer.Clock, Observers: observers}
		if s.Pipeline == "" {
			s.Pipeline = outer.Pipeline
		}
		return s
	}
	// The outer pipeline reports attempts to its own observers, and executions too, which an inner pipeline without a
	// name would report a second time under the same name.
	own := without(inner.observers, outer.Observers)
	all := scope(slices.Concat(own, outer.Observers))
	executions := all
	if inner.name == "" {
		executions = scope(own)
	}
	layers := arrange(inner.policies, all, means)
	if len(all.Observers) > 0 {
		layers = slices.Insert(layers, 0, policy.Layer[T]{Policy: span[T]{policy.Finished, executions, means}, Scope: all})
		layers = append(layers, policy.Layer[T]{Policy: span[T]{policy.Attempted, scope(own), means}, Scope: outer})
	}
	return layers
}

// without returns the observers that are not among others. Those that cannot be compared are.
func without(observers, others []policy.Observer) []policy.Observer {
	var kept []policy.Observer
	for _, o := range observers {
		known := slices.ContainsFunc(others, func(other policy.Observer) bool {
			return reflect.ValueOf(o).Comparable() && reflect.ValueOf(other).Comparable() && o == other
		})
		if !known {
			kept = append(kept, o)
		}
	}
	return kept
}

// meaningOf returns the meaning of the pipelines among policies, which flatten does away with.
func meaningOf[T any](policies []policy.Policy[T]) (m policy.Meaning[T]) {
	for _, p := range policies {
		if inner, ok := asPipeline(p); ok {
			m = m.Or(inner.parts().means)
		}
	}
	return m
}

// A span reports what passes through it once that is over, however it ends.
type span[T any] struct {
	kind  policy.Kind
	scope *policy.Scope
	means policy.Meaning[T]
}

// Execute implements policy.Policy.
func (s span[T]) Execute(ctx context.Context, next policy.Next[T]) (v T, err error) {
	start := s.scope.Nanos()
	returned := false
	defer func() {
		e := policy.Event{Kind: s.kind, Err: policy.ErrPanicked, Elapsed: clock.Since(start, s.scope.Nanos())}
		if returned {
			s.report(ctx, e, v, err)
		} else {
			s.scope.Emit(ctx, e)
		}
	}()
	v, err = next.Do(ctx)
	returned = true
	return v, err
}

// report emits e about a result. If the classifier or an observer panics, the value that was about to be returned is
// discarded.
func (s span[T]) report(ctx context.Context, e policy.Event, v T, err error) {
	reported := false
	defer func() {
		if !reported && s.means.Discard != nil {
			s.means.Discard(v)
		}
	}()
	e.Outcome, e.Err = s.means.Classify.Apply(ctx, v, err), err
	if e.Outcome != policy.Success {
		e.Err = s.means.ErrorOf(v, err)
	}
	s.scope.Emit(ctx, e)
	reported = true
}

// Refusal implements policy.Refuser.
func (s span[T]) Refusal(time.Duration) error { return nil }
