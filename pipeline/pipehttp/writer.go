package pipehttp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// A writer is an http.ResponseWriter that knows the status it was given.
type writer struct {
	http.ResponseWriter
	status   int // 0 until there is one
	hijacked bool
}

func (w *writer) begun() bool { return w.status != 0 || w.hijacked }

// WriteHeader notes the status. Informational ones are not the response's own.
func (w *writer) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.implicit()
	return w.ResponseWriter.Write(p)
}

// ReadFrom keeps what the writer beneath can do for io.Copy.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	w.implicit()
	return io.Copy(w.ResponseWriter, r)
}

// implicit notes the status of a response that begins without one.
func (w *writer) implicit() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController's Flush calls. A writer that cannot flush has not begun a response.
func (w *writer) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		w.implicit()
	}
	return err
}

// Hijack implements http.Hijacker.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = w.hijacked || err == nil
	return conn, buffered, err
}

// Unwrap lets http.ResponseController see the writer beneath.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
