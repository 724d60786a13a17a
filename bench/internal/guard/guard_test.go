package guard_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/bench/internal/guard"
	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/measure"
	"github.com/holdfast-go/holdfast/bench/internal/peers"
)

func series(workload string, times ...float64) measure.Series {
	return measure.Series{Case: measure.Case{Workload: workload, Peer: "p", Goroutines: 1}, Times: times}
}

// around is n rounds about value that scatter by so much, up and down by turns.
func around(value, scatter float64, n int) []float64 {
	times := make([]float64, n)
	for i := range times {
		times[i] = value
		if i%2 == 0 {
			times[i] += scatter * float64(i%5)
		} else {
			times[i] -= scatter * float64(i%5)
		}
	}
	return times
}

func term(times float64, workload string) guard.Term {
	return guard.Term{Times: times, Workload: workload, Peer: "p", Goroutines: 1}
}

func judge(t *testing.T, most float64, ours, theirs []float64) guard.Verdict {
	t.Helper()
	b := guard.Bound{Name: "b", Of: guard.Sum{term(1, "ours")}, By: guard.Sum{term(1, "theirs")}, Most: most}
	v, err := guard.Judge(b, []measure.Series{series("ours", ours...), series("theirs", theirs...)})
	require.NoError(t, err)
	return v
}

func TestARatioWithinItsBoundHolds(t *testing.T) {
	v := judge(t, 2.5, around(20, 0, 31), around(10, 0, 31))
	require.InDelta(t, 2, v.Ratio, 1e-9)
	require.False(t, v.Broken())
}

func TestARatioBeyondItsBoundIsBroken(t *testing.T) {
	require.True(t, judge(t, 2.5, around(26, 0.1, 31), around(10, 0, 31)).Broken())
}

func TestARatioBeyondItsBoundByNoMoreThanTheNoiseHolds(t *testing.T) {
	v := judge(t, 2.5, around(26, 4, 31), around(10, 0, 31))
	require.Greater(t, v.Ratio, 2.5)
	require.False(t, v.Broken())
}

func TestMoreRoundsSeeThroughTheSameNoise(t *testing.T) {
	few, many := judge(t, 2.5, around(30, 6, 15), around(10, 0, 15)), judge(t, 2.5, around(30, 6, 301), around(10, 0, 301))
	require.Greater(t, few.High-few.Low, many.High-many.Low)
	require.True(t, many.Broken())
}

func TestAFewRoundsThatAreFarOutChangeNothing(t *testing.T) {
	ours := around(20, 0.1, 41)
	for i := range 8 {
		ours[i*5] = 10_000
	}
	require.False(t, judge(t, 2.5, ours, around(10, 0, 41)).Broken())
}

func TestTooFewRoundsProveNothing(t *testing.T) {
	require.False(t, judge(t, 2.5, around(1000, 0, 3), around(10, 0, 3)).Broken())
}

func TestWhatCannotBeComparedIsBroken(t *testing.T) {
	require.True(t, judge(t, 2.5, around(0, 0, 31), around(0, 0, 31)).Broken())
}

func TestSumsAreTakenRoundByRound(t *testing.T) {
	b := guard.Bound{
		Of: guard.Sum{term(1, "eight"), term(-1, "none")},
		By: guard.Sum{term(8, "call")}, Most: 2.5,
	}
	v, err := guard.Judge(b, []measure.Series{series("eight", 37, 370), series("none", 5, 50), series("call", 2, 20)})
	require.NoError(t, err)
	require.InDelta(t, 2, v.Ratio, 1e-9)
}

func TestABoundOnWhatNobodyMeasuredIsAnError(t *testing.T) {
	_, err := guard.Judge(guard.Bound{Name: "b", Of: guard.Sum{term(1, "ours")}, By: guard.Sum{term(1, "x")}}, []measure.Series{series("ours", 1)})
	require.ErrorContains(t, err, `b: nobody measured "x"`)
}

func TestAnAllocationTooManyIsAProblem(t *testing.T) {
	measured := []measure.Series{series("a"), series("b"), series("d")}
	measured[0].Allocs, measured[1].Allocs = 1, 1
	require.Equal(t, []string{
		"a: 1 allocations a call; want at most 0",
		"c: nobody measured its allocations",
	}, guard.Allocated(map[string]uint64{"a": 0, "b": 1, "c": 0}, "p", measured))
}

// meter measures ours and theirs, with a ratio for each time it is asked.
func meter(ratios ...float64) (guard.Meter, *int) {
	asked := 0
	return func(context.Context, []measure.Case) ([]measure.Series, error) {
		r := ratios[asked]
		asked++
		return []measure.Series{series("ours", around(10*r, 0, 31)...), series("theirs", around(10, 0, 31)...)}, nil
	}, &asked
}

func watch(t *testing.T, m guard.Meter) (string, error) {
	t.Helper()
	var out strings.Builder
	bounds := []guard.Bound{{Name: "ours by theirs", Of: guard.Sum{term(1, "ours")}, By: guard.Sum{term(1, "theirs")}, Most: 2}}
	err := guard.Watch(t.Context(), &out, m, nil, bounds, "p", nil)
	return out.String(), err
}

func TestASuspectIsMeasuredAgain(t *testing.T) {
	m, asked := meter(3, 1.9)
	out, err := watch(t, m)
	require.NoError(t, err)
	require.Equal(t, 2, *asked)
	require.Contains(t, out, "again  ours by theirs")
	require.Contains(t, out, "ok     ours by theirs")
}

func TestWhatIsWorseEveryTimeFails(t *testing.T) {
	m, asked := meter(3, 3, 3)
	out, err := watch(t, m)
	require.EqualError(t, err, "ours by theirs: 3 (3 to 3); want at most 2")
	require.Equal(t, guard.Chances, *asked)
	require.Contains(t, out, "WORSE")
}

func TestEveryPinAndBoundIsOfSomethingThatIsMeasured(t *testing.T) {
	cases := peers.Cases(nil, 1, 8)
	for _, b := range guard.Bounds {
		needed := guard.Cases([]guard.Bound{b}, cases)
		var all []measure.Series
		for _, c := range needed {
			all = append(all, measure.Series{Case: c, Times: []float64{1}})
		}
		_, err := guard.Judge(b, all)
		require.NoError(t, err)
		require.Positive(t, b.Most)
	}
	for name := range guard.Pins {
		require.NotNil(t, peers.Holdfast().Op(name, load.Healthy()), name)
	}
}

func TestPinsHold(t *testing.T) {
	require.NoError(t, guard.Watch(t.Context(), t.Output(), nil, guard.Pins, nil, peers.Ours, peers.Cases(nil, 1)))
}
