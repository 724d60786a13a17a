//go:build unix

package measure

import (
	"syscall"
	"time"
)

// processorTime is what this process has taken of all processors so far, and whether that is known.
func processorTime() (time.Duration, bool) {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}
