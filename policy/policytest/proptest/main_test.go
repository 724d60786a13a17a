package proptest

import (
	"flag"
	"os"
	"testing"
)

// The cases that planted bugs are found by are no news: no files of them are kept.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
