package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A phase is a time during which the server behaves in one way.
type phase struct {
	name  string
	share float64 // of the whole run
	serve func(s *server, w http.ResponseWriter, r *http.Request)
}

// outage is the server's story.
var outage = []phase{
	{"healthy", 0.25, (*server).healthy},
	{"slow", 0.20, (*server).slow},
	{"failing", 0.30, (*server).failing},
	{"healthy", 0.25, (*server).healthy},
}

// A server is a real one on loopback that goes through the phases of the outage.
type server struct {
	url   string
	hang  time.Duration // how long its slow answers take
	phase atomic.Int32  // index into outage
	asked atomic.Int64  // requests so far
	http  http.Server
}

// listen starts a server. Close ends it.
func listen(hang time.Duration) (*server, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + listener.Addr().String(), hang: hang}
	s.http.Handler = s
	s.http.ReadHeaderTimeout = time.Minute
	go func() { _ = s.http.Serve(listener) }() // until Close
	return s, nil
}

// Close ends the server and its connections.
func (s *server) Close() { _ = s.http.Close() }

// play takes the server through the outage, which lasts total, and returns at its end or with ctx.
func (s *server) play(ctx context.Context, total time.Duration) {
	for i, p := range outage {
		s.phase.Store(int32(i))
		wait(ctx, time.Duration(p.share*float64(total)))
		if ctx.Err() != nil {
			return
		}
	}
}

// ServeHTTP answers as the phase wants it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	outage[s.phase.Load()].serve(s, w, r)
}

func (s *server) healthy(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintf(w, "page %d\n", s.asked.Add(1))
}

// slow takes far too long for every third request, which is what a retry is good for: the next one is likely fine.
func (s *server) slow(w http.ResponseWriter, r *http.Request) {
	n := s.asked.Add(1)
	if n%3 == 0 {
		wait(r.Context(), s.hang)
	}
	_, _ = fmt.Fprintf(w, "page %d\n", n)
}

// failing is what no retry helps with.
func (s *server) failing(w http.ResponseWriter, _ *http.Request) {
	s.asked.Add(1)
	http.Error(w, "out of order", http.StatusServiceUnavailable)
}

// wait waits for d, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
