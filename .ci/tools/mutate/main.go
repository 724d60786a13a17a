// Mutate plants small mistakes in a package, one at a time, and reports those that its tests do not notice.
//
//	go -C .ci/tools run ./mutate ../../policy                        # all of them, which takes an hour
//	go -C .ci/tools run ./mutate -files circuit,window ../../policy  # in some files
//	go -C .ci/tools run ./mutate -also ./pipeline,./policy/policytest ../../policy  # by the tests of others, too
//
// A mistake is noticed where the tests fail, or do not end. One that does not compile is not counted.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A mutant is a file with the bytes from one place to another replaced.
type mutant struct {
	file     string
	from, to int
	with     string
	at       token.Position
	was      string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d:%d: %q became %q", filepath.Base(m.file), m.at.Line, m.at.Column, m.was, m.with)
}

func main() {
	files := flag.String("files", "", "only files whose names begin with one of these, a `list`")
	these := flag.String("these", "", "only those that the output of an earlier run, in a `file`, names as survivors")
	every := flag.Int("every", 1, "try only each so many-th")
	workers := flag.Int("workers", 1, "how many at once")
	also := flag.String("also", "", "packages whose tests are run where the package's own notice nothing, a `list`, seen from the module's root")
	limit := flag.Duration("limit", time.Minute, "how long the tests may take")
	flag.Parse()
	if flag.NArg() != 1 || *every < 1 || *workers < 1 {
		flag.Usage()
		os.Exit(2)
	}
	mutants, err := find(flag.Arg(0), strings.Split(*files, ","))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
	var before []byte
	if *these != "" {
		if before, err = os.ReadFile(*these); err != nil {
			fmt.Fprintln(os.Stderr, "mutate:", err)
			os.Exit(1)
		}
	}
	var chosen []mutant
	for i := 0; i < len(mutants); i += *every {
		if m := mutants[i]; before == nil || bytes.Contains(before, []byte("survived "+m.String()+"\n")) {
			chosen = append(chosen, m)
		}
	}
	run(suite{flag.Arg(0), strings.FieldsFunc(*also, func(r rune) bool { return r == ',' }), *limit}, chosen, *workers)
}

// find is every mistake that can be made in the files of a package.
func find(dir string, prefixes []string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var mutants []mutant
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasSuffix(name, "_test.go") || !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		if built, err := build.Default.MatchFile(dir, name); err != nil || !built {
			continue // under a build tag that the tests are run without
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, source, 0)
		if err != nil {
			return nil, err
		}
		add := func(from, to token.Pos, with string) {
			m := mutant{file: path, from: set.Position(from).Offset, to: set.Position(to).Offset, with: with, at: set.Position(from)}
			m.was = string(source[m.from:m.to])
			mutants = append(mutants, m)
		}
		ast.Inspect(file, func(n ast.Node) bool { mutate(n, add); return true })
	}
	return mutants, nil
}

// swaps are what an operator is mistaken for.
var swaps = map[token.Token][]string{
	token.LSS: {"<=", ">="}, token.LEQ: {"<", ">"}, token.GTR: {">=", "<="}, token.GEQ: {">", "<"},
	token.EQL: {"!="}, token.NEQ: {"=="}, token.LAND: {"||"}, token.LOR: {"&&"},
	token.ADD: {"-"}, token.SUB: {"+"}, token.MUL: {"/"}, token.QUO: {"*"}, token.REM: {"*"},
	token.INC: {"--"}, token.DEC: {"++"}, token.ADD_ASSIGN: {"-=", "="}, token.SUB_ASSIGN: {"+=", "="},
	token.AND: {"|"}, token.OR: {"&"}, token.SHL: {">>"}, token.SHR: {"<<"},
}

func mutate(n ast.Node, add func(from, to token.Pos, with string)) {
	swap := func(at token.Pos, op token.Token) {
		for _, with := range swaps[op] {
			add(at, at+token.Pos(len(op.String())), with)
		}
	}
	switch n := n.(type) {
	case *ast.BinaryExpr:
		swap(n.OpPos, n.Op)
	case *ast.IncDecStmt:
		swap(n.TokPos, n.Tok)
	case *ast.AssignStmt:
		swap(n.TokPos, n.Tok)
		if n.Tok == token.ASSIGN {
			blanks := strings.Repeat("_, ", len(n.Lhs))
			add(n.Lhs[0].Pos(), n.Lhs[len(n.Lhs)-1].End(), strings.TrimSuffix(blanks, ", "))
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT || n.Op == token.SUB {
			add(n.OpPos, n.OpPos+1, "")
		}
	case *ast.IfStmt:
		add(n.Cond.Pos(), n.Cond.Pos(), "true || ")
		if or, ok := n.Cond.(*ast.BinaryExpr); !ok || or.Op != token.LOR {
			add(n.Cond.Pos(), n.Cond.Pos(), "false && ")
		}
	case *ast.ExprStmt, *ast.DeferStmt:
		add(n.Pos(), n.End(), "")
	case *ast.BranchStmt:
		if n.Label == nil && n.Tok == token.BREAK {
			add(n.Pos(), n.End(), "continue")
		} else if n.Label == nil && n.Tok == token.CONTINUE {
			add(n.Pos(), n.End(), "break")
		}
	}
}

// run tries the mutants, and says which survive.
func run(s suite, mutants []mutant, workers int) {
	var (
		mu                         sync.Mutex
		done, killed, lived, stuck int
		all                        sync.WaitGroup
		queue                      = make(chan mutant)
	)
	for range workers {
		all.Go(func() {
			for m := range queue {
				verdict := s.try(m)
				mu.Lock()
				done++
				switch verdict {
				case noticed:
					killed++
				case endless:
					stuck++
				case unnoticed:
					lived++
					fmt.Println("survived", m)
				case senseless:
				}
				fmt.Fprintf(os.Stderr, "\r%d of %d tried, %d survived ", done, len(mutants), lived)
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		queue <- m
	}
	close(queue)
	all.Wait()
	total := killed + stuck + lived
	fmt.Printf("\n%d of %d noticed (%.1f %%): %d by failing tests, %d by tests that did not end; %d survived\n",
		killed+stuck, total, 100*float64(killed+stuck)/float64(max(1, total)), killed, stuck, lived)
}

type verdict int

const (
	senseless verdict = iota // does not compile
	unnoticed
	noticed
	endless
)

// A suite is the tests that are to notice.
type suite struct {
	dir   string
	also  []string
	limit time.Duration
}

// try builds the tests with the mistake in place of the file, and runs them.
func (s suite) try(m mutant) verdict {
	temp, err := os.MkdirTemp("", "mutate")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	source, err := os.ReadFile(m.file)
	if err != nil {
		panic(err)
	}
	changed := slices.Concat(source[:m.from], []byte(m.with), source[m.to:])
	path, err := filepath.Abs(m.file)
	if err != nil {
		panic(err)
	}
	mutated, overlay, tests := filepath.Join(temp, "mutated.go"), filepath.Join(temp, "overlay.json"), filepath.Join(temp, "tests")
	replaced, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutated}})
	if err := errors.Join(err, os.WriteFile(mutated, changed, 0o600), os.WriteFile(overlay, replaced, 0o600)); err != nil {
		panic(err)
	}
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", tests, ".")
	build.Dir = s.dir
	if build.Run() != nil {
		return senseless
	}
	own := s.run(tests, "-test.failfast", "-rapid.shrinktime=0", "-rapid.nofailfile")
	if own != unnoticed || len(s.also) == 0 {
		return own
	}
	root, err := exec.Command("go", "-C", s.dir, "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		panic(err)
	}
	others := append([]string{"-C", strings.TrimSpace(string(root)), "test", "-vet=off", "-failfast", "-overlay", overlay}, s.also...)
	return s.run("go", others...)
}

// run says what came of a command.
func (s suite) run(name string, args ...string) verdict {
	ctx, cancel := context.WithTimeout(context.Background(), s.limit)
	defer cancel()
	test := exec.CommandContext(ctx, name, args...)
	test.Dir = s.dir
	switch err := test.Run(); {
	case err == nil:
		return unnoticed
	case ctx.Err() != nil:
		return endless
	default:
		return noticed
	}
}
