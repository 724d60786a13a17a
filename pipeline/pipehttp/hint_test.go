package pipehttp_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

// headers makes a http.Header of names and values in turn.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

const (
	date  = "Mon, 02 Jan 2006 15:04:05 GMT"
	epoch = 1136214245 // the same
)

func TestHint(t *testing.T) {
	at := func(offset int) string { return strconv.Itoa(epoch + offset) }
	for _, test := range []struct {
		want   time.Duration
		header http.Header
	}{
		// Retry-After
		{2 * time.Minute, headers("Retry-After", "120")},
		{7 * time.Second, headers("Retry-After", " 7 ")},
		{1500 * time.Millisecond, headers("Retry-After", "1.5")},
		{100 * time.Millisecond, headers("Retry-After", "0.1")},
		{366 * 24 * time.Hour, headers("Retry-After", "31622400")},
		{0, headers("Retry-After", "31622401")},
		{0, headers("Retry-After", "0")},
		{0, headers("Retry-After", "-5")},
		{0, headers("Retry-After", "-2147483648")},
		{0, headers("Retry-After", "100000000000")},
		{0, headers("Retry-After", "99999999999999999999999")},
		{0, headers("Retry-After", "soon")},
		{0, headers("Retry-After", "")},
		{0, headers("Retry-After", ".")},
		{0, headers("Retry-After", "1.2.3")},
		{0, headers("Retry-After", "1e3")},
		{0, headers("Retry-After", "0x10")},
		{0, headers("Retry-After", "+7")},
		{0, headers("Retry-After", "1h")},
		{0, headers("Retry-After", "NaN")},
		{0, headers("Retry-After", "Inf")},
		{time.Minute, headers("Retry-After", "Mon, 02 Jan 2006 15:05:05 GMT", "Date", date)},
		{0, headers("Retry-After", date, "Date", date)},
		{0, headers("Retry-After", "Mon, 02 Jan 2006 14:04:05 GMT", "Date", date)},
		{0, headers("Retry-After", "Mon, 02 Jan 2106 14:04:05 GMT", "Date", date)},

		// in milliseconds
		{1500 * time.Millisecond, headers("retry-after-ms", "1500")},
		{1500 * time.Microsecond, headers("retry-after-ms", "1.5")},
		{20 * time.Millisecond, headers("x-ms-retry-after-ms", "20")},
		{0, headers("retry-after-ms", "-20")},
		{0, headers("retry-after-ms", "31622400001")},

		// RateLimit
		{7 * time.Second, headers("RateLimit", `"default";r=0;t=7`)},
		{7 * time.Second, headers("RateLimit", ` "default" ; r=0 ; t=7 `)},
		{7 * time.Second, headers("RateLimit", `default;t=7;r=0;pk=:cHNyc3Q=:`)},
		{0, headers("RateLimit", `"default";r=1;t=7`)},
		{0, headers("RateLimit", `"default";t=7`)},
		{0, headers("RateLimit", `"default";r=0`)},
		{0, headers("RateLimit", `"default";r=-1;t=7`)},
		{0, headers("RateLimit", `"default";r=0;t=-7`)},
		{0, headers("RateLimit", `"default";r=0;t=soon`)},
		{0, headers("RateLimit", `"default";r=;t=7`)},
		{7 * time.Second, headers("RateLimit", `"burst";r=0;t=7, "daily";r=99;t=3600`)},
		{time.Hour, headers("RateLimit", `"burst";r=0;t=7, "daily";r=0;t=3600`)},
		{time.Hour, headers("RateLimit", `"burst";r=0;t=3600, "daily";r=0;t=7`)},
		{time.Hour, headers("RateLimit", `"burst";r=0;t=7`, "RateLimit", `"daily";r=0;t=3600`)},
		{0, headers("RateLimit", `"burst";r=0, "daily";t=7`)},
		{0, headers("RateLimit", `"a;r=0;t=7,b;r=0;t=8";r=5;t=9`)},
		{9 * time.Second, headers("RateLimit", `"a\";r=5;t=7";r=0;t=9`)},
		{0, headers("RateLimit", `"open;r=0;t=7`)},
		{0, headers("RateLimit", `\`)},
		{0, headers("RateLimit", `"\`)},
		{7 * time.Second, headers("RateLimit", "limit=100, remaining=0, reset=7")},
		{0, headers("RateLimit", "limit=100, remaining=50, reset=7")},
		{0, headers("RateLimit", "limit=100, remaining=0")},

		// pairs
		{7 * time.Second, headers("RateLimit-Remaining", "0", "RateLimit-Reset", "7")},
		{7 * time.Second, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "7")},
		{7 * time.Second, headers("X-Rate-Limit-Remaining", "0", "X-Rate-Limit-Reset", "7")},
		{7 * time.Second, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(7), "Date", date)},
		{7250 * time.Millisecond, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(7)+".25", "Date", date)},
		{0, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(-7), "Date", date)},
		{0, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(40_000_000), "Date", date)},
		{0, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "99999999999999")},
		{0, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "-7")},
		{0, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "tomorrow")},
		{0, headers("X-RateLimit-Remaining", "0")},
		{7 * time.Second, headers("X-RateLimit-Remaining", " 0 ", "X-RateLimit-Reset", " 7 ")},
		{366 * 24 * time.Hour, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(366*24*3600), "Date", date)},
		{7 * time.Second, headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "soon", "X-Rate-Limit-Remaining", "0", "X-Rate-Limit-Reset", "7")},
		{0, headers("X-RateLimit-Remaining", "1", "X-RateLimit-Reset", "7")},
		{0, headers("X-RateLimit-Remaining", "", "X-RateLimit-Reset", "7")},
		{0, headers("X-RateLimit-Reset", "7")},
		{0, headers("RateLimit-Remaining", "0", "X-RateLimit-Reset", "7")},

		// The most specific one that makes sense decides.
		{time.Millisecond, headers("retry-after-ms", "1", "x-ms-retry-after-ms", "2", "Retry-After", "3")},
		{2 * time.Millisecond, headers("x-ms-retry-after-ms", "2", "Retry-After", "3")},
		{3 * time.Second, headers("Retry-After", "3", "RateLimit", `"a";r=0;t=4`)},
		{0, headers("Retry-After", "0", "RateLimit", `"a";r=0;t=4`)},
		{4 * time.Second, headers("RateLimit", `"a";r=0;t=4`, "RateLimit-Remaining", "0", "RateLimit-Reset", "5")},
		{5 * time.Second, headers("RateLimit-Remaining", "0", "RateLimit-Reset", "5", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "6")},
		{6 * time.Second, headers("RateLimit", `"a";r=9;t=4`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "6")},
		{3 * time.Second, headers("retry-after-ms", "soon", "Retry-After", "3")},
	} {
		require.Equal(t, test.want, pipehttp.Hint(&http.Response{Header: test.header}, nil), "%v", test.header)
	}
}

func TestHintWithoutAHeaderAsksTheError(t *testing.T) {
	busy := policy.RetryAfter(io.EOF, time.Hour)
	require.Zero(t, pipehttp.Hint(nil, nil))
	require.Zero(t, pipehttp.Hint(&http.Response{}, nil))
	require.Equal(t, time.Hour, pipehttp.Hint(nil, busy))
	require.Equal(t, time.Hour, pipehttp.Hint(&http.Response{}, busy))
	require.Equal(t, time.Second, pipehttp.Hint(&http.Response{Header: headers("Retry-After", "1")}, busy))
}

// Without a Date the hint counts from the time of now.
func TestHintWithoutDateCountsFromNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later := time.Now().Add(90 * time.Second)
		for _, h := range []http.Header{
			headers("Retry-After", later.UTC().Format(http.TimeFormat)),
			headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(later.Unix(), 10)),
		} {
			require.Equal(t, 90*time.Second, pipehttp.Hint(&http.Response{Header: h}, nil))
		}
	})
}

// Whatever a server sends, a hint is between 0 and 366 days.
func FuzzHint(f *testing.F) {
	f.Add("1.5", "", "", date)
	f.Add(date, "", "", "")
	f.Add("", `"default";r=0;t=7, "a\";b";r=0;t=99999999999`, "", date)
	f.Add("-2147483648", "remaining=0, reset=7", "0", "nonsense")
	f.Fuzz(func(t *testing.T, after, rateLimit, reset, date string) {
		for _, h := range []http.Header{
			headers("Retry-After", after, "Date", date),
			headers("Retry-After-Ms", after),
			headers("RateLimit", rateLimit),
			headers("X-RateLimit-Remaining", after, "X-RateLimit-Reset", reset, "Date", date),
			headers("Retry-After", after, "RateLimit", rateLimit, "RateLimit-Remaining", after, "RateLimit-Reset", reset, "Date", date),
		} {
			d := pipehttp.Hint(&http.Response{Header: h}, nil)
			require.GreaterOrEqual(t, d, time.Duration(0))
			require.LessOrEqual(t, d, 366*24*time.Hour)
		}
	})
}
