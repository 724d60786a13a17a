package pipehttp_test

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// No goroutine outlives the tests: connections are closed, contexts freed.
func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 1) // the fuzzer listens for signals on a goroutine that stays: start it now
	signal.Notify(signals, os.Interrupt)
	signal.Stop(signals)
	before := runtime.NumGoroutine()
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			os.Exit(code)
		}
		time.Sleep(5 * time.Millisecond) // servers and connections take a moment to wind down
	}
	fmt.Fprintln(os.Stderr, "goroutines are left:")
	_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	os.Exit(1)
}
