package pipehttp

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// A Transport is an http.RoundTripper that sends every request through the pipeline of its host. The zero value works.
//
// An attempt is one round trip: the pipeline's contexts, an attempt's Timeout among them, bound the time until the
// response's header is there. After that the body can be read until it is closed, or the request's own context ends;
// reading it is outside the pipeline, so set http.Client.Timeout, or a deadline on the request, to bound that too.
//
// A body is sent again as the request's GetBody gives it; http.NewRequest sets it for the usual kinds. A request whose
// body cannot be rewound, or whose method is not idempotent and that has no Idempotency-Key header, runs under
// policy.Once: it is sent at most once. A request counts as not sent, and is tried again, if Base reports by httptrace that
// it got no connection, or if an HTTP/2 server refuses the stream.
//
// With an error there is no response. Responses that are not returned are drained, within bounds, and closed, so that a
// policy that puts another response in the place of one cannot go on reading the first one's body, unless it hands that
// on as it is. The request that RoundTrip is given is not changed.
//
// Policies ignore what is not the host's doing: a request that cannot be sent, because net/http refuses it or its body
// fails; a caller that cancels; and a caller's deadline that passes before an answer is overdue by the host's usual
// latency. None of these is tried again, or counted by a circuit.
//
// The response's Request is the one that RoundTrip is given, as with net/http.
//
// It is safe for concurrent use, and must not be copied after first use. Each attempt allocates a request and its
// context.
type Transport struct {
	// Base makes the round trips; nil means http.DefaultTransport.
	Base http.RoundTripper

	// Pipeline makes the pipeline of a host, once for as long as it is remembered; nil means Default. A host is a
	// request's URL.Host in lower case, without the port that its scheme implies. Its policies go by Meaning, except for
	// what they say themselves.
	Pipeline func(host string) pipeline.Pipeline[*http.Response]

	// Hosts is how many are remembered; 0 means 1024. Beyond that a host is evicted when a new one comes, preferably one
	// whose circuits are closed and have no failures counted. A host stays while one of its circuits is open, or a call
	// is in flight. If there is no room, after an eighth more than Hosts, a new host's pipeline serves a single call. See
	// [policy.Keyed].
	Hosts int

	once  sync.Once // sets up hosts
	hosts policy.Keyed[*host]
}

// A host is one that a Transport remembers.
type host struct {
	pipeline pipeline.Pipeline[*http.Response]
	circuits []*policy.Circuit
	alone    bool         // no two attempts of a call overlap
	calls    atomic.Int64 // under way
	pace     pace
}

// Loss returns how much is lost by evicting the host: 1 while a call is in flight, or else what its circuits say.
func (h *host) Loss() float64 {
	if h.calls.Load() > 0 {
		return 1
	}
	var most float64
	for _, c := range h.circuits {
		most = max(most, c.Loss())
	}
	return most
}

var (
	errNoURL      = errors.New("pipehttp: the request has no URL")
	errNoResponse = errors.New("pipehttp: the pipeline returned neither a response nor an error")
)

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := &call{base: t.base(), request: r}
	defer c.closeBody()
	if r.URL == nil {
		return nil, errNoURL
	}
	h := t.host(r.URL)
	h.calls.Add(1)
	defer h.calls.Add(-1)
	c.host = h
	var kept *http.Response
	defer func() { c.end(kept) }()
	ctx := r.Context()
	if c.once = !rewindable(r) || !idempotent(r); c.once {
		ctx = policy.Once(ctx)
	}
	response, err := h.pipeline.Do(ctx, c.attempt)
	if err != nil {
		Discard(response)
		return nil, c.unmarked(err)
	}
	if response == nil {
		return nil, errNoResponse
	}
	kept = response
	return response, nil
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

func (t *Transport) host(u *url.URL) *host {
	t.once.Do(func() {
		build := t.Pipeline
		if build == nil {
			build = defaultPipeline
		}
		t.hosts.Max = t.Hosts
		t.hosts.New = func(name string) *host {
			p := build(name).Means(ownMeaning)
			b := p.Explain().Bounds
			return &host{pipeline: p, circuits: p.Circuits(), alone: b.AtOnce.Known() && b.AtOnce.Most <= 1 && !b.Detaches}
		}
	})
	return t.hosts.Get(hostOf(u))
}

// hostOf is a URL's host, the same for every way to write it.
func hostOf(u *url.URL) string {
	name := strings.ToLower(u.Host)
	switch strings.ToLower(u.Scheme) {
	case "http":
		name = strings.TrimSuffix(name, ":80")
	case "https":
		name = strings.TrimSuffix(name, ":443")
	}
	return name
}

// CloseIdleConnections closes those of Base, if it can. http.Client's method of the same name calls it.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
