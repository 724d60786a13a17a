package policy_test

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"testing"
)

// After the last test no goroutine is left but those there were before the first: no policy leaves any.
func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 1) // the fuzzer listens to them, by a goroutine that stays: it is there before
	signal.Notify(signals, os.Interrupt)
	signal.Stop(signals)
	before := runtime.NumGoroutine()
	code := m.Run()
	for range 100_000 { // those that are ending need a moment
		if runtime.NumGoroutine() <= before {
			os.Exit(code)
		}
		runtime.Gosched()
	}
	var left bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&left, 1)
	fmt.Fprintf(os.Stderr, "%d goroutines before the tests, %d after:\n%s", before, runtime.NumGoroutine(), &left)
	os.Exit(max(1, code))
}
