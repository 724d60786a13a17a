// Mutate plants small mistakes in a package, one at a time, and reports those that its tests do not notice.
//
//	go -C .ci/tools run ./mutate ../../policy                        # all of them
//	go -C .ci/tools run ./mutate -files circuit,window ../../policy  # in some files
//	go -C .ci/tools run ./mutate -also ./pipeline,./policy/policytest ../../policy  # by the tests of others, too
//
// A mistake is noticed if the tests fail, or do not end. One that does not compile is not counted. Most mistakes are
// compiled into one test binary, and tried by those tests alone that come by them; the others have a build of their own.
package main

import (
	"flag"
	"fmt"
	"go/token"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	files := flag.String("files", "", "only files whose names begin with one of these, a `list`")
	these := flag.String("these", "", "only those that the output of an earlier run, in a `file`, names as survivors")
	every := flag.Int("every", 1, "try only each so many-th")
	workers := flag.Int("workers", 1, "how many at once")
	also := flag.String("also", "", "packages whose tests are run if the package's own notice nothing, a `list`, seen from the module's root")
	limit := flag.Duration("limit", time.Minute, "how long the tests may take")
	flag.Parse()
	if flag.NArg() != 1 || *every < 1 || *workers < 1 {
		flag.Usage()
		os.Exit(2)
	}
	found, err := find(flag.Arg(0), strings.Split(*files, ","))
	if err == nil {
		err = choose(found, *these, *every)
	}
	if err == nil {
		also := strings.FieldsFunc(*also, func(r rune) bool { return r == ',' })
		err = run(suite{dir: flag.Arg(0), also: also, limit: *limit, files: found}, *workers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// choose drops the mutants that are not to be tried, and numbers the others.
func choose(files []*file, these string, every int) error {
	var survivors string
	if these != "" {
		text, err := os.ReadFile(these)
		if err != nil {
			return err
		}
		survivors = string(text)
	}
	seen, id := 0, 0
	for _, f := range files {
		var kept []*mutant
		for _, m := range f.mutants {
			if chosen := seen%every == 0 && (these == "" || strings.Contains(survivors, "survived "+m.String()+"\n")); chosen {
				m.id = id
				id++
				kept = append(kept, m)
			} else if m.site != nil {
				m.site.drop(m)
			}
			seen++
		}
		f.mutants = kept
	}
	return nil
}

func position(p token.Position) string { return strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) }

func quote(s string) string { return strconv.Quote(s) }
