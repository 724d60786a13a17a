package proptest

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
)

const censusLabel = "proptest run"

var censuses atomic.Uint64

// census runs f, with a func that counts the goroutines which f has started, and those which they have, as far as they
// have not ended. Other tests that run at the same time do not count: a goroutine's labels pass to those it starts.
func census(f func(others func() int)) {
	before := runtime.NumGoroutine()
	number := strconv.FormatUint(censuses.Add(1), 10)
	pprof.Do(context.Background(), pprof.Labels(censusLabel, number), func(context.Context) {
		f(func() int {
			if runtime.NumGoroutine() <= before {
				return 0 // as nearly always, and the profile takes its time
			}
			return labelled(number) - 1 // but for this one
		})
	})
}

// labelled is the number of goroutines of a census, from the text that pprof has for people, which is the only one
// that tells labels without a decoder.
func labelled(number string) (n int) {
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		return 0
	}
	label := strconv.Quote(censusLabel) + ":" + strconv.Quote(number)
	alike := 0
	for line := range strings.Lines(text.String()) {
		if count, _, ok := strings.Cut(line, " @ "); ok {
			alike, _ = strconv.Atoi(count)
		} else if strings.HasPrefix(line, "# labels: ") && strings.Contains(line, label) {
			n += alike
		}
	}
	return n
}
