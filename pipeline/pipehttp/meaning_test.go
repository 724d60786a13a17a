package pipehttp_test

import (
	"context"
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

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
	"github.com/holdfast-go/holdfast/policy/policytest"
)

// The obvious pipeline does the obvious: it retries a 503 as long as the server wants, and its circuit opens.
func TestTransportGivesItsMeaningToEveryPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []policy.Change
		circuit := &policy.Circuit{Trip: policy.Consecutive(3), OnChange: func(c policy.Change) { changes = append(changes, c) }}
		recorder := new(policytest.Recorder)
		calls, status := 0, 503
		var closed atomic.Int64
		tr := &pipehttp.Transport{
			Base: tripper(func(*http.Request) (*http.Response, error) {
				calls++
				return &http.Response{
					StatusCode: status, Header: headers("Retry-After", "7"),
					Body: closing{strings.NewReader("busy"), &closed},
				}, nil
			}),
			Pipeline: func(string) pipeline.Pipeline[*http.Response] {
				return pipeline.Wrap(
					&policy.Retry[*http.Response]{Backoff: policy.Constant(0)},
					&policy.Breaker[*http.Response]{Circuit: circuit},
				).Observe(recorder)
			},
		}
		start := time.Now()
		response, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
		require.NoError(t, err)
		require.Equal(t, 503, response.StatusCode)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 3, calls)
		require.EqualValues(t, 3, closed.Load())
		require.Equal(t, 14*time.Second, time.Since(start), "in the bubble's time")
		require.Len(t, changes, 1)
		require.EqualError(t, changes[0].Cause, "503 Service Unavailable")
		attempted := recorder.Events(policy.Attempted)
		require.Len(t, attempted, 3)
		require.Equal(t, policy.TransientFailure, attempted[0].Outcome)
		require.EqualError(t, attempted[0].Err, "503 Service Unavailable")

		circuit.Reset()
		status = 404
		response, err = tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 4, calls, "a 404 is not tried again")
	})
}

func TestMeaningNamesAFailureByItsStatus(t *testing.T) {
	require.EqualError(t, pipehttp.Meaning.Failure(&http.Response{StatusCode: 429}), "429 Too Many Requests")
	require.EqualError(t, pipehttp.Meaning.Failure(&http.Response{StatusCode: 599}), "status 599")
	require.ErrorContains(t, pipehttp.Meaning.Failure(nil), "neither a response nor an error")
}

// A pipeline around an http.Client keeps the contexts of its policies until the body has been read.
func TestMeaningKeepsABodyReadable(t *testing.T) {
	const size = 1 << 20
	overBoth(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	}, func(t *testing.T, url string, base *http.Transport) {
		client := &http.Client{Transport: base}
		for name, p := range map[string]policy.Policy[*http.Response]{
			"timeout": &policy.Timeout[*http.Response]{Limit: time.Hour},
			"hedge":   &policy.Hedge[*http.Response]{Delay: time.Hour},
			"dedupe":  &policy.Dedupe[*http.Response]{Key: func(context.Context) string { return "a" }},
		} {
			t.Run(name, func(t *testing.T) {
				var own context.Context
				response, err := pipeline.Wrap(p).Means(pipehttp.Meaning).Do(t.Context(), func(ctx context.Context) (*http.Response, error) {
					own = ctx
					request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
					require.NoError(t, err)
					return client.Do(request)
				})
				require.NoError(t, err)
				require.NoError(t, own.Err())
				n, err := io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
				require.EqualValues(t, size, n)
				require.Error(t, own.Err(), "it ends with the body")
				require.NoError(t, response.Body.Close())
			})
		}
	})
}

// hold wraps a body that tells of its end.
func TestMeaningReleasesWhenAResponseIsDoneWith(t *testing.T) {
	var released int
	var closed atomic.Int64
	release := func() { released++ }
	for _, r := range []*http.Response{nil, {}, {Body: http.NoBody}} {
		released = 0
		require.True(t, pipehttp.Meaning.Hold(r, release) == r)
		require.Equal(t, 1, released, "nothing to wait for")
	}
	released = 0
	r := pipehttp.Meaning.Hold(&http.Response{Body: closing{strings.NewReader("body"), &closed}}, release)
	_, err := io.ReadFull(r.Body, make([]byte, 4))
	require.NoError(t, err)
	require.Zero(t, released)
	_, err = r.Body.Read(make([]byte, 4))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 1, released)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 1, released)
	require.EqualValues(t, 1, closed.Load())

	released = 0
	r = pipehttp.Meaning.Hold(&http.Response{Body: closing{strings.NewReader("body"), &closed}}, release)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 1, released)

	written := new(duplexBody)
	r = pipehttp.Meaning.Hold(&http.Response{Body: written}, release)
	_, err = io.WriteString(r.Body.(io.Writer), "hi")
	require.NoError(t, err)
	require.Equal(t, "hi", written.String())
	released = 0
	require.NoError(t, r.Body.Close())
	require.Equal(t, 1, released)
}

// duplexBody can be written to.
type duplexBody struct{ strings.Builder }

func (*duplexBody) Read([]byte) (int, error) { return 0, io.EOF }
func (*duplexBody) Close() error             { return nil }

// A pipeline that has a meaning of its own, with a Hold, works within a Transport, whatever changes hands.
func TestTransportKnowsBodiesThatAreHeld(t *testing.T) {
	changed := func(_ context.Context, r *http.Response, _ error) (*http.Response, error) {
		c := *r
		c.StatusCode = 200
		return &c, nil
	}
	for _, body := range []func(closed *atomic.Int64) io.ReadCloser{
		func(closed *atomic.Int64) io.ReadCloser { return closing{strings.NewReader("body"), closed} },
		func(closed *atomic.Int64) io.ReadCloser {
			return writableBody{closing{strings.NewReader("body"), closed}}
		},
	} {
		var closed atomic.Int64
		tr := &pipehttp.Transport{
			Base: tripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 503, Body: body(&closed)}, nil
			}),
			Pipeline: func(string) pipeline.Pipeline[*http.Response] {
				return pipeline.Wrap(
					&policy.Timeout[*http.Response]{Limit: time.Hour},
					&policy.Timeout[*http.Response]{Limit: time.Hour},
					&policy.Fallback[*http.Response]{Func: changed},
				).Means(pipehttp.Meaning)
			},
		}
		response, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
		require.NoError(t, err)
		require.Zero(t, closed.Load())
		got, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "body", string(got))
		require.NoError(t, response.Body.Close())
		require.NoError(t, response.Body.Close())
		require.EqualValues(t, 1, closed.Load())
	}
}

type writableBody struct{ closing }

func (writableBody) Write(p []byte) (int, error) { return len(p), nil }

// counted is a context that lives long, and counts what waits for its end.
type counted struct {
	context.Context
	waiting atomic.Int64
}

func (c *counted) AfterFunc(f func()) func() bool {
	c.waiting.Add(1)
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		stopped := stop()
		if stopped {
			c.waiting.Add(-1)
		}
		return stopped
	}
}

func (c *counted) Value(any) any { return nil } // so that package context asks for AfterFunc

// A call leaves nothing with a context that lives long once its body is closed.
func TestTransportLeavesNothingWithAContextThatLivesLong(t *testing.T) {
	for name, p := range map[string]policy.Policy[*http.Response]{
		"none":    pipeline.Pipeline[*http.Response]{},
		"hedge":   &policy.Hedge[*http.Response]{Delay: time.Hour},
		"timeout": &policy.Timeout[*http.Response]{Limit: time.Hour},
		"dedupe":  &policy.Dedupe[*http.Response]{Key: func(context.Context) string { return "a" }},
	} {
		for _, mean := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", mean), func(t *testing.T) {
				tr := &pipehttp.Transport{
					Base: tripper(func(*http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x"))}, nil
					}),
					Pipeline: func(string) pipeline.Pipeline[*http.Response] {
						if mean {
							return pipeline.Wrap(p).Means(pipehttp.Meaning)
						}
						return pipeline.Wrap(p)
					},
				}
				alive, cancel := context.WithCancel(t.Context())
				defer cancel()
				ctx := &counted{Context: alive}
				for range 3 {
					response, err := tr.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "http://a/", nil))
					require.NoError(t, err)
					require.Positive(t, ctx.waiting.Load())
					require.NoError(t, response.Body.Close())
					require.Zero(t, ctx.waiting.Load())
				}
			})
		}
	}
}

// What the response says of its request is what net/http says: it is the caller's, and its context is alive.
func TestTransportReturnsTheCallersRequestWithTheResponse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	defer server.Close()
	base := server.Client().Transport
	wrapper := tripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("X", "added")
		return base.RoundTrip(r)
	})
	for name, base := range map[string]http.RoundTripper{"net/http": base, "a wrapper": wrapper} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &pipehttp.Transport{Base: base}}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			response, err := client.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			if name == "net/http" {
				require.True(t, response.Request == request)
			} else {
				require.Equal(t, "added", response.Request.Header.Get("X"))
			}
			follow, err := http.NewRequestWithContext(response.Request.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			response, err = client.Do(follow)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
		})
	}
	tr := &pipehttp.Transport{Base: tripper(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil })}
	response, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.NoError(t, err)
	require.Nil(t, response.Request)
}

// A response without a body needs no context any more.
func TestTransportEndsTheContextOfAResponseWithoutABody(t *testing.T) {
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		var own context.Context
		tr := &pipehttp.Transport{Base: tripper(func(r *http.Request) (*http.Response, error) {
			own = r.Context()
			return &http.Response{StatusCode: 204, Body: body}, nil
		})}
		response, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
		require.NoError(t, err)
		require.Equal(t, http.NoBody, response.Body)
		require.Error(t, own.Err())
	}
}

// A body cannot be read after it was closed, whatever the base's would do.
func TestTransportClosesABodyOnce(t *testing.T) {
	var closed atomic.Int64
	tr := &pipehttp.Transport{Base: tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: closing{strings.NewReader("x"), &closed}}, nil
	})}
	response, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, response.Body.Close())
	require.EqualValues(t, 1, closed.Load())
	_, err = response.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
}

// Callers that have no time, or leave, say nothing of the host.
func TestTransportDoesNotBlameTheHostForItsCallers(t *testing.T) {
	why := errors.New("a sibling has failed")
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	base := server.Client().Transport.(*http.Transport)
	for name, call := range map[string]func(client *http.Client){
		"expired": func(client *http.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 0)
			defer cancel()
			get(ctx, t, client, server.URL)
		},
		"30 µs of patience": func(client *http.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Microsecond)
			defer cancel()
			get(ctx, t, client, server.URL)
		},
		"1 ms of patience with a slow page": func(client *http.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			get(ctx, t, client, server.URL+"/slow")
		},
		"canceled with a cause": func(client *http.Client) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(why)
			get(ctx, t, client, server.URL)
		},
		"canceled with a cause on the way": func(client *http.Client) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Millisecond, func() { cancel(why) })
			get(ctx, t, client, server.URL+"/slow")
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &pipehttp.Transport{Base: base}}
			defer base.CloseIdleConnections()
			for range 100 {
				call(client)
			}
			require.NoError(t, get(t.Context(), t, client, server.URL), "one with patience")
		})
	}
}

// A base that says context.Canceled while the caller waits has failed like any other.
func TestTransportBlamesTheHostForACancellationOfItsOwn(t *testing.T) {
	circuit, p := watched()
	tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(*http.Request) (*http.Response, error) { return nil, context.Canceled })}
	_, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, circuit.Snapshot().Failures)
}

func get(ctx context.Context, t *testing.T, client *http.Client, url string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err == nil {
		require.NoError(t, response.Body.Close())
	}
	return err
}

// A caller's deadline counts if an answer was overdue, by what the host usually takes, or 100 ms if it has never answered.
func TestTransportCountsADeadlineThatLeftTheHostItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		latency := time.Hour
		circuit, p := watched()
		tr := &pipehttp.Transport{Pipeline: p, Base: tripper(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(latency):
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})}
		counts := func(patience time.Duration) bool {
			before := circuit.Snapshot().Calls
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := tr.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "http://a/", nil))
			if latency > patience {
				require.True(t, err == context.DeadlineExceeded, "%v", err)
			}
			return circuit.Snapshot().Calls > before
		}
		require.False(t, counts(99*time.Millisecond))
		require.True(t, counts(100*time.Millisecond))
		latency = 8 * time.Second
		require.True(t, counts(time.Minute), "an answer")
		latency = time.Hour
		require.False(t, counts(24*time.Second-1))
		require.True(t, counts(24*time.Second))
		latency = 16 * time.Second
		require.True(t, counts(time.Minute), "an answer: 9 s are usual now, with a deviation of 5")
		latency = time.Hour
		require.False(t, counts(29*time.Second-1))
		require.True(t, counts(29*time.Second))
		for latency = time.Microsecond; counts(time.Minute) && circuit.Snapshot().Calls < 90; {
		}
		latency = time.Hour
		require.False(t, counts(time.Millisecond-1), "less is about the caller")
	})
}

func ExampleMeaning() {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()

	// A pipeline around a client, where a Transport inside the client does not fit.
	p := pipeline.Wrap(
		&policy.Retry[*http.Response]{Backoff: policy.Constant(time.Millisecond)},
		&policy.Timeout[*http.Response]{Limit: time.Second},
	).Means(pipehttp.Meaning)
	response, err := p.Do(context.Background(), func(ctx context.Context) (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			return nil, policy.Permanent(err)
		}
		return server.Client().Do(request)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	fmt.Println(response.Status, "after", calls, "calls")
	// Output: 200 OK after 3 calls
}
