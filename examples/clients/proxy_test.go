package clients_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxied serves h behind a reverse proxy with a pipeline.
func proxied(t *testing.T, h http.Handler) string {
	t.Helper()
	target, err := url.Parse(newServer(t, h))
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = newClient(t).Transport
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return newServer(t, proxy)
}

// Each event comes through before the next one is sent.
func TestReverseProxyWithServerSentEvents(t *testing.T) {
	received := make(chan struct{})
	backend := &failing{next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-received
		}
	})}
	url := proxied(t, backend)
	for range 2 {
		response, err := http.Get(url)
		require.NoError(t, err)
		lines := bufio.NewScanner(response.Body)
		for i := range 5 {
			require.True(t, lines.Scan())
			require.Equal(t, fmt.Sprintf("data: %d", i), lines.Text())
			require.True(t, lines.Scan())
			received <- struct{}{}
		}
		require.False(t, lines.Scan())
		require.NoError(t, lines.Err())
		require.NoError(t, response.Body.Close())
	}
	require.EqualValues(t, 3, backend.requests.Load(), "one has failed")
}

func TestReverseProxyWithTrailers(t *testing.T) {
	backend := &failing{next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Announced")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("Announced", "at the end")
		w.Header().Set(http.TrailerPrefix+"Surprise", "too")
	})}
	url := proxied(t, backend)
	for range 4 {
		response, err := http.Get(url)
		require.NoError(t, err)
		require.Equal(t, "body", text(t, response))
		require.Equal(t, "at the end", response.Trailer.Get("Announced"))
		require.Equal(t, "too", response.Trailer.Get("Surprise"))
	}
	require.EqualValues(t, 6, backend.requests.Load(), "two have failed")
}

// A request's trailer is known at the end of its body.
func TestTrailersOfRequests(t *testing.T) {
	url := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_, _ = io.WriteString(w, r.Trailer.Get("Sum"))
	}))
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, reader)
	require.NoError(t, err)
	request.Trailer = http.Header{"Sum": nil}
	go func() {
		_, _ = io.WriteString(writer, "body ")
		request.Trailer.Set("Sum", "7")
		_ = writer.Close()
	}()
	response, err := newClient(t).Do(request)
	require.NoError(t, err)
	require.Equal(t, "body 7", text(t, response))
}
