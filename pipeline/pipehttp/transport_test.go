package pipehttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

// tripper is a RoundTripper in a func.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// impatient is a pipeline with three attempts, without waits.
func impatient(string) pipeline.Pipeline[*http.Response] {
	return pipeline.Wrap(&policy.Retry[*http.Response]{
		Backoff: policy.Constant(0),
		Hint:    func(*http.Response, error) time.Duration { return 0 },
	})
}

// statuses answers with each status in turn, then 200, and the number of the request as the body.
func statuses(seen *atomic.Int64, list ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := int(seen.Add(1)) - 1
		_, _ = io.Copy(io.Discard, r.Body)
		if n < len(list) {
			w.WriteHeader(list[n])
		}
		_, _ = fmt.Fprintf(w, "answer %d %s", n+1, strings.Repeat("x", 1000))
	}
}

// Scenario 48: discarded responses are drained and closed, so that 50 calls of 503, 503, 200 leave no more connections
// open than plain net/http does, and the winner's body is readable after the call has returned.
func TestTransportLeavesNoConnectionsBehind(t *testing.T) {
	open := func(wrap func(http.RoundTripper) http.RoundTripper, calls int) (most int64) {
		var connections, peak atomic.Int64
		var requests atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if requests.Add(1)%3 != 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = io.WriteString(w, strings.Repeat("body ", 2000))
		}))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				peak.Store(max(peak.Load(), connections.Add(1)))
			case http.StateClosed, http.StateHijacked:
				connections.Add(-1)
			}
		}
		server.Start()
		defer server.Close()
		base := &http.Transport{}
		defer base.CloseIdleConnections()
		client := &http.Client{Transport: wrap(base)}
		for range calls {
			response, err := client.Get(server.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Len(t, body, 10_000)
			require.NoError(t, response.Body.Close())
		}
		require.EqualValues(t, 150, requests.Load())
		return peak.Load()
	}
	plain := open(func(base http.RoundTripper) http.RoundTripper { return base }, 150)
	ours := open(func(base http.RoundTripper) http.RoundTripper {
		return &pipehttp.Transport{Base: base, Pipeline: impatient}
	}, 50)
	require.LessOrEqual(t, ours, plain)
}

// A Retry whose Discard does nothing leaks nothing either: an attempt frees what the ones before it returned.
func TestTransportFreesResponsesThatNobodyDiscards(t *testing.T) {
	var closed, calls atomic.Int64
	tr := &pipehttp.Transport{
		Base: tripper(func(*http.Request) (*http.Response, error) {
			require.Equal(t, calls.Add(1)-1, closed.Load(), "so that a connection is free for this one")
			return &http.Response{StatusCode: 503, Body: closing{strings.NewReader("busy"), &closed}}, nil
		}),
		Pipeline: func(string) pipeline.Pipeline[*http.Response] {
			return pipeline.Wrap(&policy.Retry[*http.Response]{Backoff: policy.Constant(0), Discard: func(*http.Response) {}})
		},
	}
	response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.NoError(t, err)
	require.Equal(t, 503, response.StatusCode, "the last attempt's response comes back")
	require.EqualValues(t, 3, calls.Load())
	require.EqualValues(t, 2, closed.Load())
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "busy", string(body))
	require.NoError(t, response.Body.Close())
	require.EqualValues(t, 3, closed.Load())
}

// Nothing that the pipeline leaves behind stays open: what a Fallback replaces, what loses a Hedge, what comes late. A
// response that only changes hands stays readable.
func TestTransportFreesWhatItDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed, calls atomic.Int64
		takes := func(d ...time.Duration) http.RoundTripper {
			calls.Store(0)
			closed.Store(0)
			return tripper(func(*http.Request) (*http.Response, error) {
				n := calls.Add(1)
				time.Sleep(d[n-1])
				return &http.Response{StatusCode: 503, Body: closing{strings.NewReader("body"), &closed}}, nil
			})
		}
		run := func(base http.RoundTripper, policies ...policy.Policy[*http.Response]) (*http.Response, error) {
			tr := &pipehttp.Transport{Base: base, Pipeline: func(string) pipeline.Pipeline[*http.Response] {
				return pipeline.Wrap(policies...)
			}}
			response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
			time.Sleep(time.Minute)
			synctest.Wait()
			return response, err
		}

		_, err := run(takes(0), &policy.Fallback[*http.Response]{
			Func: policy.Static(&http.Response{StatusCode: 200}),
		})
		require.NoError(t, err)
		require.EqualValues(t, 1, closed.Load(), "replaced")

		response, err := run(takes(0), &policy.Fallback[*http.Response]{
			Func: func(_ context.Context, r *http.Response, _ error) (*http.Response, error) {
				changed := *r
				changed.StatusCode = 200
				return &changed, nil
			},
		})
		require.NoError(t, err)
		require.Zero(t, closed.Load(), "handed on")
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "body", string(body))

		_, err = run(takes(2*time.Second, time.Second), &policy.Hedge[*http.Response]{
			Delay:    time.Second,
			Classify: func(*http.Response, error) policy.Outcome { time.Sleep(time.Second); return policy.Success },
		})
		require.NoError(t, err)
		require.EqualValues(t, 2, calls.Load())
		require.EqualValues(t, 1, closed.Load(), "lost")

		_, err = run(takes(time.Second), &policy.Timeout[*http.Response]{Limit: time.Millisecond, Detach: true})
		require.ErrorIs(t, err, policy.ErrTimeout)
		require.EqualValues(t, 1, closed.Load(), "late")

		_, err = run(takes(time.Second), deserter{})
		require.ErrorIs(t, err, errDeserted)
		require.EqualValues(t, 1, closed.Load(), "late, though nobody has cancelled it")
	})
}

// What a caller's deadline or cancellation ends, ends with its cause, over HTTP/2 as over HTTP/1: before there is a
// response and while its body is read.
func TestTransportTellsWhyTheCallersContextEnded(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, path := range []string{"/header", "/body"} {
			arrived := make(chan struct{}, 2)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/body" {
					w.(http.Flusher).Flush()
				}
				arrived <- struct{}{}
				<-r.Context().Done()
				panic(http.ErrAbortHandler) // or the end of the body could overtake the end of the connection
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			client := server.Client()
			client.Transport = &pipehttp.Transport{Base: client.Transport, Pipeline: impatient}
			get := func(ctx context.Context, responded func()) error {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
				require.NoError(t, err)
				response, err := client.Do(request)
				if err == nil {
					responded()
					_, err = io.ReadAll(response.Body)
					require.NoError(t, response.Body.Close())
				}
				return err
			}
			late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			require.ErrorIs(t, get(late, func() {}), context.DeadlineExceeded, "%v %v", http2, path)
			cancel()
			for len(arrived) > 0 {
				<-arrived
			}
			why := errors.New("why")
			gone, leave := context.WithCancelCause(t.Context())
			if path == "/header" {
				go func() { <-arrived; leave(why) }()
			}
			require.ErrorIs(t, get(gone, func() { leave(why) }), why, "%v %v", http2, path)
			client.CloseIdleConnections()
			server.Close()
		}
	}
}

// A deserter leaves its call alone, without as much as cancelling it.
type deserter struct{}

var errDeserted = errors.New("deserted")

func (deserter) Execute(ctx context.Context, next policy.Next[*http.Response]) (*http.Response, error) {
	go func() { _, _ = next.Do(ctx) }()
	return nil, errDeserted
}

// A Hedge around a Retry: a further attempt of the leg that loses leaves the winner's response alone.
func TestTransportLeavesTheResponsesOfOtherLegsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed, calls atomic.Int64
		tr := &pipehttp.Transport{
			Base: tripper(func(*http.Request) (*http.Response, error) {
				switch calls.Add(1) {
				case 1: // of the first leg
					time.Sleep(3 * time.Second)
					return nil, errors.New("transient")
				case 2: // of the second leg
					return &http.Response{StatusCode: 200, Body: closing{strings.NewReader("won"), &closed}}, nil
				default:
					time.Sleep(time.Hour)
					return nil, errors.New("late")
				}
			}),
			Pipeline: func(string) pipeline.Pipeline[*http.Response] {
				return pipeline.Wrap(
					&policy.Hedge[*http.Response]{Delay: time.Second, Classify: func(*http.Response, error) policy.Outcome {
						time.Sleep(5 * time.Second) // meanwhile the first leg tries again
						return policy.Success
					}},
					&policy.Retry[*http.Response]{Backoff: policy.Constant(0)},
				)
			},
		}
		response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
		require.NoError(t, err)
		require.EqualValues(t, 3, calls.Load())
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "won", string(body))
		require.Zero(t, closed.Load())
		time.Sleep(2 * time.Hour)
	})
}

// A base that panics leaves nothing with the request's context.
func TestTransportLeavesNothingBehindAPanic(t *testing.T) {
	var own context.Context
	tr := &pipehttp.Transport{Base: tripper(func(r *http.Request) (*http.Response, error) {
		own = r.Context()
		panic("boom")
	})}
	require.PanicsWithValue(t, "boom", func() {
		_, _ = tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	})
	require.Error(t, own.Err())
}

type closing struct {
	io.Reader
	closed *atomic.Int64
}

func (c closing) Close() error { c.closed.Add(1); return nil }

// Bodies are sent again as they were, and the request that the caller passed in is left as it was.
func TestTransportRewindsBodies(t *testing.T) {
	var seen atomic.Int64
	var bodies []string
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies = append(bodies, string(body))
		mu.Unlock()
		statuses(&seen, 503, 503)(w, r)
	}))
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, strings.NewReader("payload"))
	require.NoError(t, err)
	before := *request
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	response, err := (&pipehttp.Transport{Base: base, Pipeline: impatient}).RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, []string{"payload", "payload", "payload"}, bodies)
	require.Equal(t, before.Header, request.Header)
	require.True(t, before.Body == request.Body)
	require.True(t, before.Context() == request.Context())
}

// What must not be sent twice is sent once: a method that is not idempotent, unless a key makes it so, and a body that
// cannot be rewound.
func TestTransportSendsOnceWhatMustNotBeRepeated(t *testing.T) {
	for _, test := range []struct {
		name, method, header string
		body                 io.Reader
		calls                int
	}{
		{"GET", http.MethodGet, "", nil, 3},
		{"no method", "", "", nil, 3},
		{"DELETE", http.MethodDelete, "", nil, 3},
		{"PUT with a body that can be rewound", http.MethodPut, "", strings.NewReader("x"), 3},
		{"PUT with a body that cannot", http.MethodPut, "", io.MultiReader(strings.NewReader("x")), 1},
		{"POST", http.MethodPost, "", strings.NewReader("x"), 1},
		{"PATCH", http.MethodPatch, "", nil, 1},
		{"POST with a key", http.MethodPost, "Idempotency-Key", strings.NewReader("x"), 3},
		{"POST with an X- key", http.MethodPost, "X-Idempotency-Key", strings.NewReader("x"), 3},
		{"POST with a key and a body that cannot be rewound", http.MethodPost, "Idempotency-Key", io.MultiReader(), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := 0
			tr := &pipehttp.Transport{Pipeline: impatient, Base: tripper(func(r *http.Request) (*http.Response, error) {
				calls++
				if r.Body != nil {
					_ = r.Body.Close()
				}
				return &http.Response{StatusCode: 503, Body: http.NoBody}, nil
			})}
			request, err := http.NewRequestWithContext(t.Context(), test.method, "http://a/", test.body)
			require.NoError(t, err)
			if test.method == "" {
				request.Method = ""
			}
			if test.header != "" {
				request.Header.Set(test.header, "k")
			}
			response, err := tr.RoundTrip(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, test.calls, calls)
		})
	}
}

// The request's body is closed even if nothing was sent, as RoundTripper demands.
func TestTransportClosesTheBodyOfARefusedRequest(t *testing.T) {
	var closed atomic.Int64
	circuit := &policy.Circuit{}
	circuit.Isolate()
	tr := &pipehttp.Transport{Pipeline: func(string) pipeline.Pipeline[*http.Response] {
		return pipeline.Wrap(&policy.Breaker[*http.Response]{Circuit: circuit})
	}}
	request := httptest.NewRequest(http.MethodPut, "http://a/", nil)
	request.Body = closing{strings.NewReader("x"), &closed}
	response, err := tr.RoundTrip(request)
	require.ErrorIs(t, err, policy.ErrIsolated)
	require.Nil(t, response)
	require.EqualValues(t, 1, closed.Load())
	_, err = tr.RoundTrip(&http.Request{Body: closing{strings.NewReader("x"), &closed}})
	require.ErrorContains(t, err, "no URL")
	require.EqualValues(t, 2, closed.Load())
}

// With an error there is no response, and what came with it is freed. The error is the attempt's own.
func TestTransportReturnsNoResponseWithAnError(t *testing.T) {
	var closed atomic.Int64
	down := errors.New("down")
	tr := &pipehttp.Transport{Pipeline: impatient, Base: tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{Body: closing{strings.NewReader(""), &closed}}, down
	})}
	response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.True(t, err == down)
	require.Nil(t, response)
	require.EqualValues(t, 3, closed.Load())

	tr.Base = tripper(func(*http.Request) (*http.Response, error) { return nil, nil })
	_, err = tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.ErrorContains(t, err, "neither a response nor an error")
}

// Scenario 48: an attempt's timeout bounds the wait for the response, not the reading of its body; the caller's own
// context bounds both.
func TestTransportKeepsTheBodyReadableAfterTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempt context.Context
		tr := &pipehttp.Transport{
			Base: tripper(func(r *http.Request) (*http.Response, error) {
				attempt = r.Context()
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("late"))}, nil
			}),
			Pipeline: func(string) pipeline.Pipeline[*http.Response] {
				return pipeline.Wrap(&policy.Timeout[*http.Response]{Limit: time.Second})
			},
		}
		get := func(ctx context.Context) *http.Response {
			response, err := tr.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "http://a/", nil))
			require.NoError(t, err)
			time.Sleep(time.Minute)
			synctest.Wait()
			return response
		}
		response := get(t.Context())
		require.NoError(t, attempt.Err(), "the attempt's limit has passed, and the body has yet to be read")
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "late", string(body))
		require.Error(t, attempt.Err(), "nobody needs it after the end of the body")

		response = get(t.Context())
		require.NoError(t, response.Body.Close())
		require.Error(t, attempt.Err(), "nor after Close")

		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		response = get(ctx)
		cancel(why)
		synctest.Wait()
		require.Equal(t, why, context.Cause(attempt), "the caller's end reaches the body")
		require.NoError(t, response.Body.Close())
	})
}

// An attempt that is cut short ends the request under way, with the cause; a response that arrives all the same is freed.
func TestTransportEndsTheRequestWithTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int64
		tr := &pipehttp.Transport{
			Base: tripper(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				if closed.Load() == 0 {
					return &http.Response{StatusCode: 200, Body: closing{strings.NewReader(""), &closed}}, nil
				}
				return nil, context.Cause(r.Context())
			}),
			Pipeline: func(string) pipeline.Pipeline[*http.Response] {
				return pipeline.Wrap(&policy.Timeout[*http.Response]{Limit: time.Second})
			},
		}
		for range 2 {
			_, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
			require.ErrorIs(t, err, policy.ErrTimeout)
		}
		require.EqualValues(t, 1, closed.Load())
	})
}

// Every host has a pipeline of its own, however it is written; hosts are bounded in number, and one whose circuit is
// not closed is not forgotten.
func TestTransportRemembersHosts(t *testing.T) {
	built := map[string]int{}
	circuits := map[string]*policy.Circuit{}
	tr := &pipehttp.Transport{
		Hosts: 2,
		Base: tripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}),
		Pipeline: func(host string) pipeline.Pipeline[*http.Response] {
			built[host]++
			circuits[host] = &policy.Circuit{Name: host}
			return pipeline.Wrap(&policy.Breaker[*http.Response]{Circuit: circuits[host]})
		},
	}
	get := func(url string) {
		response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, url, nil))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	for _, url := range []string{"http://a/", "http://A/x", "http://a:80/", "https://a:443/", "http://a:8080/"} {
		get(url)
	}
	require.Equal(t, map[string]int{"a": 1, "a:8080": 1}, built)
	circuits["a"].Bypass()
	circuits["a:8080"].Bypass()
	get("http://b/")
	get("http://b/")
	require.Equal(t, map[string]int{"a": 1, "a:8080": 1, "b": 2}, built, "no room for b, and none was taken")
	circuits["a:8080"].Reset()
	get("http://b/")
	get("http://b/")
	get("http://a/")
	require.Equal(t, map[string]int{"a": 1, "a:8080": 1, "b": 3}, built, "b took the place of the one that was closed")
}

// A host with a call under way keeps its place.
func TestTransportKeepsHostsWithCallsUnderWay(t *testing.T) {
	built := map[string]int{}
	entered, leave := make(chan struct{}), make(chan struct{})
	tr := &pipehttp.Transport{
		Hosts: 1,
		Base: tripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "slow" {
				entered <- struct{}{}
				<-leave
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}),
		Pipeline: func(host string) pipeline.Pipeline[*http.Response] {
			built[host]++
			return pipeline.Pipeline[*http.Response]{}
		},
	}
	get := func(url string) {
		response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, url, nil))
		if err == nil {
			_ = response.Body.Close()
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); get("http://slow/") }()
	<-entered
	get("http://b/")
	get("http://b/")
	require.Equal(t, map[string]int{"slow": 1, "b": 2}, built)
	close(leave)
	<-done
	get("http://b/")
	get("http://b/")
	require.Equal(t, map[string]int{"slow": 1, "b": 3}, built)
}

// A pipeline that answers with both a response and an error, or neither, breaks no promise of a RoundTripper.
func TestTransportHoldsWhateverThePipelineReturns(t *testing.T) {
	var closed atomic.Int64
	down := errors.New("down")
	answer := func(r *http.Response, err error) *pipehttp.Transport {
		return &pipehttp.Transport{Base: tripper(func(*http.Request) (*http.Response, error) { return nil, down }),
			Pipeline: func(string) pipeline.Pipeline[*http.Response] {
				return pipeline.Wrap(&policy.Fallback[*http.Response]{
					Func: func(context.Context, *http.Response, error) (*http.Response, error) { return r, err },
				})
			}}
	}
	both := answer(&http.Response{Body: closing{strings.NewReader(""), &closed}}, down)
	response, err := both.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.ErrorIs(t, err, down)
	require.Nil(t, response)
	require.EqualValues(t, 1, closed.Load())
	neither := answer(nil, nil)
	_, err = neither.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.ErrorContains(t, err, "neither a response nor an error")
	own := answer(&http.Response{StatusCode: 299, Body: http.NoBody}, nil)
	response, err = own.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.NoError(t, err)
	require.Equal(t, 299, response.StatusCode)
	require.NoError(t, response.Body.Close())
}

// The connection can be written to after a switch of protocols.
func TestTransportKeepsAWritableBodyWritable(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	tr := &pipehttp.Transport{Base: tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: client}, nil
	})}
	response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.NoError(t, err)
	go func() { _, _ = response.Body.(io.Writer).Write([]byte("hi")) }()
	got := make([]byte, 2)
	_, err = io.ReadFull(server, got)
	require.NoError(t, err)
	require.Equal(t, "hi", string(got))
	require.NoError(t, response.Body.Close())
}

// Many goroutines share one Transport.
func TestTransportIsSafeForConcurrentUse(t *testing.T) {
	var seen atomic.Int64
	tr := &pipehttp.Transport{Hosts: 3, Base: tripper(func(*http.Request) (*http.Response, error) {
		seen.Add(1)
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 50 {
				response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://h%d/", (i+j)%6), nil))
				if err == nil {
					_ = response.Body.Close()
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 16*50, seen.Load())
	tr.CloseIdleConnections()
}

// With one host more than are remembered, all of them down, each gets no more requests than it would alone.
func TestTransportOpensCircuitsOfMoreHostsThanItRemembers(t *testing.T) {
	requests := map[string]int{}
	tr := &pipehttp.Transport{
		Hosts: 64,
		Base: tripper(func(r *http.Request) (*http.Response, error) {
			requests[r.URL.Host]++
			return nil, errors.New("down")
		}),
		Pipeline: func(host string) pipeline.Pipeline[*http.Response] {
			return pipeline.Wrap(&policy.Breaker[*http.Response]{Circuit: &policy.Circuit{Name: host}})
		},
	}
	for range 50 {
		for i := range 65 {
			_, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://host%d/", i), nil))
			require.Error(t, err)
		}
	}
	for host, n := range requests {
		require.Equal(t, 5, n, host)
	}
	require.Len(t, requests, 65)
}
