package clients_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client sends the body again where a 307 or 308 says, and the pipeline once more where that fails.
func TestRedirectsWithBodies(t *testing.T) {
	payload := strings.Repeat("payload ", 100_000)
	mux := http.NewServeMux()
	mux.HandleFunc("/from/{status}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.Header().Set("Location", "/to")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" ")
		_, _ = io.Copy(w, r.Body)
	})
	server := &failing{next: mux}
	url, client := newServer(t, server), newClient(t)
	requests := 0
	for _, status := range []string{"307", "308"} {
		for range 6 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/from/"+status, strings.NewReader(payload))
			require.NoError(t, err)
			response, err := client.Do(request)
			require.NoError(t, err)
			require.Equal(t, "PUT "+payload, text(t, response))
			require.Equal(t, "/to", response.Request.URL.Path)
			requests += 2
		}
	}
	require.GreaterOrEqual(t, server.requests.Load(), int64(requests*3/2-1))
}

// A counter counts how often a body was read from its beginning.
type counter struct {
	io.Reader
	begun *atomic.Int64
	once  bool
}

func (c *counter) Read(p []byte) (int, error) {
	if !c.once {
		c.once = true
		c.begun.Add(1)
	}
	return c.Reader.Read(p)
}

func (c *counter) Close() error { return nil }

// A body is not read before the server has asked for it. One that refuses the header has cost nothing but that.
func TestExpectContinue(t *testing.T) {
	payload := bytes.Repeat([]byte("payload "), 10_000)
	var begun, seen atomic.Int64
	url := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	body := func() (io.ReadCloser, error) { return &counter{Reader: bytes.NewReader(payload), begun: &begun}, nil }
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, nil)
	require.NoError(t, err)
	request.Body, _ = body()
	request.GetBody, request.ContentLength = body, int64(len(payload))
	request.Header.Set("Expect", "100-continue")
	response, err := newClient(t).Do(request)
	require.NoError(t, err)
	require.Equal(t, string(payload), text(t, response))
	require.EqualValues(t, 2, seen.Load())
	require.EqualValues(t, 1, begun.Load())
}
