package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/sim"
)

func TestTheStormIsOverUnlessThereAreOnlyRetries(t *testing.T) {
	if testing.Short() {
		t.Skip("it simulates for seconds")
	}
	out := filepath.Join(t.TempDir(), "storm.html")
	var log strings.Builder
	require.NoError(t, run(out, 1, &log))
	for _, want := range []string{
		"no retry                                   recovered in  1 of 1 runs",
		"3 attempts at once                         recovered in  0 of 1 runs",
		"3 attempts, full jitter                    recovered in  0 of 1 runs",
		"3 attempts, budget of a tenth              recovered in  1 of 1 runs",
		"3 attempts, at most 100 in flight          recovered in  1 of 1 runs",
		"3 attempts, breaker around each            recovered in  1 of 1 runs",
	} {
		require.Contains(t, log.String(), want)
	}
	page, err := os.ReadFile(out)
	require.NoError(t, err)
	for _, row := range rows {
		require.Contains(t, string(page), "<td>"+row.name+"</td>")
		require.Contains(t, string(page), "<h2>"+row.name+"</h2>")
	}
}

func TestWithoutASurgeNothingHappens(t *testing.T) {
	for _, row := range rows {
		s := setup(row, 1)
		s.Phases, s.Length = nil, time.Minute
		r := sim.Run(s)
		require.Greater(t, r.SuccessRate(), 0.99, row.name)
	}
}

func TestAPageThatCannotBeWrittenIsAnError(t *testing.T) {
	require.Error(t, run(filepath.Join(t.TempDir(), "missing", "storm.html"), 0, &strings.Builder{}))
}
