package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJitterEndsTheContestSooner(t *testing.T) {
	results := map[string]result{}
	for _, row := range rows {
		results[row.name] = measure(100, 2, row.backoff)
	}
	for _, jittered := range []string{"equal jitter", "decorrelated jitter", "full jitter"} {
		require.Less(t, results[jittered].ms, results["exponential, no jitter"].ms/5)
		require.Less(t, results[jittered].calls, results["no wait"].calls/2)
	}
	require.Less(t, results["full jitter"].calls, results["decorrelated jitter"].calls)
	require.Less(t, results["full jitter"].ms, results["equal jitter"].ms)
}

func TestThePageHasEveryBackoff(t *testing.T) {
	out := filepath.Join(t.TempDir(), "jitter.html")
	var log strings.Builder
	require.NoError(t, run(out, 1, &log))
	page, err := os.ReadFile(out)
	require.NoError(t, err)
	for _, row := range rows {
		require.Contains(t, log.String(), row.name)
		require.Contains(t, string(page), "<td>"+row.name+"</td>")
	}
	require.Equal(t, 4, strings.Count(string(page), `role="img"`))
}
