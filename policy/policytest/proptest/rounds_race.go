//go:build race

package proptest

// rounds is few, because the race detector keeps some kilobytes of every coroutine for good (Go 1.26: what ends one does
// not tell the detector), and a round has thousands.
const rounds = 3
