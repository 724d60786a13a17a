package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// All mutants of a package that can share a build are compiled at once, each behind a question whether it is the one that
// is active. One build then does for all of them, in place of one build each.

// A kind says how the mutants of a site stand beside the original.
type kind int

const (
	isCondition kind = iota // an expression that is a bool
	isOperation             // an arithmetic expression, by a generic func
	isStatement
)

// A site is a node of a file with mutants.
type site struct {
	kind     kind
	from, to int
	mutants  []*mutant
}

// operations are the funcs that stand in for arithmetic operators.
var operations = map[string]string{"+": "Add", "-": "Sub", "*": "Mul", "/": "Div"}

// schema returns the source of a file with its mutants beside the original code.
func (f *file) schema() string {
	var sites []*site
	for _, m := range f.mutants {
		if m.site != nil && !slices.Contains(sites, m.site) {
			sites = append(sites, m.site)
		}
	}
	// Outer sites come first. Of two that are the same place the condition of an if, which was found first, is the outer.
	slices.SortStableFunc(sites, func(a, b *site) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	return f.text(0, len(f.source), sites)
}

// text returns what stands between two places, with the sites in it replaced.
func (f *file) text(from, to int, sites []*site) string {
	var b strings.Builder
	for i := 0; i < len(sites); i++ {
		s := sites[i]
		if s.from < from || s.to > to {
			continue
		}
		b.WriteString(f.source[from:s.from])
		inner := i + 1
		for inner < len(sites) && sites[inner].from < s.to {
			inner++
		}
		b.WriteString(f.replace(s, sites[i+1:inner]))
		from, i = s.to, inner-1
	}
	b.WriteString(f.source[from:to])
	return b.String()
}

// replace returns a site's code: the original unless one of its mutants is active.
func (f *file) replace(s *site, inner []*site) string {
	original := f.text(s.from, s.to, inner)
	var conditions, none []string
	switch s.kind {
	case isCondition:
		for _, m := range s.mutants {
			conditions = append(conditions, fmt.Sprintf("mutated(%d) && (%s)", m.id, f.mutate(s, m, inner)))
			none = append(none, fmt.Sprintf("!mutated(%d)", m.id))
		}
		return fmt.Sprintf("(%s || %s && (%s))", strings.Join(conditions, " || "), strings.Join(none, " && "), original)
	case isOperation:
		m := s.mutants[0]
		return fmt.Sprintf("mutated%sOr%s(%d, %s, %s)", operations[m.was], operations[m.with], m.id,
			f.text(s.from, m.from, inner), f.text(m.to, s.to, inner))
	default:
		var b strings.Builder
		for _, m := range s.mutants {
			fmt.Fprintf(&b, "if mutated(%d) { %s } else ", m.id, f.mutate(s, m, inner))
		}
		return b.String() + "{ " + original + " }"
	}
}

// mutate returns a site's code with a mutant in place.
func (f *file) mutate(s *site, m *mutant, inner []*site) string {
	if m.from == m.to { // it is put before the whole
		return m.with + "(" + f.text(m.to, s.to, inner) + ")"
	}
	return f.text(s.from, m.from, inner) + m.with + f.text(m.to, s.to, inner)
}

// support is the code that the schema of a package needs.
const support = `
import "os"

var activeMutant, mutantLog = func() (int, *os.File) {
	n, _ := mutantNumber(os.Getenv("MUTANT"))
	log, _ := os.OpenFile(os.Getenv("MUTANT_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return n, log
}()

var mutantsSeen [1 << 16]bool

func mutantNumber(s string) (n int, ok bool) {
	if s == "" {
		return -1, false
	}
	for _, c := range []byte(s) {
		n = n*10 + int(c-'0')
	}
	return n, true
}

func mutantText(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return mutantText(n/10) + string(rune('0'+n%10))
}

func mutated(n int) bool {
	if mutantLog != nil && !mutantsSeen[n] {
		mutantsSeen[n] = true
		_, _ = mutantLog.WriteString(mutantText(n) + "\n")
	}
	return activeMutant == n
}

type mutable interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

func mutatedAddOrSub[T mutable](n int, a, b T) T { if mutated(n) { return a - b }; return a + b }
func mutatedSubOrAdd[T mutable](n int, a, b T) T { if mutated(n) { return a + b }; return a - b }
func mutatedMulOrDiv[T mutable](n int, a, b T) T { if mutated(n) { return a / b }; return a * b }
func mutatedDivOrMul[T mutable](n int, a, b T) T { if mutated(n) { return a * b }; return a / b }
`

// overlay writes the schemas of files into a folder, and an overlay file for the go command.
func overlay(dir, pkg, temp string, files []*file) (string, error) {
	replace := map[string]string{}
	write := func(path, text string) error {
		to := filepath.Join(temp, filepath.Base(path))
		abs, err := filepath.Abs(path)
		replace[abs] = to
		if err != nil {
			return err
		}
		return os.WriteFile(to, []byte(text), 0o600)
	}
	for _, f := range files {
		if err := write(f.path, f.schema()); err != nil {
			return "", err
		}
	}
	if err := write(filepath.Join(dir, "mutate_support.go"), "package "+pkg+"\n"+support); err != nil {
		return "", err
	}
	return writeOverlay(temp, replace)
}
