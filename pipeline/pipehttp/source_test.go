package pipehttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

// overBoth runs test over HTTP/1 and over HTTP/2.
func overBoth(t *testing.T, h http.HandlerFunc, test func(t *testing.T, url string, base *http.Transport)) {
	t.Helper()
	for _, protocol := range []string{"HTTP1", "HTTP2"} {
		t.Run(protocol, func(t *testing.T) {
			server := httptest.NewUnstartedServer(h)
			server.EnableHTTP2 = protocol == "HTTP2"
			server.Config.ErrorLog = quiet
			server.StartTLS()
			defer server.Close()
			base := server.Client().Transport.(*http.Transport)
			defer base.CloseIdleConnections()
			test(t, server.URL, base)
		})
	}
}

// watched is a pipeline with retries, and its circuit.
func watched() (*policy.Circuit, func(string) pipeline.Pipeline[*http.Response]) {
	circuit := &policy.Circuit{Trip: policy.FailureCount{Ratio: 1, Last: 100}}
	p := pipeline.Wrap(
		&policy.Retry[*http.Response]{Backoff: policy.Constant(0)},
		&policy.Breaker[*http.Response]{Circuit: circuit},
	)
	return circuit, func(string) pipeline.Pipeline[*http.Response] { return p }
}

// quiet logs nowhere.
var quiet = log.New(io.Discard, "", 0)

var errSource = errors.New("the source has failed")

// failing is a body that fails after a few bytes.
type failing struct{ left int }

func (f *failing) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, errSource
	}
	n := min(f.left, len(p))
	f.left -= n
	return n, nil
}

func (f *failing) Close() error { return nil }

// A request that cannot be sent is the caller's mistake: it is tried once, and the host's circuit does not count it.
func TestTransportDoesNotBlameTheHostForARequestThatCannotBeSent(t *testing.T) {
	put := func(r *http.Request, body io.Reader, length int64) {
		r.Method, r.Body, r.ContentLength = http.MethodPut, io.NopCloser(body), length
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(body), nil }
	}
	both := map[string]func(r *http.Request){
		"a newline in a header's value": func(r *http.Request) { r.Header.Set("X", "a\nb") },
		"a space in a header's name":    func(r *http.Request) { r.Header["a b"] = []string{"x"} },
		"a newline in a trailer":        func(r *http.Request) { r.Trailer = http.Header{"X": {"a\nb"}} },
		"no header":                     func(r *http.Request) { r.Header = nil },
		"no host":                       func(r *http.Request) { r.URL.Host = "" },
		"an unknown scheme":             func(r *http.Request) { r.URL.Scheme = "gopher" },
		"a source that fails":           func(r *http.Request) { put(r, &failing{3}, 5) },
		"a source that fails late":      func(r *http.Request) { put(r, &failing{1 << 20}, -1) },
		"a source that fails at once":   func(r *http.Request) { put(r, &failing{}, 5) },
		"a body that is too long":       func(r *http.Request) { put(r, bytes.NewBuffer(make([]byte, 7)), 5) },
	}
	http1 := map[string]func(r *http.Request){
		"a control character in its URL": func(r *http.Request) { r.URL.RawQuery = "a\x01b" },
		"a method that is none":          func(r *http.Request) { r.Method = "a b" },
		"a body that is too short":       func(r *http.Request) { put(r, bytes.NewBuffer(make([]byte, 3)), 5) },
		"a length without a body":        func(r *http.Request) { r.ContentLength = 5 },
		"a trailer that is none": func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = http.MethodPut, io.NopCloser(io.MultiReader(strings.NewReader("x"))), -1
			r.Trailer = http.Header{"Content-Length": {"1"}}
		},
	}
	http2 := map[string]func(r *http.Request){
		"a header of another connection": func(r *http.Request) { r.Header.Set("Transfer-Encoding", "gzip") },
		"a path that is none":            func(r *http.Request) { r.URL.Opaque = "a" },
		"a host that is none":            func(r *http.Request) { r.Host = "a{b" },
		"headers without end":            func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", 2<<20)) },
	}
	overBoth(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}, func(t *testing.T, target string, base *http.Transport) {
		response, err := (&http.Client{Transport: base}).Get(target) // by now the client knows the server's limits
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		requests := maps.Clone(both)
		if base.ForceAttemptHTTP2 {
			maps.Copy(requests, http2)
		} else {
			maps.Copy(requests, http1)
		}
		for name, spoil := range requests {
			t.Run(name, func(t *testing.T) {
				circuit, p := watched()
				tries := 0
				tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(r *http.Request) (*http.Response, error) {
					tries++
					return base.RoundTrip(r)
				})}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
				require.NoError(t, err)
				spoil(request)
				_, err = tr.RoundTrip(request)
				require.Error(t, err)
				var rejection *policy.Rejection
				require.NotErrorAs(t, err, &rejection, "the error is the base's own")
				require.Equal(t, 1, tries, "%v", err)
				require.Zero(t, circuit.Snapshot().Calls, "%v", err)
			})
		}
	})
}

// A proxy is not given a request for a host that is none.
func TestTransportDoesNotBlameTheHostForARequestThatAProxyIsNotGiven(t *testing.T) {
	circuit, p := watched()
	proxy := httptest.NewServer(http.NotFoundHandler())
	defer proxy.Close()
	target, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	base := &http.Transport{Proxy: http.ProxyURL(target)}
	defer base.CloseIdleConnections()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil)
	request.Host = "a{b"
	_, err = (&pipehttp.Transport{Base: base, Pipeline: p}).RoundTrip(request)
	require.ErrorContains(t, err, "invalid Host header")
	require.Zero(t, circuit.Snapshot().Calls)
}

// Words of a server's in an error do not make it one of the request's.
func TestTransportBlamesTheHostWhateverItsWords(t *testing.T) {
	circuit, p := watched()
	tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(*http.Request) (*http.Response, error) {
		return nil, errors.New(`http2: server sent GOAWAY and closed the connection; debug="net/http: invalid header"`)
	})}
	_, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
	require.Error(t, err)
	require.Equal(t, 3, circuit.Snapshot().Failures)
}

// A request whose body cannot be had again is not retried, and what stopped it comes back.
func TestTransportDoesNotRetryWithoutABody(t *testing.T) {
	down := tripper(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return &http.Response{StatusCode: 503, Body: http.NoBody}, nil
	})
	refused := tripper(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return nil, streamError("stream error: stream ID 1; REFUSED_STREAM; received from peer")
	})
	for _, test := range []struct {
		name    string
		base    http.RoundTripper
		getBody func() (io.ReadCloser, error)
		want    string
	}{
		{"GetBody fails", down, func() (io.ReadCloser, error) { return nil, errSource }, errSource.Error()},
		{"no GetBody", refused, nil, "has no GetBody"},
	} {
		t.Run(test.name, func(t *testing.T) {
			circuit, p := watched()
			tries := 0
			tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(r *http.Request) (*http.Response, error) {
				tries++
				return test.base.RoundTrip(r)
			})}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://a/", strings.NewReader("x"))
			require.NoError(t, err)
			request.GetBody = test.getBody
			_, err = tr.RoundTrip(request)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, 1, tries)
			require.Equal(t, 1, circuit.Snapshot().Calls, "that of the attempt that was made")
		})
	}
}

// Net/http sends a request again on its own if a connection that was idle turns out to be closed. What it reads then is
// watched, too.
func TestTransportWatchesABodyThatNetHTTPRewinds(t *testing.T) {
	for name, getBody := range map[string]func() (io.ReadCloser, error){
		"the source fails": func() (io.ReadCloser, error) { return &failing{3}, nil },
		"GetBody fails":    func() (io.ReadCloser, error) { return nil, errSource },
	} {
		t.Run(name, func(t *testing.T) {
			circuit, p := watched()
			tries := 0
			tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(r *http.Request) (*http.Response, error) {
				tries++
				_, _ = io.Copy(io.Discard, r.Body)
				again, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				_, err = io.Copy(io.Discard, again)
				return nil, err
			})}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://a/", io.MultiReader(strings.NewReader("x")))
			require.NoError(t, err)
			request.GetBody = getBody
			_, err = tr.RoundTrip(request)
			require.ErrorIs(t, err, errSource)
			require.Equal(t, 1, tries)
			require.Zero(t, circuit.Snapshot().Calls)
		})
	}
}

// A connection that fails while a body is read is not the body's fault: reading it after Close fails, too.
func TestTransportBlamesTheHostForAConnectionThatFails(t *testing.T) {
	circuit, p := watched()
	reset := errors.New("connection reset")
	tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(r *http.Request) (*http.Response, error) {
		_, err := r.Body.Read(make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		_, err = r.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		return nil, reset
	})}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://a/", &failing{3})
	require.NoError(t, err)
	request.ContentLength = 3
	request.GetBody = func() (io.ReadCloser, error) { return &failing{3}, nil }
	_, err = tr.RoundTrip(request)
	require.ErrorIs(t, err, reset)
	require.Equal(t, 3, circuit.Snapshot().Failures)
}

// A body that blocks is interrupted by Close, which is no failure of its own.
func TestTransportDoesNotTakeAnInterruptedBodyForOneThatFailed(t *testing.T) {
	circuit, p := watched()
	tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(r *http.Request) (*http.Response, error) {
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = r.Body.Read(make([]byte, 1))
		}()
		time.Sleep(time.Second) // in a bubble: Read is blocked now
		require.NoError(t, r.Body.Close())
		<-over
		return nil, io.ErrUnexpectedEOF
	})}
	synctest.Test(t, func(t *testing.T) {
		reader, _ := io.Pipe()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://a/", nil)
		request.Body = reader
		_, err := tr.RoundTrip(request)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 1, circuit.Snapshot().Failures)
	})
}

// Bodies in memory go to the base as they are, so that net/http can send them together with the header.
func TestTransportHandsABodyInMemoryOnAsItIs(t *testing.T) {
	for _, test := range []struct {
		body   io.Reader
		spoil  func(r *http.Request)
		asItIs bool
	}{
		{strings.NewReader("x"), nil, true},
		{bytes.NewReader([]byte("x")), nil, true},
		{bytes.NewBufferString("x"), nil, true},
		{strings.NewReader("x"), func(r *http.Request) { r.ContentLength = 2 }, false},
		{strings.NewReader("x"), func(r *http.Request) { r.GetBody = nil }, false},
		{io.MultiReader(strings.NewReader("x")), func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, io.EOF } }, false},
		{&failing{1}, func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, io.EOF } }, false},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://a/", test.body)
		require.NoError(t, err)
		if test.spoil != nil {
			test.spoil(request)
		}
		tr := &pipehttp.Transport{Base: tripper(func(r *http.Request) (*http.Response, error) {
			require.Equal(t, test.asItIs, r.Body == request.Body, "%T", test.body)
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})}
		_, err = tr.RoundTrip(request)
		require.NoError(t, err)
	}
}

// A response that arrives before the body has been read leaves the body to the base.
func TestTransportLeavesABodyOpenThatIsStillBeingSent(t *testing.T) {
	var closed atomic.Int64
	var body io.ReadCloser
	tr := &pipehttp.Transport{Base: tripper(func(r *http.Request) (*http.Response, error) {
		body = r.Body
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://a/", nil)
	request.Body = closing{strings.NewReader("x"), &closed}
	_, err := tr.RoundTrip(request)
	require.NoError(t, err)
	require.Zero(t, closed.Load())
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
	require.NoError(t, body.Close())
	require.EqualValues(t, 1, closed.Load())
}

// What a detaching policy does with a response, its other attempts leave alone.
func TestTransportDiscardsNothingUnderAPipelineThatDetaches(t *testing.T) {
	var closed atomic.Int64
	tr := &pipehttp.Transport{
		Base: tripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: closing{strings.NewReader("first"), &closed}}, nil
		}),
		Pipeline: func(string) pipeline.Pipeline[*http.Response] {
			return pipeline.Wrap[*http.Response](aside{})
		},
	}
	response, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
	require.NoError(t, err)
	require.EqualValues(t, 1, closed.Load(), "the other attempt's")
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "first", string(body))
}

// aside makes another attempt that nobody waits for.
type aside struct{}

func (aside) Execute(ctx context.Context, next policy.Next[*http.Response]) (*http.Response, error) {
	response, err := next.Do(ctx)
	over := make(chan struct{})
	go func() { defer close(over); _, _ = next.Do(ctx) }()
	<-over
	return response, err
}

func (aside) Describe() policy.Description {
	return policy.Description{Kind: "aside", Bounds: func(inner policy.Bounds) policy.Bounds { inner.Detaches = true; return inner }}
}
