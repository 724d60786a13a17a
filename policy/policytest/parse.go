package policytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// longest is how many calls a schedule may list: a slip of the pen should not fill the memory.
const longest = 1_000_000

// Parse reads the text of a schedule: Phases where it begins with a duration, Calls otherwise. It is the inverse of
// String. The empty text is a dependency that always works.
func Parse(text string) (Schedule, error) {
	first, _, _ := strings.Cut(text, ";")
	if words := strings.Fields(first); len(words) > 0 {
		if _, err := time.ParseDuration(words[0]); err == nil {
			return parsePhases(text)
		}
	}
	var calls Calls
	for word := range strings.FieldsSeq(text) {
		n, step, err := parseSteps(word)
		if err == nil && len(calls)+n > longest {
			err = fmt.Errorf("that makes more than %d calls; a schedule in phases has no such limit", longest)
		}
		if err != nil {
			return nil, fmt.Errorf("policytest: schedule %q: %q: %w", text, word, err)
		}
		calls = append(calls, slices.Repeat(Calls{step}, n)...)
	}
	return calls, nil
}

// MustParse is Parse for texts that are known to be right. It panics where Parse errs.
func MustParse(text string) Schedule {
	s, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}

// parseSteps reads "fail@100ms" or "5*fail@100ms".
func parseSteps(word string) (n int, s Step, err error) {
	count, rest, many := strings.Cut(word, "*")
	if !many {
		count, rest = "1", word
	}
	n, err = strconv.Atoi(count)
	if err != nil || n < 1 || n > longest {
		return 0, s, fmt.Errorf("want a number of calls from 1 to %d before the *", longest)
	}
	s, err = parseStep(rest)
	return n, s, err
}

func parseStep(text string) (s Step, err error) {
	head, rest, more := strings.Cut(text, "/")
	act, latency, slow := strings.Cut(head, "@")
	at := slices.Index(acts[:], act)
	if at < 0 {
		return s, fmt.Errorf("want one of %s", strings.Join(acts[:], ", "))
	}
	s.Act = Act(at)
	if slow {
		if s.Latency, err = parseDuration(latency); err != nil {
			return s, fmt.Errorf("after the @: %w", err)
		}
	}
	for more {
		var extra string
		extra, rest, more = strings.Cut(rest, "/")
		hint, hinting := strings.CutPrefix(extra, "hint=")
		switch {
		case extra == "deaf":
			s.Deaf = true
		case hinting && s.Act == Fail:
			if s.Hint, err = parseDuration(hint); err != nil {
				return s, fmt.Errorf("after hint=: %w", err)
			}
		default:
			return s, fmt.Errorf("after a slash: want deaf, or hint= and a duration where the call fails, not %q", extra)
		}
	}
	return s, nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("want a duration above 0, such as 100ms, not %q", text)
	}
	return d, nil
}

func parsePhases(text string) (Schedule, error) {
	var phases Phases
	var length time.Duration
	for part := range strings.SplitSeq(text, ";") {
		p, err := parsePhase(strings.Fields(part))
		if err == nil && length+p.For < length {
			err = fmt.Errorf("the phases last longer than a duration can say")
		}
		if err != nil {
			return nil, fmt.Errorf("policytest: schedule %q: phase %q: %w", text, strings.TrimSpace(part), err)
		}
		length += p.For
		phases = append(phases, p)
	}
	return phases, nil
}

// parsePhase reads a duration, then whatever is there of a share, a step and a capacity, in this order.
func parsePhase(words []string) (p Phase, err error) {
	if len(words) == 0 {
		return p, fmt.Errorf("it is empty")
	}
	if p.For, err = parseDuration(words[0]); err != nil {
		return p, err
	}
	words = words[1:]
	if len(words) > 0 && strings.HasSuffix(words[0], "%") {
		share, err := strconv.ParseFloat(strings.TrimSuffix(words[0], "%")+"e-2", 64) // not rounded twice
		if err != nil || !(share > 0 && share <= 1) {
			return p, fmt.Errorf("want a share above 0%% and up to 100%%, not %q", words[0])
		}
		if share < 1 {
			p.Share = share
		}
		words = words[1:]
	}
	if len(words) > 0 && words[0] != "capacity" {
		if p.Step, err = parseStep(words[0]); err != nil {
			return p, err
		}
		words = words[1:]
	}
	if len(words) > 0 && words[0] == "capacity" {
		if len(words) > 1 {
			p.Capacity, err = strconv.Atoi(words[1])
		}
		if err != nil || p.Capacity < 1 {
			return p, fmt.Errorf("want a number of calls, at least 1, after capacity")
		}
		words = words[2:]
	}
	if len(words) > 0 {
		return p, fmt.Errorf("%q is too much; want a duration, a share, a step and a capacity, in this order", words[0])
	}
	return p, nil
}
