// Package report turns what was measured into tables and a chart.
package report

import (
	"math"
	"slices"

	"github.com/holdfast-go/holdfast/bench/internal/load"
	"github.com/holdfast-go/holdfast/bench/internal/measure"
)

// Results are a whole run. They encode to JSON.
type Results struct {
	Machine Machine  `json:"machine"`
	Modules []Module `json:"modules"`
	Rounds  int      `json:"rounds"`
	Peers   []Column `json:"peers"` // in the order of the tables; the first is ours, the second the limit
	Rows    []Row    `json:"rows"`
}

// A Column is a library.
type Column struct {
	Name    string   `json:"name"`
	Modules []string `json:"modules"`
}

// A Row is a workload.
type Row struct {
	Workload string `json:"workload"`
	Means    string `json:"means"`
	Cells    []Cell `json:"cells"`
}

// A Cell is a workload as one library does it.
type Cell struct {
	Peer   string   `json:"peer"`
	Allocs uint64   `json:"allocs"`
	Bytes  uint64   `json:"bytes"`
	Times  []Time   `json:"times"` // by the number of goroutines, ascending
	Notes  []string `json:"notes,omitempty"`
}

// A Time is the processor time of one call.
type Time struct {
	Goroutines int     `json:"goroutines"`
	Nanos      float64 `json:"nanos"`           // the median over the rounds
	Spread     float64 `json:"spread"`          // ±, of the middle half of the rounds, as a share of Nanos
	Ratio      float64 `json:"ratio,omitempty"` // to ours, the median over the rounds; 0 where ours does not have it
	Loss       float64 `json:"loss,omitempty"`  // Nanos by that from the fewest goroutines: 1 is no loss

	// Cores is how many processors the calls really had. Short is whether those were too few for the goroutines to meet
	// as they would on an idle machine: then Nanos and Loss are at least what they say.
	Cores float64 `json:"cores"`
	Short bool    `json:"short,omitempty"`
}

// Collect arranges series into rows.
func Collect(series []measure.Series, workloads []load.Workload, peers []load.Peer) Results {
	var r Results
	for _, p := range peers {
		r.Peers = append(r.Peers, Column{p.Name(), p.Modules()})
	}
	for _, s := range series {
		r.Rounds = max(r.Rounds, len(s.Times))
	}
	for _, w := range workloads {
		row := Row{Workload: w.Name, Means: w.Means}
		for _, p := range peers {
			if cell, ok := collect(series, w.Name, p, r.Peers[0].Name); ok {
				row.Cells = append(row.Cells, cell)
			}
		}
		if len(row.Cells) > 0 {
			r.Rows = append(r.Rows, row)
		}
	}
	return r
}

func collect(series []measure.Series, workload string, p load.Peer, ours string) (Cell, bool) {
	cell := Cell{Peer: p.Name(), Notes: p.Notes(workload)}
	var alone measure.Series
	for _, s := range series {
		if s.Workload != workload || s.Peer != p.Name() {
			continue
		}
		if len(cell.Times) == 0 {
			alone = s
		}
		cell.Allocs, cell.Bytes = s.Allocs, s.Bytes
		t := Time{Goroutines: s.Goroutines, Nanos: measure.Median(s.Times), Spread: measure.Spread(s.Times)}
		if base := find(series, workload, ours, s.Goroutines); base != nil {
			t.Ratio = measure.Median(measure.Ratios(s.Times, base.Times))
		}
		t.Cores = measure.Median(s.Cores)
		t.Short = s.Goroutines > 1 && !measure.Sample{Cores: t.Cores}.Full(s.Goroutines)
		t.Loss = measure.Median(measure.Ratios(s.Times, alone.Times))
		cell.Times = append(cell.Times, t)
	}
	return cell, len(cell.Times) > 0
}

// find is the series of a case, or nil.
func find(series []measure.Series, workload, peer string, goroutines int) *measure.Series {
	for i, s := range series {
		if s.Workload == workload && s.Peer == peer && s.Goroutines == goroutines {
			return &series[i]
		}
	}
	return nil
}

// Row is the row of a workload, or an empty one.
func (r Results) Row(workload string) Row {
	for _, row := range r.Rows {
		if row.Workload == workload {
			return row
		}
	}
	return Row{}
}

// Cell is the cell of a peer, and whether there is one.
func (r Row) Cell(peer string) (Cell, bool) {
	for _, c := range r.Cells {
		if c.Peer == peer {
			return c, true
		}
	}
	return Cell{}, false
}

// Alone is the cell's time from one goroutine, or from as few as were measured.
func (c Cell) Alone() Time {
	if len(c.Times) == 0 {
		return Time{Nanos: math.NaN()}
	}
	return c.Times[0]
}

// From is the cell's time from so many goroutines; its Nanos are NaN where that was not measured.
func (c Cell) From(goroutines int) Time {
	for _, t := range c.Times {
		if t.Goroutines == goroutines {
			return t
		}
	}
	return Time{Goroutines: goroutines, Nanos: math.NaN()}
}

// Goroutines are the numbers of goroutines that were measured, ascending.
func (r Results) Goroutines() []int {
	var all []int
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			for _, t := range c.Times {
				all = append(all, t.Goroutines)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
