package differ_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/singleflight"

	"github.com/holdfast-go/holdfast/policy"
)

type keyOf struct{}

// A flights makes the calls of either library. Each waits for how it is to end.
type flights struct {
	made  []string // the keys of calls, in order
	under map[string]chan ending
}

type ending struct {
	v   int
	err error
	how func() // panics or ends the goroutine; nil for neither
}

func (f *flights) call(key string) (int, error) {
	f.made = append(f.made, key)
	end := make(chan ending)
	f.under[key] = end
	e := <-end
	delete(f.under, key)
	if e.how != nil {
		e.how()
	}
	return e.v, e.err
}

func (f *flights) end(key string, e ending) {
	if end := f.under[key]; end != nil {
		end <- e
	}
}

// tell calls f and says in words how it ended.
func tell(said *string, f func() (int, error)) {
	now := "its goroutine was ended"
	defer func() {
		if recover() != nil {
			now = "a panic"
		}
		*said = now
	}()
	v, err := f()
	now = fmt.Sprint(v, err)
}

// Callers of a Dedupe share the calls that callers of x/sync/singleflight share, and their results, errors, panics and
// ends of goroutines.
func TestDedupeSharesCallsAsSingleflightDoes(t *testing.T) {
	r := random(t)
	calls, shared := 0, 0
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			var group singleflight.Group
			theirs, ours := &flights{under: map[string]chan ending{}}, &flights{under: map[string]chan ending{}}
			dedupe := policy.Through(func(ctx context.Context) (int, error) {
				return ours.call(ctx.Value(keyOf{}).(string))
			}, policy.Policy[int](&policy.Dedupe[int]{Key: func(ctx context.Context) string { return ctx.Value(keyOf{}).(string) }}))
			const open = "has not ended"
			ended := make([][2]string, 0, 60)
			finish := func(key string, e ending) {
				theirs.end(key, e)
				ours.end(key, e)
				synctest.Wait()
			}
			for range 60 {
				key := fmt.Sprint(r.IntN(3))
				if r.IntN(3) > 0 {
					i := len(ended)
					ended = append(ended, [2]string{open, open})
					ends := [2]func() (int, error){
						func() (int, error) {
							v, err, _ := group.Do(key, func() (any, error) { return theirs.call(key) })
							n, _ := v.(int)
							return n, err
						},
						func() (int, error) { return dedupe.Do(context.WithValue(t.Context(), keyOf{}, key)) },
					}
					for side, do := range ends {
						go tell(&ended[i][side], do)
					}
					synctest.Wait()
				} else {
					e := ending{v: r.IntN(100), err: []error{nil, nil, errDown}[r.IntN(3)]}
					switch r.IntN(10) {
					case 0:
						e.how = runtime.Goexit
					case 1:
						e.how = func() { panic("boom") }
					}
					finish(key, e)
				}
				require.Equal(t, theirs.made, ours.made)
				for i, e := range ended {
					require.Equal(t, e[0], e[1], "caller %d", i)
				}
			}
			for key := range 3 {
				finish(fmt.Sprint(key), ending{})
			}
			calls += len(ours.made)
			shared += len(ended) - len(ours.made)
		})
	}
	require.Greater(t, calls, 1_000)
	require.Greater(t, shared, 1_000)
}

// A caller of a Dedupe whose context ends leaves, and the shared call's context ends with the last of them. Singleflight
// knows no contexts: its callers stay, and another call for the key joins one that nobody waits for.
func TestDedupeLetsCallersLeaveAndSingleflightDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		dedupe := policy.Through(func(ctx context.Context) (int, error) {
			calls++
			<-ctx.Done()
			return 0, ctx.Err()
		}, policy.Policy[int](&policy.Dedupe[int]{Key: func(context.Context) string { return "a" }}))
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 2)
			for range 2 {
				go func() { _, err := dedupe.Do(ctx); ended <- err }()
			}
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
			require.ErrorIs(t, <-ended, context.Canceled)
		}
		require.Equal(t, 2, calls)
	})
}

// A Dedupe does not share calls without a key. To singleflight an empty key is one like any other.
func TestDedupeDoesNotShareAnEmptyKeyAsSingleflightDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := 0, 0
		goOn := make(chan struct{})
		dedupe := policy.Through(func(context.Context) (int, error) {
			ours++
			<-goOn
			return 0, nil
		}, policy.Policy[int](&policy.Dedupe[int]{Key: func(context.Context) string { return "" }}))
		var group singleflight.Group
		for range 2 {
			go func() { _, _ = dedupe.Do(t.Context()) }()
			go func() {
				_, _, _ = group.Do("", func() (any, error) {
					theirs++
					<-goOn
					return 0, nil
				})
			}()
			synctest.Wait()
		}
		close(goOn)
		synctest.Wait()
		require.Equal(t, 2, ours)
		require.Equal(t, 1, theirs)
	})
}
