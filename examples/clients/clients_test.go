package clients_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

var quietLog = log.New(io.Discard, "", 0)

// quick is a pipeline that does not wait for long, as the servers of tests are not worth it.
func quick(host string) pipeline.Pipeline[*http.Response] {
	return pipeline.Wrap(
		&policy.Retry[*http.Response]{Attempts: 5, Backoff: policy.Constant(time.Millisecond)},
		&policy.Breaker[*http.Response]{Circuit: &policy.Circuit{
			Name: host, Trip: policy.FailureRate{Ratio: 0.9, Window: time.Minute, MinCalls: 50},
		}},
		&policy.Timeout[*http.Response]{Limit: time.Minute},
	)
}

// newClient returns a client with a pipeline, and closes its connections when the test is over.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: &pipehttp.Transport{Base: base, Pipeline: quick}}
}

// newServer serves h, and closes the server when the test is over.
func newServer(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = quietLog
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// failing fails every third request: by a status, or by cutting the connection.
type failing struct {
	next     http.Handler
	requests atomic.Int64
}

func (f *failing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch f.requests.Add(1) % 6 {
	case 2:
		w.WriteHeader(http.StatusServiceUnavailable)
	case 5:
		panic(http.ErrAbortHandler)
	default:
		f.next.ServeHTTP(w, r)
	}
}

// text reads a body to its end.
func text(t *testing.T, r *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return string(body)
}
