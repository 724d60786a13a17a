package pipehttp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

func TestClassify(t *testing.T) {
	for code, want := range map[int]policy.Outcome{
		200: policy.Success, 204: policy.Success, 301: policy.Success, 101: policy.Success,
		400: policy.PermanentFailure, 404: policy.PermanentFailure, 501: policy.PermanentFailure,
		408: policy.TransientFailure, 425: policy.TransientFailure, 429: policy.TransientFailure,
		500: policy.TransientFailure, 502: policy.TransientFailure, 503: policy.TransientFailure, 504: policy.TransientFailure,
	} {
		require.Equal(t, want, pipehttp.Classify(&http.Response{StatusCode: code}, nil), "%d", code)
	}
	require.Equal(t, policy.TransientFailure, pipehttp.Classify(nil, nil))
	require.Equal(t, policy.TransientFailure, pipehttp.Classify(nil, io.ErrUnexpectedEOF))
	require.Equal(t, policy.Ignored, pipehttp.Classify(nil, context.Canceled))
	require.Equal(t, policy.Ignored, pipehttp.Classify(nil, &policy.Rejection{Reason: policy.ErrOpen}))
	require.Equal(t, policy.PermanentFailure, pipehttp.Classify(nil, fmt.Errorf("get: %w", &tls.CertificateVerificationError{Err: io.EOF})))
}

// endless is a body that never ends.
type endless struct{ read, closed atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) { e.read.Add(int64(len(p))); return len(p), nil }
func (e *endless) Close() error               { e.closed.Add(1); return nil }

// Discard reads no more than is worth it.
func TestDiscardIsBounded(t *testing.T) {
	body := new(endless)
	pipehttp.Discard(&http.Response{Body: body})
	require.LessOrEqual(t, body.read.Load(), int64(128<<10))
	require.EqualValues(t, 1, body.closed.Load())
	pipehttp.Discard(nil)
	pipehttp.Discard(&http.Response{})
}

// A body that stalls is given up: it must not hold up the attempt that is to come.
func TestDiscardDoesNotWaitForABodyThatStalls(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var requests atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) > 1 {
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			w.(http.Flusher).Flush()
			<-r.Context().Done() // heard of only because the connection, or the stream, is closed
		}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		client := server.Client()
		client.Transport = &pipehttp.Transport{Base: client.Transport, Pipeline: impatient}
		response, err := client.Get(server.URL)
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		require.NoError(t, response.Body.Close())
		client.CloseIdleConnections()
		server.Close()
	}
}

// What is not worth reading is closed without: the rest of a large file, a connection that has changed protocols.
func TestDiscardReadsOnlyWhatIsWorthIt(t *testing.T) {
	for _, r := range []*http.Response{{ContentLength: 1 << 30}, {StatusCode: http.StatusSwitchingProtocols}} {
		body := new(endless)
		r.Body = body
		pipehttp.Discard(r)
		require.Zero(t, body.read.Load())
		require.EqualValues(t, 1, body.closed.Load())
	}
}

// The default pipeline waits as it is asked to, tries three times, and refuses once a host has failed enough.
// A host that is called but seldom, and fails a call in ten, has its retries all the same.
func TestDefaultRetriesAtLowTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipehttp.Default("a")
		for n := range 100 {
			time.Sleep(2 * time.Minute)
			calls := 0
			response, err := p.Do(t.Context(), func(context.Context) (*http.Response, error) {
				if calls++; calls == 1 && n%10 == 0 {
					return &http.Response{StatusCode: 503, Body: http.NoBody}, nil
				}
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			})
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode, "call %d", n)
		}
	})
}

func TestDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		header := http.Header{"Retry-After": {"1"}}
		tr := &pipehttp.Transport{Base: tripper(func(*http.Request) (*http.Response, error) {
			calls++
			return &http.Response{StatusCode: 503, Header: header, Body: http.NoBody}, nil
		})}
		start := time.Now()
		response, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
		require.NoError(t, err)
		require.Equal(t, 503, response.StatusCode)
		require.Equal(t, 3, calls)
		require.GreaterOrEqual(t, time.Since(start), 2*time.Second, "in the bubble's time")
		header = nil
		for i := 0; i < 50 && err == nil; i++ {
			_, err = tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
		}
		require.ErrorIs(t, err, policy.ErrOpen)
		require.LessOrEqual(t, calls, 30)
		var rejection *policy.Rejection
		require.ErrorAs(t, err, &rejection)
		require.Equal(t, "a", rejection.Name)
	})
	require.Contains(t, pipehttp.Default("a").String(), "pipeline a")
}

func ExampleTransport() {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "hello at last")
	}))
	defer server.Close()

	client := &http.Client{Transport: &pipehttp.Transport{}}
	response, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	fmt.Println(response.Status, string(body), "after", calls, "calls")
	// Output: 200 OK hello at last after 3 calls
}

func ExampleClassify() {
	fmt.Println(pipehttp.Classify(&http.Response{StatusCode: 503}, nil))
	fmt.Println(pipehttp.Classify(&http.Response{StatusCode: 404}, nil))
	fmt.Println(pipehttp.Classify(nil, errors.New("connection reset")))
	// Output:
	// transient failure
	// permanent failure
	// transient failure
}

func ExampleHint() {
	r := &http.Response{Header: http.Header{"Retry-After": {"120"}}}
	fmt.Println(pipehttp.Hint(r, nil))
	// Output: 2m0s
}

func ExampleDiscard() {
	r := &http.Response{Body: io.NopCloser(strings.NewReader("nobody reads this"))}
	pipehttp.Discard(r)
	left, _ := io.ReadAll(r.Body)
	fmt.Println(len(left))
	// Output: 0
}
