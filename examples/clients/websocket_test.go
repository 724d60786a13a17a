package clients_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// echo accepts a WebSocket and sends back what it gets.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// talk opens a WebSocket, and sends messages there and back.
func talk(t *testing.T, client *http.Client, url string) {
	t.Helper()
	conn, response, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http"), &websocket.DialOptions{HTTPClient: client})
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	for _, message := range []string{"hello", strings.Repeat("x", 30_000), ""} {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(message)))
		_, got, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, message, string(got))
	}
	require.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
}

func TestWebSocket(t *testing.T) {
	server := &failing{next: http.HandlerFunc(echo)}
	url, client := newServer(t, server), newClient(t)
	for range 4 {
		talk(t, client, url)
	}
	require.EqualValues(t, 6, server.requests.Load(), "two have failed")
}

func TestWebSocketThroughAReverseProxy(t *testing.T) {
	server := &failing{next: http.HandlerFunc(echo)}
	target, err := url.Parse(newServer(t, server))
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = newClient(t).Transport
	url := newServer(t, proxy)
	for range 4 {
		talk(t, http.DefaultClient, url)
	}
	require.EqualValues(t, 6, server.requests.Load(), "two have failed")
}
