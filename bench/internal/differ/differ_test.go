// Package differ_test runs Holdfast's cores side by side with those of other libraries, over random operations in
// virtual time. They have to agree; where the libraries differ on purpose, a test says how.
package differ_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var seed = flag.Uint64("differ.seed", 1, "of the random operations")

// random returns the source of a test's operations, and logs its seed.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("-differ.seed=%d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

// upTo returns a time of at most d, to the nanosecond.
func upTo(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d) + 1)) }
