//go:build !explore

package policy

import (
	"sync"
	"sync/atomic"
)

// What a Circuit's goroutines share goes by these names, so that the build tag explore can put a scheduler in between.
// Without it they are nothing but other names, and cost nothing.
type (
	mutex                = sync.Mutex
	atomicBool           = atomic.Bool
	atomicInt64          = atomic.Int64
	atomicUint64         = atomic.Uint64
	atomicPointer[T any] = atomic.Pointer[T]
)
