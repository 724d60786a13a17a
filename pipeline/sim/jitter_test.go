package sim_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
	"github.com/holdfast-go/holdfast/policy"
)

var errConflict = errors.New("somebody else has written")

// contention is the model of aws-samples/aws-arch-backoff-simulator: n clients want to write one row, each of them
// once. Each reads its version, and writes if that is still the same; else it tries again.
func contention(n int, seed uint64, backoff policy.Backoff) sim.Setup {
	hop := sim.Normal(10*time.Millisecond, 2*time.Millisecond)
	version := 0
	return sim.Setup{
		Seed: seed, Arrivals: sim.AtOnce(n), Clients: n, Step: time.Minute,
		Build: build(func(env sim.Env) []policy.Policy[none] { return []policy.Policy[none]{retry(env, 1_000_000, backoff)} }),
		Call: func(ctx context.Context, env sim.Env) error {
			_ = env.Clock.Sleep(ctx, hop(env.Rand))
			read := version
			_ = env.Clock.Sleep(ctx, hop(env.Rand)+hop(env.Rand)) // the answer, and the write
			won := read == version
			if won {
				version++
			}
			_ = env.Clock.Sleep(ctx, hop(env.Rand))
			if !won {
				return errConflict
			}
			return nil
		},
	}
}

// The table of the AWS Architecture Blog's model ("Exponential Backoff And Jitter", 2015), as means of 100 runs. What
// it calls attempt 1 comes after the first failure, so that its first exponential backoff is twice its base of 5 ms.
func TestJitterMakesContendersFasterAndTheirCallsFewer(t *testing.T) {
	const top = 2 * time.Second
	exponential := policy.Exponential(10*time.Millisecond, top)
	for _, row := range []struct {
		name            string
		backoff         policy.Backoff
		ms10, calls10   float64
		ms100, calls100 float64
	}{
		{"none", policy.Constant(0), 375, 50, 2_020, 2_418},
		{"exponential", exponential, 3_590, 51, 63_400, 1_858},
		{"equal", policy.EqualJitter(exponential), 733, 42, 6_640, 813},
		{"decorrelated", policy.Decorrelated(5*time.Millisecond, top), 435, 38, 4_690, 1_001},
		{"full", policy.FullJitter(exponential), 465, 39, 4_860, 796},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []struct {
				clients   int
				ms, calls float64
			}{{10, row.ms10, row.calls10}, {100, row.ms100, row.calls100}} {
				n := 100
				if row.name == "exponential" && size.clients == 10 {
					n = 3000 // they take 1.3 s more or less than the mean, so that 100 do not settle 5 % of it
				}
				reports := sim.Repeat(runs(n), func(seed uint64) sim.Setup { return contention(size.clients, seed, row.backoff) })
				ms := reports.Mean(func(r sim.Report) float64 { return r.Length.Seconds() * 1000 })
				calls := reports.Mean(func(r sim.Report) float64 { return float64(r.Calls) })
				t.Logf("%d clients: %.0f ms, want %.0f; %.1f calls, want %.0f", size.clients, ms, size.ms, calls, size.calls)
				require.InEpsilon(t, size.ms, ms, tolerance)
				require.InEpsilon(t, size.calls, calls, tolerance)
			}
		})
	}
}
