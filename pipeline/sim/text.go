package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verdict says in a sentence whether the goodput came back, or how many requests succeeded where nothing was to
// come back from.
func (r Report) Verdict() string {
	switch v := r.Recovery; {
	case !v.Expected:
		return fmt.Sprintf("%s of the requests succeeded, with %s calls each", percent(r.SuccessRate()), decimals(r.CallsPerRequest(), 2))
	case !v.Recovered:
		return "Collapsed: goodput never came back after the " + r.lastPhase()
	case v.After == 0:
		return "Recovered: goodput was back as soon as the " + r.lastPhase() + " was over"
	default:
		return fmt.Sprintf("Recovered: goodput was back %s after the %s", seconds(v.After), r.lastPhase())
	}
}

// lastPhase is the name of the phase that ends last.
func (r Report) lastPhase() string {
	last := slices.MaxFunc(r.Phases, func(a, b Phase) int { return cmp.Compare(a.To, b.To) })
	if last.Name == "" {
		return "last phase"
	}
	return last.Name
}

// conditions are what the run was about.
func (r Report) conditions() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d clients, arrivals %s, for %v; seed %d.", r.Clients, r.Arrivals, r.Length, r.Seed)
	if r.Users > 0 {
		fmt.Fprintf(&b, "\n%d users, each of whom sends a request after the one before.", r.Users)
	}
	if r.Replicas > 0 {
		fmt.Fprintf(&b, "\n%d replicas, calls %s.", r.Replicas, r.Balance)
	}
	if r.Zones > 0 {
		fmt.Fprintf(&b, "\n%d zones.", r.Zones)
	}
	for _, p := range r.Phases {
		fmt.Fprintf(&b, "\nFrom %v to %v: %s.", p.From, p.To, p.String())
	}
	return b.String()
}

// String is the phase's name, or what it changes.
func (p Phase) String() string {
	if p.Name != "" {
		return p.Name
	}
	var parts []string
	if p.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%v requests a second", p.Rate))
	}
	if p.Failures > 0 {
		parts = append(parts, percent(p.Failures)+" of calls fail")
	}
	if p.Quiet {
		parts = append(parts, "nothing arrives")
	}
	if p.FailsAfter > 0 {
		parts = append(parts, fmt.Sprintf("failures after %v", p.FailsAfter))
	}
	if p.Capacity > 0 {
		parts = append(parts, fmt.Sprintf("a capacity of %d", p.Capacity))
	}
	if p.Slower > 0 {
		parts = append(parts, fmt.Sprintf("latency × %v", p.Slower))
	}
	if p.Stalled {
		parts = append(parts, "stalled")
	}
	if p.Replica > 0 {
		return fmt.Sprintf("replica %d: %s", p.Replica, strings.Join(parts, ", "))
	}
	return strings.Join(parts, ", ")
}

// String is the report on a page of text, the timeline in at most thirty lines.
func (r Report) String() string {
	var b strings.Builder
	if r.Name != "" {
		fmt.Fprintf(&b, "%s: ", r.Name)
	}
	fmt.Fprintf(&b, "%s\n%s\n\n", r.Verdict(), r.conditions())
	fmt.Fprintf(&b, "requests   %d: %d succeeded, %d fell back, %d refused, %d failed, %d unfinished\n",
		r.Requests, r.Succeeded, r.FellBack, r.Refused, r.Failed, r.Unfinished)
	fmt.Fprintf(&b, "calls      %d, %s a request\n", r.Calls, decimals(r.CallsPerRequest(), 3))
	q := r.Latency
	fmt.Fprintf(&b, "latency    half within %s, 90 %% %s, 99 %% %s, 99.9 %% %s, all %s\n",
		seconds(q.P50), seconds(q.P90), seconds(q.P99), seconds(q.P999), seconds(q.Max))
	if r.Recovery.Recovered {
		fmt.Fprintf(&b, "recovered  at %v, %v after the last phase\n", r.Recovery.At, r.Recovery.After)
	}
	r.writeChanges(&b)
	r.writeTimeline(&b)
	return b.String()
}

const mostChanges, mostLines = 10, 30

func (r Report) writeChanges(b *strings.Builder) {
	for i, c := range r.Changes {
		if i == mostChanges {
			fmt.Fprintf(b, "           and %d more changes\n", len(r.Changes)-i)
			break
		}
		name := c.Circuit
		if name == "" {
			name = "circuit"
		}
		fmt.Fprintf(b, "%-10s %s of client %d: %s → %s\n", seconds(c.At), name, c.Client, c.From, c.To)
	}
}

func (r Report) writeTimeline(b *strings.Builder) {
	fmt.Fprintf(b, "\n%10s %9s %9s %9s %9s %9s %9s %6s\n", "from", "offered/s", "good/s", "calls/s", "in flight", "median", "99 %", "open")
	group := max(1, (len(r.Timeline)+mostLines-1)/mostLines)
	for i := 0; i < len(r.Timeline); i += group {
		last := min(i+group, len(r.Timeline)) - 1
		var sum Point
		for _, p := range r.Timeline[i : last+1] {
			sum.Offered += p.Offered
			sum.Good += p.Good
			sum.Calls += p.Calls
			sum.InFlight = p.InFlight
			sum.P50, sum.P99 = max(sum.P50, p.P50), max(sum.P99, p.P99)
			sum.Open = max(sum.Open, p.Open)
		}
		length := r.stepEnd(last) - r.Timeline[i].At
		fmt.Fprintf(b, "%10s %9s %9s %9s %9d %9s %9s %6s\n", seconds(r.Timeline[i].At),
			decimals(perSecond(sum.Offered, length), 1), decimals(perSecond(sum.Good, length), 1), decimals(perSecond(sum.Calls, length), 1),
			sum.InFlight, latency(sum, sum.P50), latency(sum, sum.P99), percent(sum.Open))
	}
}

// latency is d, which means nothing where no request was good.
func latency(p Point, d time.Duration) string {
	if p.Good == 0 {
		return "–"
	}
	return seconds(d)
}

func decimals(f float64, n int) string { return strconv.FormatFloat(f, 'f', n, 64) }

func percent(f float64) string { return decimals(f*100, 1) + " %" }

// seconds is d to three digits or so: 1.67 s, 12.5 ms.
func seconds(d time.Duration) string {
	unit, name := time.Nanosecond, "ns"
	switch {
	case d >= time.Second || d == 0:
		unit, name = time.Second, "s"
	case d >= time.Millisecond:
		unit, name = time.Millisecond, "ms"
	case d >= time.Microsecond:
		unit, name = time.Microsecond, "µs"
	}
	value := float64(d) / float64(unit)
	if value >= 100 {
		return decimals(value, 0) + " " + name
	}
	return strconv.FormatFloat(value, 'g', 3, 64) + " " + name
}
