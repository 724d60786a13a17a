package policy

import (
	"math/big"
	"time"

	"github.com/holdfast-go/holdfast/clock"
)

// A turn is a time in nanoseconds and a fraction of one: part/Rate.
type turn struct {
	nanos int64
	part  int64
}

func (t turn) compare(o turn) int {
	switch {
	case t.nanos != o.nanos:
		return int(min(1, max(-1, t.nanos-o.nanos)))
	default:
		return int(min(1, max(-1, t.part-o.part)))
	}
}

// ceil is the first whole nanosecond that is not before t.
func (t turn) ceil() int64 {
	if t.part > 0 {
		return clock.After(t.nanos, 1)
	}
	return t.nanos
}

// rules are a bucket's settings with their defaults.
type rules struct {
	rate, per, burst int64
}

func (b *Bucket) rules() rules {
	r := rules{int64(b.Rate), int64(b.Per), int64(b.Burst)}
	if r.rate == 0 {
		r.rate = defaultRate
	}
	if r.per == 0 {
		r.per = int64(defaultPer)
	}
	r.burst = max(1, r.burst)
	return r
}

// shift is t, n turns later, or earlier where n is negative.
func (r rules) shift(t turn, n int64) turn {
	total := n * r.per // Validate sees to it that this fits
	whole := total / r.rate
	t.part += total % r.rate
	switch {
	case t.part >= r.rate:
		t.part -= r.rate
		whole++
	case t.part < 0:
		t.part += r.rate
		whole--
	}
	t.nanos = clock.After(t.nanos, time.Duration(whole))
	return t
}

// convert returns how far ahead of now a bucket by other rules is, given how far one by r is, so that the turns that can
// be taken at once stay as many, up to the other burst. It is rounded up to a nanosecond.
func (r rules) convert(ahead turn, other rules) time.Duration {
	turns := new(big.Rat).SetFrac64(ahead.part, r.rate)
	turns.Add(turns, new(big.Rat).SetInt64(ahead.nanos))
	turns.Mul(turns, big.NewRat(r.rate, r.per))
	turns.Add(turns, new(big.Rat).SetInt64(other.burst-r.burst))
	if turns.Sign() <= 0 {
		return 0
	}
	turns.Mul(turns, big.NewRat(other.per, other.rate))
	nanos, rest := new(big.Int).QuoRem(turns.Num(), turns.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		nanos.Add(nanos, big.NewInt(1))
	}
	if !nanos.IsInt64() {
		return never
	}
	return time.Duration(nanos.Int64())
}

// never is a wait that does not end.
const never = 1<<63 - 1
