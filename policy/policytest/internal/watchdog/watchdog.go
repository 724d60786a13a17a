// Package watchdog ends waits that would never end, such as for a policy that has kept a mutex locked over a panic. It is
// the one part of the test kits that goes by real time.
package watchdog

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// Limit is how long a wait may take. Tests of the kits make it shorter.
var Limit = 10 * time.Second

// Wait returns nil once done is closed, or after Limit an error that says where goroutines wait. What they hold stays
// held, and they are left behind.
func Wait(done <-chan struct{}) error {
	late := make(chan struct{})
	defer clock.System.AfterFunc(Limit, func() { close(late) }).Stop()
	select {
	case <-done:
		return nil
	case <-late:
		return fmt.Errorf("nothing has happened for %v: a mutex that stays locked over a panic, or a channel nobody serves? It waits here:\n%s", Limit, waiting())
	}
}

// waiting returns the stacks of the goroutines that wait under a policy.
func waiting() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for goroutine := range strings.SplitSeq(string(stacks), "\n\n") {
		head, _, _ := strings.Cut(goroutine, "\n")
		blocked := !strings.Contains(head, "[running") && !strings.Contains(head, "[runnable")
		if blocked && strings.Contains(goroutine, ".Execute(") && !slices.Contains(found, goroutine) {
			found = append(found, goroutine)
		}
	}
	const most = 3
	if len(found) > most {
		found = append(found[:most], fmt.Sprintf("and %d more goroutines", len(found)-most))
	}
	if len(found) == 0 {
		return "(no goroutine waits under a policy)"
	}
	return strings.Join(found, "\n\n")
}
