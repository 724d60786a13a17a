package clock

import (
	"cmp"
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

// A bubble's times have no monotonic reading, so that what follows goes by its wall clock there, and is exact.

func (system) Nanos() int64 { return startWall + int64(time.Since(start)) }

func systemTime(n int64) time.Time { return start.Add(Since(startWall, n) - Since(n, startWall)) }

// systemNanos is the inverse of systemTime, held at the ends of the range: a deadline in the year 9999 is far away.
func systemNanos(t time.Time) int64 { return After(startWall, t.Sub(start)) }

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
	return cmp.Or(context.Cause(ctx), context.Canceled) // never nil, whatever the context says
}

func (system) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
