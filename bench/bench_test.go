package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/measure"
	"github.com/holdfast-go/holdfast/bench/internal/peers"
	"github.com/holdfast-go/holdfast/bench/internal/report"
)

// Benchmark is what the command measures, as ordinary benchmarks: for benchstat, -cpuprofile and -cpu. Times are those
// that passed, by the calls of all goroutines.
func Benchmark(b *testing.B) {
	for _, c := range peers.Cases(nil, 1) {
		b.Run(fmt.Sprintf("%s/%s", c.Workload, c.Peer), func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := c.Context()
			defer cancel()
			for b.Loop() {
				if v, err := c.Op(ctx); v != load.Answer || err != nil {
					b.Fatalf("answered %d, %v", v, err)
				}
			}
		})
	}
}

// BenchmarkParallel calls from as many goroutines as there are cores, or -cpu says.
func BenchmarkParallel(b *testing.B) {
	for _, c := range peers.Cases(nil, 1) {
		b.Run(fmt.Sprintf("%s/%s", c.Workload, c.Peer), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx, cancel := c.Context()
				defer cancel()
				for pb.Next() {
					if v, err := c.Op(ctx); v != load.Answer || err != nil {
						b.Errorf("answered %d, %v", v, err)
						return
					}
				}
			})
		})
	}
}

func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = command(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), err
}

func TestARunWritesTablesAndChart(t *testing.T) {
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	require.NoError(t, os.WriteFile(readme, []byte("before\n"+report.Start+"\nstale\n"+report.End+"\nafter\n"), 0o600))

	stdout, stderr, err := run(t, "-out", filepath.Join(dir, "out"), "-readme", readme, "-for", "50ms", "-rounds", "2",
		"-goroutines", "1,2", "-run", "^(direct call|retry)$")
	require.NoError(t, err)
	require.Contains(t, stdout, "failsafe-go")
	require.Contains(t, stderr, "0 %")
	for _, name := range []string{"results.md", "results.json", "chart.svg"} {
		require.FileExists(t, filepath.Join(dir, "out", name))
	}
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Contains(t, string(text), "| retry |")
	require.NotContains(t, string(text), "stale")
	require.NotContains(t, string(text), dir)
}

func TestArgumentsThatMakeNoSense(t *testing.T) {
	for want, args := range map[string][]string{
		`-goroutines is "0"`:     {"-goroutines", "0"},
		`no workload matches`:    {"-run", "nothing of the kind"},
		`-rounds is 0`:           {"-rounds", "0"},
		`unknown arguments`:      {"guard"},
		`missing closing )`:      {"-run", "("},
		`no such file`:           {"-readme", "nowhere", "-out", "", "-run", "^direct", "-for", "1ms", "-goroutines", "1", "-rounds", "1"},
		`not defined: -whatever`: {"-whatever"},
	} {
		_, _, err := run(t, args...)
		require.ErrorContains(t, err, want)
	}
	_, stderr, err := run(t, "-h")
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, stderr, "-guard")
}

func TestAnInterruptEndsARun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.ErrorIs(t, command(ctx, []string{"-out", "", "-run", "^direct"}, &out, &out), context.Canceled)
}

func TestTheBudgetIsSharedOut(t *testing.T) {
	require.Equal(t, measure.Slice(0, 1000, 10), measure.Slice(1, 1000, 10), "no budget is too small to measure at all")
	require.Greater(t, measure.Slice(60e9, 100, 7), measure.Slice(30e9, 100, 7))
}
