package policy_test

import "github.com/holdfast-go/holdfast/policy"

// sightings count what a suite has really seen; nil counts nothing.
type sightings map[string]int

func (s sightings) plan(plan)                                      {}
func (s sightings) acquire(*machine, int64)                        {}
func (s sightings) refused(policy.State)                           {}
func (s sightings) done(*machine, *running, policy.Outcome, int64) {}
func (s sightings) ended(*machine)                                 {}
func (s sightings) looked(*machine, int64, policy.Snapshot)        {}
func (s sightings) change(policy.Change, *model)                   {}
