package pipeline

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-go/holdfast/policy"
)

// String draws the tree, outermost first, with the worst case and the lints underneath. Settings that were left zero
// are shown with the default they mean.
func (p Plan) String() string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace("pipeline " + p.Name))
	draw(&b, 0, p.Policies, true)
	b.WriteString("\n\n" + worst(p.Bounds))
	for _, l := range p.Lints {
		fmt.Fprintf(&b, "\nlint %s: %s", l.Rule, l.Text)
	}
	return b.String()
}

// draw writes a branch, one policy a line, each inside the one above it, and the func at the end of it.
func draw(b *strings.Builder, depth int, nodes []Node, end bool) int {
	for _, n := range nodes {
		line(b, depth, n.Kind, n.Name, n.Settings)
		depth++
		if n.Kind == "pipeline" {
			depth = draw(b, depth, n.Policies, false)
		}
	}
	if end {
		line(b, depth, "func", "", nil)
	}
	return depth
}

// width is how many columns a line takes at most, if its settings can be told apart so.
const width = 110

func line(b *strings.Builder, depth int, kind, name string, settings []policy.Setting) {
	margin := strings.Repeat("   ", depth)
	text := margin + "└─ " + strings.TrimSpace(kind+" "+name)
	for i, s := range settings {
		said := s.Name + " " + s.Value
		if s.Default {
			said += " (default)"
		}
		switch {
		case i == 0:
			text += ": " + said
		case utf8.RuneCountInString(text+", "+said+",") > width:
			b.WriteString("\n" + text + ",")
			text = margin + "     " + said
		default:
			text += ", " + said
		}
	}
	b.WriteString("\n" + text)
}

// worst is the bounds in words.
func worst(b policy.Bounds) string {
	lines := []string{
		"at worst",
		"  calls     " + text(b.Calls),
		"  at once   " + text(b.AtOnce),
		"  waiting   " + hinted(b.Wait, b.HintedWait),
		"  duration  " + hinted(b.Duration, b.HintedDuration),
	}
	if b.Duration.Known() {
		if b.Besides != "" {
			lines[4] += ", plus the time of " + b.Besides
		}
		heeds := "            (if the func ends once its context has ended"
		if b.Detaches {
			heeds += "; a detached one may go on for longer"
		}
		lines = append(lines, heeds+")")
	}
	return strings.Join(lines, "\n")
}

func text[N int | time.Duration](b policy.Bound[N]) string {
	if !b.Known() {
		return b.Missing
	}
	if d, ok := any(b.Most).(time.Duration); ok {
		return fmt.Sprint(legible(d))
	}
	return fmt.Sprint(b.Most)
}

// legible returns d rounded up to four digits, which is as much as a reader of a bound wants: 283.8ms for 283.724955ms.
func legible(d time.Duration) time.Duration {
	step := time.Duration(1)
	for d/step >= 10_000 {
		step *= 10
	}
	if rest := d % step; rest > 0 && d <= math.MaxInt64-step {
		return d - rest + step
	}
	return d
}

// hinted is a bound, and what it grows to by the dependency's own wish if that is more.
func hinted(plain, most policy.Bound[time.Duration]) string {
	if plain == most {
		return text(plain)
	}
	return text(plain) + ", up to " + text(most) + " if the dependency asks for it"
}
