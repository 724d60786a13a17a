package pipeline

import (
	"fmt"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// A Plan is what Explain says of a pipeline. It prints as a tree with the worst case underneath, and encodes to JSON.
type Plan struct {
	Name     string        `json:"name,omitempty"`
	Policies []Node        `json:"policies"` // outermost first
	Bounds   policy.Bounds `json:"bounds"`   // of the whole
	Lints    []Lint        `json:"lints"`    // what is likely a mistake

	all []policy.Description // of every policy, those of inner pipelines included, outermost first
}

// A Node is one policy in a Plan, or an inner pipeline that was Named or Observed.
type Node struct {
	Kind     string           `json:"kind"` // "retry", "breaker", …, "pipeline", or the Go type of a policy that does not say
	Name     string           `json:"name,omitempty"`
	Settings []policy.Setting `json:"settings,omitempty"`
	Policies []Node           `json:"policies,omitempty"` // of an inner pipeline
}

// Explain says what the pipeline does: its policies with their settings, its worst case, and what is likely a
// mistake. It runs nothing but the policies' Describe and the funcs that this returns, and their classifiers on a zero
// value; where one of these panics, or a policy has no Describe, what depends on it is unknown. The same pipeline is
// always explained alike.
func (p Pipeline[T]) Explain() Plan {
	b := p.parts()
	plan := Plan{Name: b.name, Policies: nodes(b.policies), all: describeAll(b.policies)}
	plan.Bounds = policy.BareBounds()
	for i := len(plan.all) - 1; i >= 0; i-- {
		plan.Bounds = bounds(plan.all[i], plan.Bounds)
	}
	plan.Lints = lint(plan.all)
	return plan
}

// String draws the pipeline, as Explain prints it.
func (p Pipeline[T]) String() string { return p.Explain().String() }

func nodes[T any](policies []policy.Policy[T]) []Node {
	var list []Node
	for _, p := range policies {
		if inner, ok := asPipeline(p); ok {
			list = append(list, Node{Kind: "pipeline", Name: inner.name, Policies: nodes(inner.policies)})
			continue
		}
		d := describe(p)
		list = append(list, Node{Kind: d.Kind, Name: d.Name, Settings: d.Settings})
	}
	return list
}

// describeAll describes every policy, those of inner pipelines included, outermost first.
func describeAll[T any](policies []policy.Policy[T]) []policy.Description {
	var all []policy.Description
	for _, p := range policies {
		if inner, ok := asPipeline(p); ok {
			all = append(all, describeAll(inner.parts().policies)...)
			continue
		}
		all = append(all, describe(p))
	}
	return all
}

// describe is what p says of itself: no more than its type, where it says nothing or panics.
func describe(p any) (d policy.Description) {
	anonymous := policy.Description{Kind: fmt.Sprintf("%T", p)}
	d = anonymous
	defer func() {
		if recover() != nil {
			d = anonymous
		}
	}()
	if described, ok := p.(policy.Describer); ok {
		d = described.Describe()
	}
	return d
}

// bounds is the worst case of a policy around an inner part: unknown, where it does not say, or panics.
func bounds(d policy.Description, inner policy.Bounds) (b policy.Bounds) {
	b = policy.UnknownBounds(d.Kind)
	defer func() { _ = recover() }() // b is still unknown then
	if d.Bounds != nil {
		b = d.Bounds(inner)
	}
	return b
}

// clockOf is the one clock that Check has found the policies to share; nil where they need none.
func clockOf[T any](policies []policy.Policy[T]) clock.Clock {
	for _, d := range describeAll(policies) {
		if d.Clock != nil {
			return d.Clock
		}
	}
	return nil
}
