// Package policytest is for tests of pipelines and policies: dependencies that answer as told, failures as data, records
// of what happened, and the rules that every policy must keep.
//
// A [Schedule] says how a dependency behaves, call by call or phase by phase, and is written as text:
//
//	3*ok 5*fail@100ms hang                       call by call; everything after the last is ok
//	10s ok; 5s 80% fail@200ms; 3s capacity 50    phase by phase, from the first call on
//
// A [Script] plays a schedule, on any clock. A [Recording] takes one down from a real dependency, so that an incident's
// log replays as a test, and [Faults] makes drills of one for [policy.Chaos].
//
// Package policytest/proptest makes up schedules and looks for one that breaks a pipeline. This package imports nothing
// but this module and the standard library.
package policytest
