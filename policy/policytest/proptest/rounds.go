//go:build !race

package proptest

// rounds is how many times over rapid's own number of checks are made: it is meant for slower properties than these.
const rounds = 100
