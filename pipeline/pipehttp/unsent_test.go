package pipehttp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/pipeline/pipehttp"
	"github.com/holdfast-go/holdfast/policy"
)

// post sends a POST through a Transport with three attempts, and returns how many attempts there were.
func post(t *testing.T, base http.RoundTripper, url string, body io.Reader) (response *http.Response, tries int, err error) {
	t.Helper()
	tr := &pipehttp.Transport{Pipeline: impatient, Base: tripper(func(r *http.Request) (*http.Response, error) {
		tries++
		return base.RoundTrip(r)
	})}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	require.NoError(t, err)
	response, err = tr.RoundTrip(request)
	if err == nil {
		require.NoError(t, response.Body.Close())
	}
	return response, tries, err
}

// closedPort is an address that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// A POST that was not sent is sent again, and its error comes back as it was.
func TestTransportSendsAPostAgainThatWasNeverSent(t *testing.T) {
	t.Run("connection refused", func(t *testing.T) {
		_, tries, err := post(t, &http.Transport{}, "http://"+closedPort(t), strings.NewReader("x"))
		require.Equal(t, 3, tries)
		require.Equal(t, "*net.OpError", fmt.Sprintf("%T", err), "as it is")
	})
	t.Run("a body that cannot be rewound, and was not read", func(t *testing.T) {
		var closed atomic.Int64
		_, tries, err := post(t, &http.Transport{}, "http://"+closedPort(t), closing{strings.NewReader("x"), &closed})
		require.Equal(t, 3, tries)
		require.Equal(t, "*net.OpError", fmt.Sprintf("%T", err), "as it is")
		require.EqualValues(t, 1, closed.Load())
	})
	t.Run("no such name", func(t *testing.T) {
		unknown := &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}
		base := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, unknown }}
		_, tries, err := post(t, base, "http://nowhere.invalid", strings.NewReader("x"))
		require.Equal(t, 3, tries)
		require.Equal(t, unknown, err)
	})
	t.Run("TLS that fails", func(t *testing.T) {
		plain := httptest.NewServer(http.NotFoundHandler())
		plain.Config.ErrorLog = quiet
		defer plain.Close()
		_, tries, err := post(t, &http.Transport{}, "https"+strings.TrimPrefix(plain.URL, "http"), strings.NewReader("x"))
		require.Equal(t, 3, tries)
		require.ErrorContains(t, err, "first record does not look like a TLS handshake")
	})
	t.Run("a certificate that is not trusted", func(t *testing.T) {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = quiet
		server.StartTLS()
		defer server.Close()
		_, tries, err := post(t, &http.Transport{}, server.URL, strings.NewReader("x"))
		var untrusted *tls.CertificateVerificationError
		require.ErrorAs(t, err, &untrusted)
		require.Equal(t, 1, tries, "it will not be the next time")
	})
}

// What was sent stays sent once.
func TestTransportSendsAPostOnceThatWasSent(t *testing.T) {
	var seen atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		seen.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	_, tries, err := post(t, &http.Transport{}, server.URL, strings.NewReader("x"))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 1, tries)
	require.EqualValues(t, 1, seen.Load())

	// A base that tries again on its own, and does not get through then.
	own := tripper(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			return response, nil
		}
		again := r.Clone(r.Context())
		again.Body, _ = r.GetBody()
		again.URL.Host = closedPort(t)
		return http.DefaultTransport.RoundTrip(again)
	})
	_, tries, err = post(t, own, server.URL, strings.NewReader("x"))
	require.ErrorContains(t, err, "refused")
	require.Equal(t, 1, tries)
	require.EqualValues(t, 2, seen.Load())

	// A base that does not say how far it has come.
	_, tries, _ = post(t, tripper(func(*http.Request) (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: io.EOF} }),
		server.URL, strings.NewReader("x"))
	require.Equal(t, 1, tries)
}

// brittle is a connection that can be cut off from the server without reading being any the wiser.
type brittle struct {
	net.Conn
	cut *atomic.Bool
}

func (b brittle) Write(p []byte) (int, error) {
	if b.cut.Load() {
		return 0, io.ErrClosedPipe
	}
	return b.Conn.Write(p)
}

// Net/http sends a POST over another connection if an idle one takes nothing of it. If it gets no other one the POST was
// not sent.
func TestTransportSendsAPostAgainThatAnIdleConnectionDidNotTake(t *testing.T) {
	var seen atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer server.Close()
	var cut atomic.Bool
	dials := 0
	base := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		if dials == 2 || dials == 3 {
			return nil, io.ErrUnexpectedEOF
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if dials == 1 && err == nil {
			conn = brittle{conn, &cut}
		}
		return conn, err
	}}
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: &pipehttp.Transport{Base: base, Pipeline: impatient}}
	for n := range int64(2) {
		response, err := client.Post(server.URL, "text/plain", strings.NewReader("x"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, n+1, seen.Load())
		cut.Store(true)
	}
	require.Equal(t, 4, dials)
}

// A policy that calls again whatever the context says finds the request spent.
func TestTransportSendsAPostOnceUnderAPolicyThatDoesNotKnowOnce(t *testing.T) {
	stubborn := policy.PolicyFunc[*http.Response](func(ctx context.Context, next policy.Next[*http.Response]) (*http.Response, error) {
		_, _ = next.Do(ctx)
		return next.Do(ctx)
	})
	calls := 0
	tr := &pipehttp.Transport{
		Base: tripper(func(*http.Request) (*http.Response, error) { calls++; return nil, io.ErrUnexpectedEOF }),
		Pipeline: func(string) pipeline.Pipeline[*http.Response] {
			return pipeline.Wrap[*http.Response](stubborn)
		},
	}
	_, err := tr.RoundTrip(httptest.NewRequest(http.MethodPost, "http://a/", nil))
	require.ErrorContains(t, err, "must not be sent again")
	require.Equal(t, 1, calls)
	calls = 0
	_, err = tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a/", nil))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 2, calls)
}

// A frame is HTTP/2's.
func frame(kind byte, stream uint32, payload ...byte) []byte {
	f := []byte{0, 0, byte(len(payload)), kind, 0}
	f = binary.BigEndian.AppendUint32(f, stream)
	return append(f, payload...)
}

const (
	headersFrame, settingsFrame, goAwayFrame = 1, 4, 7 // kinds of frames
	protocolError                            = 1       // the code of an error
)

// http2Server answers the first request on each connection with frames, and reads on until the client leaves.
func http2Server(t *testing.T, requests *atomic.Int64, frames ...[]byte) (url string, base *http.Transport) {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(certified.Close)
	config := certified.TLS.Clone()
	config.NextProtos = []string{"h2"}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	base = certified.Client().Transport.(*http.Transport)
	base.ForceAttemptHTTP2 = true
	over := make(chan struct{})
	t.Cleanup(func() { base.CloseIdleConnections(); _ = listener.Close(); <-over })
	go func() {
		defer close(over)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serveFrames(conn, requests, frames)
		}
	}()
	return "https://" + listener.Addr().String(), base
}

func serveFrames(conn net.Conn, requests *atomic.Int64, frames [][]byte) {
	defer func() { _ = conn.Close() }()
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	_, _ = io.ReadFull(conn, preface)
	_, _ = conn.Write(frame(settingsFrame, 0))
	header := make([]byte, 9)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		size := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		_, _ = io.CopyN(io.Discard, conn, size)
		if header[3] == headersFrame {
			requests.Add(1)
			_, _ = conn.Write(bytes.Join(frames, nil))
			return
		}
	}
}

// An HTTP/2 server says of a request that it has not looked at it.
func TestTransportSendsAPostAgainThatHTTP2Refused(t *testing.T) {
	for _, test := range []struct {
		name  string
		frame []byte
		again bool
	}{
		{"GOAWAY with an error, below the first stream", frame(goAwayFrame, 0, 0, 0, 0, 0, 0, 0, 0, protocolError), true},
		{"GOAWAY with an error, at the stream", frame(goAwayFrame, 0, 0, 0, 0, 1, 0, 0, 0, protocolError), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int64
			url, base := http2Server(t, &requests, test.frame)
			_, tries, err := post(t, base, url, strings.NewReader("x"))
			require.Error(t, err)
			if test.again {
				require.Equal(t, 3, tries, "%v", err)
			} else {
				require.Equal(t, 1, tries, "%v", err)
			}
			require.EqualValues(t, tries, requests.Load())
		})
	}
}

// A streamError has the text of net/http's, which retries on its own for half a minute before it shows one.
type streamError string

func (e streamError) Error() string { return string(e) }

func TestTransportSendsAPostAgainAfterAStreamWasRefused(t *testing.T) {
	for text, want := range map[string]int{
		"stream error: stream ID 1; REFUSED_STREAM; received from peer":                                                   3,
		"stream error: stream ID 1; INTERNAL_ERROR; received from peer":                                                   1,
		"http2: Transport received Server's graceful shutdown GOAWAY":                                                     3,
		`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="; REFUSED_STREAM"`: 1,
	} {
		tries := 0
		_, _, err := post(t, tripper(func(*http.Request) (*http.Response, error) {
			tries++
			return nil, streamError(text)
		}), "http://a", strings.NewReader("x"))
		require.Equal(t, streamError(text), err)
		require.Equal(t, want, tries, text)
	}
}
