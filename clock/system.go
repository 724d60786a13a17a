package clock

import (
	"context"
	"time"
)

// System is the machine's time. One reading costs one read of the monotonic clock, so that steps of the wall clock
// (NTP, an operator) never show. Inside a testing/synctest bubble it is the bubble's time.
var System Clock = system{}

type system struct{}

// Every reading is start plus the monotonic time since, which costs half of what time.Now does.
var (
	start     = time.Now()
	startWall = start.UnixNano()
)

// bubble is more time than a process lives. The clock of a synctest bubble is decades away from the machine's, so
// that a reading so far from start was taken inside one.
const bubble = 9 * 365 * 24 * time.Hour

func (system) Nanos() int64 {
	d := time.Since(start)
	if d > bubble || d < -bubble {
		return time.Now().UnixNano()
	}
	return startWall + int64(d)
}

func systemTime(n int64) time.Time {
	d := time.Duration(n - startWall)
	if d > bubble || d < -bubble {
		return time.Unix(0, n)
	}
	return start.Add(d)
}

// systemNanos is the inverse of systemTime.
func systemNanos(t time.Time) int64 {
	d := t.Sub(start)
	if d > bubble || d < -bubble {
		return t.UnixNano()
	}
	return startWall + int64(d)
}

func (system) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		if ctx.Err() == nil {
			return nil
		}
	}
	return context.Cause(ctx)
}

func (system) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
