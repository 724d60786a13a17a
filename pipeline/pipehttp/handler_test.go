package pipehttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

func serve(h http.Handler) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Result()
}

// An answer of the Handler's own does not carry what next said of the content it never sent.
func TestHandlerAnswersWithoutNextsContentHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := pipehttp.Handler(pipeline.Wrap(&policy.Timeout[struct{}]{Limit: time.Second}),
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", "*")
				for _, name := range []string{"Cache-Control", "Content-Encoding", "ETag", "Last-Modified", "Content-Length"} {
					w.Header().Set(name, "7")
				}
				<-r.Context().Done()
			}))
		response := serve(h)
		require.Equal(t, http.StatusGatewayTimeout, response.StatusCode)
		require.Equal(t, "*", response.Header.Get("Access-Control-Allow-Origin"))
		for _, name := range []string{"Cache-Control", "Content-Encoding", "ETag", "Last-Modified", "Content-Length"} {
			require.Empty(t, response.Header.Get(name), name)
		}
	})
}

type brokenPipe struct{ http.ResponseWriter }

var errBrokenPipe = errors.New("broken pipe")

func (brokenPipe) FlushError() error { return errBrokenPipe }

func TestHandlerTellsOfAFlushThatFailed(t *testing.T) {
	var err error
	h := pipehttp.Handler(pipeline.Wrap[struct{}](), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		err = http.NewResponseController(w).Flush()
	}))
	h.ServeHTTP(brokenPipe{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/", nil))
	require.ErrorIs(t, err, errBrokenPipe)
}

// A status of 500 and up is a failure to the pipeline and reaches the client as it is; an open circuit answers 503 and
// says when to come back.
func TestHandlerCountsStatusesAndRefuses(t *testing.T) {
	v := clock.NewVirtual()
	circuit := &policy.Circuit{Trip: policy.Consecutive(2), Cooldown: policy.Constant(1500 * time.Millisecond), Clock: v}
	status, calls := 0, 0
	h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "own words")
		}))
	for _, status = range []int{500, 404, 599, 500} {
		response := serve(h)
		body, _ := io.ReadAll(response.Body)
		require.Equal(t, status, response.StatusCode)
		require.Equal(t, "own words", string(body))
	}
	response := serve(h)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, "2", response.Header.Get("Retry-After"), "rounded up")
	require.Equal(t, 4, calls)
	v.Advance(1500 * time.Millisecond)
	status = 200
	require.Equal(t, 200, serve(h).StatusCode)
	require.Equal(t, policy.Closed, circuit.State())
	circuit.Isolate()
	response = serve(h)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Empty(t, response.Header.Get("Retry-After"), "nobody knows")
}

// A handler that heeds its context and answers nothing has timed out; one that has begun to answer is left alone.
func TestHandlerAnswersATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.Wrap(&policy.Timeout[struct{}]{Limit: time.Second})
		response := serve(pipehttp.Handler(p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		})))
		require.Equal(t, http.StatusGatewayTimeout, response.StatusCode)
		response = serve(pipehttp.Handler(p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "so far")
			<-r.Context().Done()
		})))
		body, _ := io.ReadAll(response.Body)
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, "so far", string(body))
	})
}

// Handler refuses pipelines that could answer twice or after the fact, and those of which that is not known.
func TestHandlerRefusesWhatCannotWork(t *testing.T) {
	next := http.NotFoundHandler()
	for want, p := range map[string]pipeline.Pipeline[struct{}]{
		"may call 3 times": pipeline.Wrap(&policy.Retry[struct{}]{}),
		"has a fallback":   pipeline.Wrap(&policy.Fallback[struct{}]{Func: policy.Static(struct{}{})}),
		"which answers":    pipeline.Wrap[struct{}](pipeline.Wrap[struct{}]().Named("empty"), &policy.Fallback[struct{}]{Func: policy.Static(struct{}{})}),
		"has a stale":      pipeline.Wrap[struct{}](pipeline.Wrap(&policy.Stale[struct{}]{MaxAge: time.Hour}).Named("inner")),
		"detaches":         pipeline.Wrap(&policy.Timeout[struct{}]{Limit: time.Second, Detach: true}),
		"does not say": pipeline.Wrap[struct{}](policy.PolicyFunc[struct{}](
			func(ctx context.Context, next policy.Next[struct{}]) (struct{}, error) { return next.Do(ctx) })),
	} {
		func() {
			defer func() { require.ErrorContains(t, recover().(error), want) }()
			pipehttp.Handler(p, next)
		}()
	}
	require.Panics(t, func() { pipehttp.Handler(pipeline.Pipeline[struct{}]{}, nil) })
	require.NotPanics(t, func() { pipehttp.Handler(pipeline.Wrap(&policy.Retry[struct{}]{Attempts: 1}), next) })
}

// A panic passes, and counts as failed.
func TestHandlerLetsPanicsPass(t *testing.T) {
	circuit := &policy.Circuit{Trip: policy.Consecutive(1)}
	h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}),
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	require.PanicsWithValue(t, "boom", func() { serve(h) })
	require.Equal(t, policy.Open, circuit.State())
}

// The handler's writer still does what the server's can: flush, copy without a detour, be taken over.
func TestHandlerKeepsTheWritersAbilities(t *testing.T) {
	h := pipehttp.Handler(pipeline.Pipeline[struct{}]{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, _, err := http.NewResponseController(w).Hijack()
			require.NoError(t, err)
			_, _ = io.WriteString(conn, "HTTP/1.1 299 Mine\r\nContent-Length: 0\r\n\r\n")
			_ = conn.Close()
			return
		}
		_, err := io.Copy(w, strings.NewReader("copied"))
		require.NoError(t, err)
		w.(http.Flusher).Flush()
		require.NoError(t, http.NewResponseController(w).SetReadDeadline(time.Time{}))
	}))
	server := httptest.NewServer(h)
	defer server.Close()
	for path, want := range map[string]int{"/": 200, "/hijack": 299} {
		response, err := http.Get(server.URL + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want, response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A connection that the handler has taken over is its own, whatever becomes of the call.
func TestHandlerLeavesATakenConnectionAlone(t *testing.T) {
	var complaints strings.Builder
	p := pipeline.Wrap(&policy.Timeout[struct{}]{Limit: time.Millisecond})
	h := pipehttp.Handler(p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		<-r.Context().Done()
		_, _ = io.WriteString(conn, "HTTP/1.1 299 Mine\r\nContent-Length: 0\r\n\r\n")
	}))
	over := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		h.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(&complaints, "", 0)
	server.Start()
	response, err := http.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 299, response.StatusCode)
	<-over
	server.Close()
	require.Empty(t, complaints.String())
}

// An informational status is not the response's own.
func TestHandlerLooksPastInformationalStatuses(t *testing.T) {
	circuit := &policy.Circuit{Trip: policy.Consecutive(1)}
	server := httptest.NewServer(pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusBadGateway)
		})))
	defer server.Close()
	response, err := http.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusBadGateway, response.StatusCode)
	require.Equal(t, policy.Open, circuit.State())
}

// A pipeline's own error, where nothing was written, is an internal one.
func TestHandlerAnswersAnUnknownError(t *testing.T) {
	own := policy.PolicyFunc[struct{}](func(context.Context, policy.Next[struct{}]) (struct{}, error) {
		return struct{}{}, errors.New("secret")
	})
	response := serve(pipehttp.Handler(pipeline.Wrap[struct{}](described{own}), http.NotFoundHandler()))
	body, _ := io.ReadAll(response.Body)
	require.Equal(t, http.StatusInternalServerError, response.StatusCode)
	require.NotContains(t, string(body), "secret")
}

// described is a policy that says what it costs.
type described struct{ policy.PolicyFunc[struct{}] }

func (described) Describe() policy.Description {
	return policy.Description{Kind: "own", Bounds: func(inner policy.Bounds) policy.Bounds { return inner }}
}

func ExampleHandler() {
	users := &policy.Circuit{Name: "users"}
	p := pipeline.Wrap(
		&policy.Breaker[struct{}]{Circuit: users},
		&policy.Timeout[struct{}]{Limit: time.Second},
	)
	h := pipehttp.Handler(p, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	users.Isolate()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code)
	// Output: 503
}
