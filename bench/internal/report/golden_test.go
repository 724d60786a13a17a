package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/measure"
	"github.com/holdfast-go/holdfast/bench/internal/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

type peer string

func (p peer) Name() string                 { return string(p) }
func (p peer) Modules() []string            { return []string{"github.com/example/" + string(p)} }
func (p peer) Op(string, load.Work) load.Op { return nil }
func (p peer) Notes(workload string) []string {
	if p == "quick" && workload == load.Retry {
		return []string{"does less"}
	}
	return nil
}

// made are results out of made-up numbers.
func made() report.Results {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // so that one core is too few
	var series []measure.Series
	add := func(workload, peer string, allocs uint64, goroutines int, times ...float64) {
		series = append(series, measure.Series{
			Case:  measure.Case{Workload: workload, Peer: peer, Goroutines: goroutines},
			Times: times, Cores: slices.Repeat([]float64{1}, len(times)), Allocs: allocs, Bytes: 16 * allocs,
		})
	}
	add(load.Direct, "limit", 0, 1, 2, 2, 2)
	add(load.Direct, "limit", 0, 8, 2, 2, 2)
	for _, workload := range []string{load.Retry, load.Three, load.BreakerTime} {
		add(workload, "ours", 0, 1, 19, 20, 21)
		add(workload, "ours", 0, 8, 20, 20, 20)
		add(workload, "limit", 0, 1, 6, 6, 6)
		add(workload, "limit", 0, 8, 6, 6, 6)
		add(workload, "slow", 22, 1, 760, 800, 840)
		add(workload, "slow", 22, 8, 1600, 1600, 1600)
	}
	add(load.Retry, "quick", 0, 1, 9, 10, 11)
	add(load.Failing, "ours", 3, 1, 280)
	add(load.Failing, "slow", 1, 1, 12_000)

	r := report.Collect(series, load.All(), []load.Peer{peer("ours"), peer("limit"), peer("slow"), peer("quick")})
	r.Machine = report.Machine{Processor: "A Processor", Cores: 2, System: "linux/amd64", Go: "go1.26"}
	r.Modules = []report.Module{{Path: "github.com/example/slow", Version: "v1.2.3"}, {Path: "github.com/example/quick", Version: "v2.0.0"}}
	return r
}

func TestGolden(t *testing.T) {
	r := made()
	data, err := json.MarshalIndent(r, "", "\t")
	require.NoError(t, err)
	for name, got := range map[string]string{
		"results.md": r.Markdown(), "results.txt": r.Text(), "readme.md": r.Table(), "chart.svg": r.Chart(), "results.json": string(data),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

func TestTheChartIsWellFormed(t *testing.T) {
	for _, r := range []report.Results{made(), {Peers: made().Peers}} {
		d := xml.NewDecoder(strings.NewReader(r.Chart()))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
	}
}

func TestOnlyWhatIsBetweenTheMarkersIsReplaced(t *testing.T) {
	text, err := made().Replace("before\n" + report.Start + "\nstale\n" + report.End + "\nafter\n")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, "before\n"+report.Start+"\n|"))
	require.True(t, strings.HasSuffix(text, report.End+"\nafter\n"))
	require.NotContains(t, text, "stale")
	again, err := made().Replace(text)
	require.NoError(t, err)
	require.Equal(t, text, again)
}

func TestAFileWithoutMarkersIsLeftAlone(t *testing.T) {
	for _, text := range []string{"", report.Start, report.End, report.End + "\n" + report.Start} {
		_, err := made().Replace(text)
		require.ErrorContains(t, err, report.Start)
	}
}

func TestTheMachineHasNoHostName(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	require.NotContains(t, report.ThisMachine().String(), host)
	require.NotEmpty(t, report.ThisMachine().Processor)
}
