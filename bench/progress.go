package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/holdfast-go/holdfast/bench/internal/measure"
)

// progress shows how far a run is, and about how long it will take: on one line of a terminal, and elsewhere by a line
// every tenth of the way. done clears it.
func progress(w io.Writer) (show func(step, steps int, c measure.Case), done func()) {
	start := time.Now()
	shown := -1
	terminal := isTerminal(w)
	show = func(step, steps int, c measure.Case) {
		percent := 100 * step / steps
		if !terminal && percent/10 == shown/10 && shown >= 0 {
			return
		}
		shown = percent
		left := ""
		if step > 0 {
			d := time.Since(start) / time.Duration(step) * time.Duration(steps-step)
			left = d.Round(time.Second).String() + " left"
		}
		if terminal {
			_, _ = fmt.Fprintf(w, "\r\033[K%3d %%  %-9s  %v", percent, left, c)
		} else {
			_, _ = fmt.Fprintf(w, "%3d %%  %s\n", percent, left)
		}
	}
	return show, func() {
		if terminal {
			_, _ = fmt.Fprint(w, "\r\033[K")
		}
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
