// Package observe writes what policies do to log/slog.
//
//	p.Observe(observe.Log(slog.Default()))            // of a pipeline
//	circuit.OnChange = observe.Changes(slog.Default()) // of a circuit
package observe

import (
	"context"
	"log/slog"

	"github.com/holdfast-go/holdfast/policy"
)

// Log is an observer that writes one line for each event: give-ups at Warn, retries at Info, the rest at Debug. The
// message is the event's kind; the attributes are named as the fields of policy.Event, in lower case, and a field that
// is zero is left out. A nil logger means slog.Default, as it is at the time of each event. An event whose level is not
// enabled costs nothing but asking.
func Log(l *slog.Logger) policy.Observer {
	return policy.ObserverFunc(func(ctx context.Context, e policy.Event) {
		to, level := orDefault(l), levelOf(e.Kind)
		if !to.Enabled(ctx, level) {
			return
		}
		attrs := make([]slog.Attr, 0, 9)
		attrs = text(attrs, "pipeline", e.Pipeline)
		attrs = text(attrs, "policy", e.Policy)
		attrs = text(attrs, "name", e.Name)
		attrs = append(attrs, slog.Int("attempt", e.Attempt), slog.String("outcome", e.Outcome.String()))
		attrs = failure(attrs, "err", e.Err)
		attrs = text(attrs, "reason", e.Reason.String())
		if e.Delay != 0 {
			attrs = append(attrs, slog.Duration("delay", e.Delay))
		}
		if e.Elapsed != 0 {
			attrs = append(attrs, slog.Duration("elapsed", e.Elapsed))
		}
		to.LogAttrs(ctx, level, e.Kind.String(), attrs...)
	})
}

// Changes is a Circuit.OnChange that writes one line for each change of state: opening at Warn, the rest at Info. A nil
// logger means slog.Default, as it is at the time of each change.
func Changes(l *slog.Logger) func(policy.Change) {
	return func(c policy.Change) {
		ctx, to, level := context.Background(), orDefault(l), slog.LevelInfo
		if c.To == policy.Open {
			level = slog.LevelWarn
		}
		if !to.Enabled(ctx, level) {
			return
		}
		attrs := make([]slog.Attr, 0, 5)
		attrs = text(attrs, "circuit", c.Circuit)
		attrs = append(attrs, slog.String("from", c.From.String()), slog.String("to", c.To.String()),
			slog.Uint64("generation", c.Generation))
		attrs = failure(attrs, "cause", c.Cause)
		to.LogAttrs(ctx, level, "circuit "+c.To.String(), attrs...)
	}
}

func levelOf(k policy.Kind) slog.Level {
	switch k {
	case policy.GaveUp:
		return slog.LevelWarn
	case policy.Retrying:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

func orDefault(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

func text(attrs []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, value))
}

// failure writes an error's text: its own encoding, if it has one, belongs to another place than a log.
func failure(attrs []slog.Attr, key string, err error) []slog.Attr {
	if err == nil {
		return attrs
	}
	return append(attrs, slog.String(key, err.Error()))
}
