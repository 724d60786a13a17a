package policy_test

import (
	"testing"

	"pgregory.net/rapid"
)

// The same properties by Go's fuzzer, which looks for operation sequences that reach new code:
//
//	go test -fuzz FuzzCircuit ./policy
func FuzzCircuit(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		newMachine(t, nil, func(m *model) reference { return m }).run(t)
	}))
}

// The invariants of any composition, likewise:
//
//	go test -fuzz FuzzComposition ./policy
func FuzzComposition(f *testing.F) {
	drawn := rapid.Custom(drawComposed)
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		if found := judgeComposed(drawn.Draw(t, "case")); len(found) > 0 {
			t.Fatalf("%q", []string(found))
		}
	}))
}
