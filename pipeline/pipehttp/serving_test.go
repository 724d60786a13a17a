package pipehttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

// disconnecting serves h to clients that leave while it runs: h finds a request with the path /leave under a context
// that its client has canceled. It returns the status for a client that stays.
func disconnecting(t *testing.T, clients int, wrap func(http.Handler) http.Handler, next http.HandlerFunc) int {
	t.Helper()
	arrived, ended := make(chan struct{}), make(chan struct{})
	h := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/leave" {
			arrived <- struct{}{}
			next(w, r)
		}
	}))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/leave" {
			defer func() { ended <- struct{}{} }()
		}
		h.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	for range clients {
		ctx, leave := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/leave", nil)
		require.NoError(t, err)
		go func() { <-arrived; leave() }()
		_, err = client.Do(request)
		require.ErrorIs(t, err, context.Canceled)
		<-ended
	}
	response, err := client.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// What a handler makes of a client that has left says nothing of the handler, however it ends.
func TestHandlerIgnoresClientsThatDisconnect(t *testing.T) {
	endings := map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			http.Error(w, r.Context().Err().Error(), http.StatusInternalServerError)
		},
		"nothing":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a panic":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); panic(r.Context().Err()) },
		"an abort":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); panic(http.ErrAbortHandler) },
		"a success": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); w.WriteHeader(http.StatusOK) },
	}
	for name, next := range endings {
		t.Run(name, func(t *testing.T) {
			circuit := &policy.Circuit{Trip: policy.FailureCount{Ratio: 0.1, Last: 100, MinCalls: 2}}
			throttle := &policy.Throttle{Rand: func() float64 { return 0 }}
			p := pipeline.Wrap(
				&policy.Shed[struct{}]{Throttle: throttle},
				&policy.Breaker[struct{}]{Circuit: circuit},
			)
			status := disconnecting(t, 20, func(h http.Handler) http.Handler { return pipehttp.Handler(p, h) }, next)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, policy.Closed, circuit.State())
			require.Equal(t, 1, circuit.Snapshot().Calls, "that of the client that stayed")
		})
	}
}

// A classifier of the user's own does not blame the handler either.
func TestHandlerIgnoresClientsThatDisconnectUnderAnyClassifier(t *testing.T) {
	circuit := &policy.Circuit{Trip: policy.Consecutive(1)}
	p := pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit, Classify: policy.PermanentOn[struct{}](io.EOF)})
	status := disconnecting(t, 1, func(h http.Handler) http.Handler { return pipehttp.Handler(p, h) },
		func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusInternalServerError)
		})
	require.Equal(t, http.StatusOK, status)
}

// A ReverseProxy panics with http.ErrAbortHandler if its client leaves while a body is copied.
func TestHandlerAroundAReverseProxyIgnoresClientsThatDisconnect(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		for r.Context().Err() == nil && r.URL.Path == "/leave" {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	}))
	defer backend.Close()
	defer http.DefaultClient.CloseIdleConnections()
	target, err := url.Parse(backend.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	circuit := &policy.Circuit{}
	h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}), proxy)
	ended := make(chan any, 1)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			ended <- value
			if value != nil {
				panic(value)
			}
		}()
		h.ServeHTTP(w, r)
	}))
	defer front.Close()
	for range 6 {
		response, err := front.Client().Get(front.URL + "/leave")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.ErrAbortHandler, <-ended)
	}
	response, err := front.Client().Get(front.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, policy.Closed, circuit.State())
}

// http.ErrAbortHandler passes as it is, and counts for nothing even while the client waits.
func TestHandlerIgnoresAnAbort(t *testing.T) {
	circuit := &policy.Circuit{Trip: policy.FailureCount{Ratio: 1, Last: 1}}
	for _, classify := range []policy.Classifier[struct{}]{nil, policy.PermanentOn[struct{}](io.EOF), policy.TransientOnly[struct{}](io.EOF)} {
		h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit, Classify: classify}),
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(h) })
		require.Equal(t, policy.Closed, circuit.State())
		require.Zero(t, circuit.Snapshot().Calls)
	}
}

// A panic under a context that was canceled keeps its stack.
func TestHandlerKeepsTheStackOfAPanicWithoutAClient(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	h := pipehttp.Handler(pipeline.Wrap[struct{}](), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		leave()
		culprit()
	}))
	defer func() {
		p, ok := recover().(*policy.Panic)
		require.True(t, ok)
		require.Equal(t, io.EOF, p.Value)
		require.Contains(t, string(p.Stack), "culprit")
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
}

//go:noinline
func culprit() { panic(io.EOF) }

// An outer handler's deadline is not the client's doing.
func TestHandlerCountsADeadlineThatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		circuit := &policy.Circuit{Trip: policy.Consecutive(1)}
		h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}),
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				w.WriteHeader(http.StatusInternalServerError)
			}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		require.Equal(t, policy.Open, circuit.State())
	})
}

// A handler that ends its goroutine fails, and takes the goroutine with it.
func TestHandlerLetsGoexitPass(t *testing.T) {
	circuit := &policy.Circuit{Trip: policy.Consecutive(1)}
	h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}),
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }))
	returned, over := false, make(chan struct{})
	go func() {
		defer close(over)
		serve(h)
		returned = true
	}()
	<-over
	require.False(t, returned)
	require.Equal(t, policy.Open, circuit.State())
}

// A policy that turns every result into a success cannot make an empty 200 of it.
func TestHandlerAnswersWhenAPolicyAnswersInItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forgiving := described{func(ctx context.Context, next policy.Next[struct{}]) (struct{}, error) {
			_, _ = next.Do(ctx)
			return struct{}{}, nil
		}}
		isolated := &policy.Circuit{}
		isolated.Isolate()
		h := pipehttp.Handler(pipeline.Wrap[struct{}](forgiving, &policy.Breaker[struct{}]{Circuit: isolated}), http.NotFoundHandler())
		require.Equal(t, http.StatusServiceUnavailable, serve(h).StatusCode)

		h = pipehttp.Handler(pipeline.Wrap[struct{}](forgiving, &policy.Timeout[struct{}]{Limit: time.Second}),
			http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		require.Equal(t, http.StatusGatewayTimeout, serve(h).StatusCode)

		h = pipehttp.Handler(pipeline.Wrap[struct{}](forgiving), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		require.Equal(t, http.StatusOK, serve(h).StatusCode, "an empty answer is one")
	})
}

// Middleware outside sees what a mux inside has found out about the request.
func TestHandlerShowsPatternAndPathValuesOutside(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}/files/{path...}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /panics/{id}/{$}", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("GET /odd/", func(_ http.ResponseWriter, r *http.Request) { r.Pattern = "/odd/{open" })
	h := pipehttp.Handler(pipeline.Wrap[struct{}](), mux)

	r := httptest.NewRequest(http.MethodGet, "/users/7/files/a/b", nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "GET /users/{id}/files/{path...}", r.Pattern)
	require.Equal(t, "7", r.PathValue("id"))
	require.Equal(t, "a/b", r.PathValue("path"))

	r = httptest.NewRequest(http.MethodGet, "/panics/8/", nil)
	require.Panics(t, func() { h.ServeHTTP(httptest.NewRecorder(), r) })
	require.Equal(t, "GET /panics/{id}/{$}", r.Pattern)
	require.Equal(t, "8", r.PathValue("id"))
	require.Empty(t, r.PathValue("$"))

	r = httptest.NewRequest(http.MethodGet, "/odd/", nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "/odd/{open", r.Pattern)

	r = httptest.NewRequest(http.MethodGet, "/users/7/files/a/b", nil)
	outer := http.NewServeMux()
	outer.Handle("/users/{user}/", h)
	outer.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "GET /users/{id}/files/{path...}", r.Pattern)
	require.Equal(t, "7", r.PathValue("id"))
	require.Equal(t, "7", r.PathValue("user"), "what a mux outside has found out stays")
}

// The server removes the files of a form that the handler has parsed.
func TestHandlerLeavesTheFilesOfAFormToTheServer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	server := httptest.NewServer(pipehttp.Handler(pipeline.Wrap[struct{}](), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, r.ParseMultipartForm(1))
		require.Len(t, files(t), 1)
	})))
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "name")
	require.NoError(t, err)
	_, _ = part.Write(make([]byte, 32<<20))
	require.NoError(t, form.Close())
	response, err := http.Post(server.URL, form.FormDataContentType(), &body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	server.Close()
	http.DefaultClient.CloseIdleConnections()
	require.Empty(t, files(t))
}

func files(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*"))
	require.NoError(t, err)
	return list
}

// mute cannot flush.
type mute struct{ w *httptest.ResponseRecorder }

func (m mute) Header() http.Header         { return m.w.Header() }
func (m mute) Write(p []byte) (int, error) { return m.w.Write(p) }
func (m mute) WriteHeader(status int)      { m.w.WriteHeader(status) }

// A flush that the writer does not know begins no response.
func TestHandlerAnswersAfterAFlushThatWasNotSupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := pipehttp.Handler(pipeline.Wrap(&policy.Timeout[struct{}]{Limit: time.Second}),
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.ErrorIs(t, http.NewResponseController(w).Flush(), errors.ErrUnsupported)
				<-r.Context().Done()
			}))
		w := httptest.NewRecorder()
		h.ServeHTTP(mute{w}, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, http.StatusGatewayTimeout, w.Code)
	})
}

// Retry-After fits any time, on 32 bits as well.
func TestHandlerSaysWhenToComeBackHoweverFarAway(t *testing.T) {
	circuit := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(100 * 365 * 24 * time.Hour)}
	h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	require.Equal(t, 500, serve(h).StatusCode)
	response := serve(h)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, "3153600000", response.Header.Get("Retry-After"))
}

// A whole number of seconds is not rounded up.
func TestHandlerSaysWhenToComeBackInWholeSeconds(t *testing.T) {
	circuit := &policy.Circuit{Trip: policy.Consecutive(1), Cooldown: policy.Constant(2 * time.Second), Clock: clock.NewVirtual()}
	h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	require.Equal(t, 500, serve(h).StatusCode)
	require.Equal(t, "2", serve(h).Header.Get("Retry-After"))
}

// A request whose client has gone before it was admitted is not served.
func TestHandlerDoesNotServeAClientThatHasGone(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	leave()
	h := pipehttp.Handler(pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: new(policy.Circuit)}),
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
}

// The first status counts, and a response that has begun is left alone.
func TestHandlerGoesByTheFirstStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		circuit := &policy.Circuit{Trip: policy.Consecutive(1)}
		p := pipeline.Wrap(&policy.Breaker[struct{}]{Circuit: circuit}, &policy.Timeout[struct{}]{Limit: time.Second})
		for _, write := range []func(w http.ResponseWriter){
			func(w http.ResponseWriter) { w.WriteHeader(200); w.WriteHeader(500) },
			func(w http.ResponseWriter) { _, _ = io.Copy(w, io.LimitReader(bytes.NewReader([]byte("x")), 1)) },
		} {
			response := serve(pipehttp.Handler(p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				write(w)
				<-r.Context().Done()
			})))
			require.Equal(t, 200, response.StatusCode)
			require.Equal(t, policy.Closed, circuit.State())
		}
	})
}
