package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
)

// outage is a minute of ten steady requests a second, with phases in it.
func outage(phases ...sim.Phase) sim.Report {
	return sim.Run(sim.Setup{Length: time.Minute, Arrivals: sim.Steady(10), Phases: phases})
}

func TestGoodputThatIsBackOverTenSecondsIsARecovery(t *testing.T) {
	none := outage()
	require.Equal(t, sim.Recovery{}, none.Recovery)
	require.Equal(t, "100.0 % of the requests succeeded, with 1.00 calls each", none.Verdict())

	// What begins a second before the outage ends is good for nine seconds out of ten.
	once := outage(sim.Phase{Name: "outage", From: 10 * time.Second, To: 30 * time.Second, Failures: 1})
	require.Equal(t, sim.Recovery{Expected: true, Recovered: true, At: 29 * time.Second}, once.Recovery)
	require.Equal(t, "Recovered: goodput was back as soon as the outage was over", once.Verdict())

	half := outage(sim.Phase{From: 10 * time.Second, To: 20 * time.Second, Slower: 2},
		sim.Phase{From: 15 * time.Second, To: 40 * time.Second, Failures: 0.9})
	require.Equal(t, 39*time.Second, half.Recovery.At)

	relapse := outage(sim.Phase{From: 10 * time.Second, To: 15 * time.Second, Failures: 1},
		sim.Phase{Name: "second", From: 40 * time.Second, To: 59 * time.Second, Failures: 1})
	require.Equal(t, sim.Recovery{Expected: true}, relapse.Recovery)
	require.Equal(t, "Collapsed: goodput never came back after the second", relapse.Verdict())
}

func TestAGoalOfOneIsAllOfTheRate(t *testing.T) {
	s := sim.Setup{
		Length: time.Minute, Arrivals: sim.Steady(10), Goal: 1,
		Phases: []sim.Phase{{From: 10 * time.Second, To: 30 * time.Second, Failures: 1}},
	}
	require.Equal(t, 30*time.Second, sim.Run(s).Recovery.At)
}

func TestRepeatedRunsAreSummedUp(t *testing.T) {
	at := map[uint64]time.Duration{1: 20, 2: 30, 3: 40, 4: 59}
	reports := sim.Repeat(4, func(seed uint64) sim.Setup {
		return sim.Setup{
			Seed: seed, Length: time.Minute, Arrivals: sim.Steady(10), Goal: 1,
			Phases: []sim.Phase{{From: 10 * time.Second, To: at[seed] * time.Second, Failures: 1}},
		}
	})
	for i, r := range reports {
		require.Equal(t, uint64(i+1), r.Seed)
	}
	require.Equal(t, 3, reports.Recovered())
	require.Equal(t, 30*time.Second, reports.MedianRecovery())
	require.Equal(t, 35*time.Second, reports[:3:3][1:].MedianRecovery())
	require.Zero(t, reports[3:].MedianRecovery())
	require.InDelta(t, 2.5, reports.Mean(func(r sim.Report) float64 { return float64(r.Seed) }), 0)
}
