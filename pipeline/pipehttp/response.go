package pipehttp

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Default is the pipeline of a host that Transport uses if it is given none: up to 3 attempts with smooth jitter
// between them, a circuit that opens for 30 seconds when half of at least 20 attempts within 10 seconds have failed,
// and 10 seconds for each attempt to bring a response. Retries of a host are at most a fifth of its calls, besides
// two to begin with or saved up within an hour, so that many clients together do not keep a host down that has failed.
func Default(host string) pipeline.Pipeline[*http.Response] {
	return defaultPipeline(host).Means(Meaning)
}

func defaultPipeline(host string) pipeline.Pipeline[*http.Response] {
	budget := &policy.Budget{Ratio: 0.2, Cap: 2, TTL: time.Hour}
	for range 10 {
		budget.Deposit() // so that a program's only call can be tried again
	}
	circuit := &policy.Circuit{Name: host, Trip: policy.FailureRate{Ratio: 0.5, Window: 10 * time.Second, MinCalls: 20}}
	return pipeline.Wrap(
		&policy.Retry[*http.Response]{Budget: budget},
		&policy.Breaker[*http.Response]{Circuit: circuit},
		&policy.Timeout[*http.Response]{Limit: 10 * time.Second},
	).Named(host)
}

// Classify says what a response, or the error in its place, means. 408, 425, 429 and 5xx other than 501 may pass; 501
// and the other 4xx will not; everything else has worked. A certificate that does not verify will not do so the next
// time; other errors are as policy.Classify says. It is a policy.Classifier, and safe with nil.
func Classify(r *http.Response, err error) policy.Outcome {
	if err != nil {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return policy.PermanentFailure
		}
		return policy.Classify(r, err)
	}
	if r == nil {
		return policy.TransientFailure
	}
	switch code := r.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return policy.TransientFailure
	case code == http.StatusNotImplemented, code >= 400 && code < 500:
		return policy.PermanentFailure
	case code >= 500:
		return policy.TransientFailure
	default:
		return policy.Success
	}
}

const (
	mostDrained  = 64 << 10              // with no more than that left, a connection is worth keeping
	longestDrain = 50 * time.Millisecond // and with no longer to wait: a new one takes about as long
)

// Discard frees a response that nobody will see: it reads what is left of its body, up to 64 KiB and for at most 50 ms,
// so that the connection can be used again, and closes it. It is safe with nil, and with a response without a body.
func Discard(r *http.Response) {
	if r == nil || r.Body == nil {
		return
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode == http.StatusSwitchingProtocols || r.ContentLength > mostDrained {
		return
	}
	late := clock.System.AfterFunc(longestDrain, func() { _ = r.Body.Close() })
	defer late.Stop()
	_, _ = io.CopyN(io.Discard, r.Body, mostDrained)
}

func rewindable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// idempotent reports whether sending r twice is as good as once: by its method (RFC 9110, section 9.2.2), or because a
// key tells the server that it is the same request.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Header.Get("Idempotency-Key") != "" || r.Header.Get("X-Idempotency-Key") != ""
}
