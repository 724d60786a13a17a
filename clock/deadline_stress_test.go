package clock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	theirs "github.com/benbjohnson/clock"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/clock"
	"github.com/holdfast-go/holdfast/clock/benclock"
)

// Goroutines that share nested deadlines of three clocks ask, arm, derive from and cancel them in any order: an error
// once told stays, a parent's end is its children's, and nothing is left.
func TestDeadlineStress(t *testing.T) { synctest.Test(t, stress) }

func stress(t *testing.T) {
	const goroutines, rounds = 64, 20
	v, mock := clock.NewVirtual(), benclock.From(theirs.NewMock())
	clocks := []clock.Clock{clock.System, v, mock, &shifted{v, 0, -1}}
	for round := range rounds {
		random := rand.New(rand.NewPCG(uint64(round), 0))
		why := errors.New("why")
		root, end := context.WithCancelCause(t.Context())
		all, cancels := []context.Context{root}, []context.CancelFunc{func() { end(why) }}
		for range 12 {
			parent, c := all[random.IntN(len(all))], clocks[random.IntN(len(clocks))]
			var ctx context.Context
			cancel := context.CancelFunc(func() {})
			switch random.IntN(5) {
			case 0:
				ctx, cancel = clock.WithCancel(parent, c)
			case 1:
				ctx = context.WithValue(parent, t, t)
			case 2:
				ctx, cancel = context.WithCancel(parent)
			default:
				ctx, cancel = clock.WithTimeout(parent, c, time.Duration(1+random.IntN(1000))*time.Hour, why)
			}
			all, cancels = append(all, ctx), append(cancels, cancel)
		}
		var group sync.WaitGroup
		begin := make(chan struct{})
		for g := range goroutines {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(round), uint64(1+g)))
				<-begin
				for range 20 {
					i := random.IntN(len(all))
					switch ctx := all[i]; random.IntN(8) {
					case 0:
						ctx.Done()
					case 1:
						child, cancel := context.WithCancel(ctx)
						cancel()
						<-child.Done()
					case 2:
						stop := context.AfterFunc(ctx, func() {})
						stop()
					case 3:
						if random.IntN(8) == 0 {
							cancels[i]()
						}
					case 4:
						clock.Remaining(ctx, clocks[random.IntN(len(clocks))])
					default:
						requireStays(t, ctx)
					}
				}
			})
		}
		close(begin)
		group.Wait()
		end(why)
		for i, ctx := range all {
			<-ctx.Done()
			requireStays(t, ctx)
			require.Error(t, ctx.Err())
			cancels[i]()
		}
	}
	synctest.Wait()
	require.Zero(t, v.Pending())
	require.Zero(t, v.Waited())
	require.Zero(t, v.Polled())
	require.Zero(t, mock.Pending())
}

func requireStays(t *testing.T, ctx context.Context) {
	err := ctx.Err()
	if err == nil {
		return
	}
	cause := context.Cause(ctx)
	<-ctx.Done()
	if err != ctx.Err() || cause != context.Cause(ctx) || cause == nil {
		t.Errorf("%v because of %v became %v because of %v", err, cause, ctx.Err(), context.Cause(ctx))
	}
}
