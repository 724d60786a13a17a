package pipehttp

import (
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/policy"
)

// longestHint is the longest wait that Hint believes.
const longestHint = 366 * 24 * time.Hour

// Hint returns how long a response asks the client to stay away, or 0 if it does not say. It reads, and the first of
// these that a response has and that makes sense decides:
//
//   - Retry-After-Ms and X-Ms-Retry-After-Ms, in milliseconds, as Azure and OpenAI send them
//   - Retry-After (RFC 9110, section 10.2.3): a number of seconds, which may have a fraction, or a date
//   - RateLimit (draft-ietf-httpapi-ratelimit-headers-10): the t of a quota whose r is 0, the longest one if several
//     quotas are used up; draft 7 wrote the same as remaining=0, reset=7
//   - RateLimit-Remaining: 0 with RateLimit-Reset (the same draft up to its version 6)
//   - X-RateLimit-Remaining: 0 with X-RateLimit-Reset, or the same two with X-Rate-Limit
//
// A Reset is a number of seconds from now, or since the Unix epoch. Dates and epochs count from the response's own Date
// if it has one, so that clocks that differ do no harm. A quota that is not used up is no hint. A date in the past is
// 0. A value that is malformed, negative or more than 366 days away is ignored.
//
// With a nil response Hint returns policy.HintOf(err), as it does for a response without any of these. It is safe for
// concurrent use.
func Hint(r *http.Response, err error) time.Duration {
	if r != nil {
		for _, read := range hints {
			if d, ok := read(r.Header); ok {
				return d
			}
		}
	}
	return policy.HintOf(err)
}

// hints are the ways in which servers say when to come back, the most specific first.
var hints = [...]func(http.Header) (time.Duration, bool){
	func(h http.Header) (time.Duration, bool) { return number(h.Get("Retry-After-Ms"), "ms") },
	func(h http.Header) (time.Duration, bool) { return number(h.Get("X-Ms-Retry-After-Ms"), "ms") },
	retryAfter,
	rateLimit,
	func(h http.Header) (time.Duration, bool) { return reset(h, "Ratelimit-Remaining", "Ratelimit-Reset") },
	func(h http.Header) (time.Duration, bool) {
		return reset(h, "X-Ratelimit-Remaining", "X-Ratelimit-Reset")
	},
	func(h http.Header) (time.Duration, bool) {
		return reset(h, "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset")
	},
}

// retryAfter reads Retry-After.
func retryAfter(h http.Header) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if d, ok := number(value, "s"); ok {
		return d, true
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return away(h, until)
}

// reset reads a pair of headers: how much of a quota is left, and when it is full again.
func reset(h http.Header, remaining, until string) (time.Duration, bool) {
	if !zero(h.Get(remaining)) {
		return 0, false
	}
	value := h.Get(until)
	if d, ok := number(value, "s"); ok {
		return d, true
	}
	epoch, ok := decimal(value, "s")
	if !ok {
		return 0, false
	}
	return away(h, time.Unix(0, int64(epoch)))
}

// away returns the time from the response's Date to until: 0 if that is past, and false if it is too long to be true.
func away(h http.Header, until time.Time) (time.Duration, bool) {
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = clock.Time(clock.System, clock.System.Nanos())
	}
	d := until.Sub(now)
	return max(0, d), d <= longestHint
}

// number reads a decimal number of units, and reports whether it is one that Hint believes.
func number(value, unit string) (time.Duration, bool) {
	d, ok := decimal(value, unit)
	return d, ok && d <= longestHint
}

// zero reports whether value is a number that is 0.
func zero(value string) bool {
	d, ok := decimal(value, "s")
	return ok && d == 0
}

// decimal reads a number of units that consists of digits and at most one point.
func decimal(value, unit string) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" || strings.Trim(value, "0123456789.") != "" {
		return 0, false
	}
	d, err := time.ParseDuration(value + unit)
	return d, err == nil
}
