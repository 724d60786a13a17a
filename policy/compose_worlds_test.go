package policy_test

import (
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-go/holdfast/clock"
)

// untie makes every time of c a little different, so that no two timers are due at one instant: which of them comes
// first is drawn anew each time in a synctest bubble.
func (c composedCase) untie() composedCase {
	n := 0
	next := func(d time.Duration) time.Duration {
		if n++; d <= 0 {
			return d
		}
		return d + time.Duration(n*n*n*37+11)
	}
	c.script = append(script{}, c.script...)
	for i := range c.script {
		c.script[i].takes = next(c.script[i].takes)
	}
	for i, l := range c.layers {
		l.waits.base, l.limit, l.cooldown = next(l.waits.base), next(l.limit), next(l.cooldown)
		l.waits.max = l.waits.base + next(l.waits.max)
		c.layers[i] = l
	}
	c.caller.deadline, c.caller.cancel = next(c.caller.deadline), next(c.caller.cancel)
	return c
}

// dates are what an error's text may tell of the two worlds, which begin a century apart.
var dates = regexp.MustCompile(`until \S+`)

// C15: on a virtual clock and on the system's in a bubble the same happens at the same times.
func TestVirtualAndBubbleAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawComposed(t).untie()
		want := dates.ReplaceAllString(c.run().trace(), "")
		rapid.SyncTest(t, func(t *rapid.T) {
			r := newRun(clock.System, c.script)
			r.do(c.caller, c.wrap(r, c.policies(r)))
			if got := dates.ReplaceAllString(r.trace(), ""); got != want {
				t.Fatalf("C15: in the bubble:\n%s\non Virtual:\n%s", got, want)
			}
		})
	})
}
