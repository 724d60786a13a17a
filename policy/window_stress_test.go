package policy

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of many goroutines that count in one bucket at once, without the lock and with it, none loses a call.
func TestCountingInOneBucketFromManyGoroutinesIsExact(t *testing.T) {
	const workers, calls = 4, 50_000
	w := &window{length: 1000}
	w.count(0, false)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range calls {
				if !w.quick(0) {
					t.Error("not counted")
				}
			}
		})
	}
	for range calls { // this goroutine is the lock's holder
		w.count(0, true)
	}
	all.Wait()
	counted, failures := w.counts(0)
	require.Equal(t, []int{1 + calls*(workers+1), calls}, []int{counted, failures})
}
