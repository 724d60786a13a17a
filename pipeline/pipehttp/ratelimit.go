package pipehttp

import (
	"net/http"
	"strings"
	"time"
)

// rateLimit reads the RateLimit field, which lists quotas: "burst";r=0;t=7, "daily";r=99;t=3600. It returns the longest
// wait among the quotas that are used up. Draft 7 had a single quota, whose parts were the members of the list:
// limit=100, remaining=0, reset=7.
func rateLimit(h http.Header) (wait time.Duration, found bool) {
	field := strings.Join(h["Ratelimit"], ",")
	if field == "" {
		return 0, false
	}
	var whole quota
	for _, item := range split(field, ',') {
		var q quota
		for _, part := range split(item, ';') {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			q.set(name, "r", "t", value)
			whole.set(name, "remaining", "reset", value)
		}
		if q.exhausted && q.known {
			wait, found = max(wait, q.reset), true
		}
	}
	if whole.exhausted && whole.known {
		wait, found = max(wait, whole.reset), true
	}
	return wait, found
}

// A quota is what a RateLimit field says of one.
type quota struct {
	exhausted bool
	reset     time.Duration // if known
	known     bool
}

// set takes up value if name is that of what remains or of when the quota is full again.
func (q *quota) set(name, remaining, reset, value string) {
	switch name {
	case remaining:
		q.exhausted = zero(value)
	case reset:
		q.reset, q.known = number(value, "s")
	}
}

// split cuts list at each sep that is not within a quoted string (RFC 9651, section 3.3.3).
func split(list string, sep byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			parts = append(parts, list[start:i])
			start = i + 1
		}
	}
	return append(parts, list[start:])
}
