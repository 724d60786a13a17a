package pipehttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
)

// What a Transport adds to a request, alone and beside a server that answers at once.
func BenchmarkTransport(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer server.Close()
	over := server.Client().Transport
	free := tripper(func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
	})
	for _, bench := range []struct {
		name   string
		client http.RoundTripper
		method string
	}{
		{"base=none/plain/GET", free, http.MethodGet},
		{"base=none/holdfast/GET", &pipehttp.Transport{Base: free}, http.MethodGet},
		{"base=none/plain/POST", free, http.MethodPost},
		{"base=none/holdfast/POST", &pipehttp.Transport{Base: free}, http.MethodPost},
		{"base=server/plain/GET", over, http.MethodGet},
		{"base=server/holdfast/GET", &pipehttp.Transport{Base: over}, http.MethodGet},
		{"base=server/plain/POST", over, http.MethodPost},
		{"base=server/holdfast/POST", &pipehttp.Transport{Base: over}, http.MethodPost},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var body io.Reader
				if bench.method == http.MethodPost {
					body = strings.NewReader("payload")
				}
				request, _ := http.NewRequestWithContext(b.Context(), bench.method, server.URL, body)
				response, err := bench.client.RoundTrip(request)
				require.NoError(b, err)
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
}
