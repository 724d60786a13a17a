package pipehttp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// Handler runs next through p. A refusal becomes 503 Service Unavailable, with Retry-After where it is known, and a
// timeout 504 Gateway Timeout, each only if nothing was written before. To p a status of 500 and up is a failure, and
// everything else has worked. A panic of next passes, as it does without a pipeline.
//
// A response cannot be taken back, so p must not call twice, nor leave a call behind: Handler panics if p may call next
// more than once or detaches, or if that is not known.
func Handler(p pipeline.Pipeline[struct{}], next http.Handler) http.Handler {
	if next == nil {
		panic(errors.New("pipehttp: Handler of a nil http.Handler"))
	}
	switch b := p.Explain().Bounds; {
	case !b.Calls.Known():
		panic(fmt.Errorf("pipehttp: Handler's pipeline may call more than once: %s", b.Calls.Missing))
	case b.Calls.Most > 1:
		panic(fmt.Errorf("pipehttp: Handler's pipeline may call %d times; a response can be written once", b.Calls.Most))
	case b.Detaches:
		panic(errors.New("pipehttp: Handler's pipeline detaches; a handler must not write after it has returned"))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		written := &writer{ResponseWriter: w}
		err := pipeline.Run(r.Context(), p, func(ctx context.Context) error {
			next.ServeHTTP(written, r.WithContext(ctx))
			switch {
			case written.status >= http.StatusInternalServerError:
				return statusError(written.status)
			case !written.begun() && ctx.Err() != nil:
				return context.Cause(ctx) // it has heeded its context, and left the answer to us
			}
			return nil
		})
		if err != nil && !written.begun() {
			refuse(w, err)
		}
	})
}

// A statusError tells the pipeline of a status of 500 and up.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// ofContent are headers that speak of a response's content. Those that next has set before it gave up must not go out
// with other content; the rest, say for CORS, hold for any answer.
var ofContent = []string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location", "Content-Range",
	"Etag", "Expires", "Last-Modified",
}

// refuse answers in next's place.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch rejection, refused := errors.AsType[*policy.Rejection](err); {
	case errors.Is(err, policy.ErrTimeout):
		status = http.StatusGatewayTimeout
	case refused:
		status = http.StatusServiceUnavailable
		if wait := rejection.RetryAfter(); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(float64(wait)/float64(time.Second)))))
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
	}
	for _, name := range ofContent {
		w.Header().Del(name)
	}
	http.Error(w, http.StatusText(status), status)
}
