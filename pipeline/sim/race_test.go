//go:build race

package sim_test

// Under the race detector everything takes twenty times as long: a few runs have to do, and prove less.
func init() { share, tolerance = 0.1, 0.15 }
