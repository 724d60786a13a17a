package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A file is a source file and the mistakes that can be made in it.
type file struct {
	path    string
	source  string
	mutants []*mutant
}

// A mutant is a file with the bytes from one place to another replaced.
type mutant struct {
	file     *file
	from, to int
	with     string
	at       token.Position
	was      string
	site     *site // nil if it cannot share a build with other mutants
	id       int
}

// String returns the mutant as survivors are listed.
func (m *mutant) String() string {
	return filepath.Base(m.at.Filename) + ":" + position(m.at) + ": " + quote(m.was) + " became " + quote(m.with)
}

// find returns the files of a package whose names begin with one of prefixes, with every mistake that can be made in them.
func find(dir string, prefixes []string) ([]*file, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*file
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasSuffix(name, "_test.go") || !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		if built, err := build.Default.MatchFile(dir, name); err != nil || !built {
			continue // under a build tag that the tests are run without
		}
		f, err := parse(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func parse(path string) (*file, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, path, source, 0)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, source: string(source)}
	finder := finder{file: f, set: set}
	ast.Inspect(tree, func(n ast.Node) bool {
		finder.visit(n)
		return true
	})
	return f, nil
}

// A finder walks a file's tree.
type finder struct {
	file    *file
	set     *token.FileSet
	parents []ast.Node
}

// swaps are what an operator is mistaken for.
var swaps = map[token.Token][]string{
	token.LSS: {"<=", ">="}, token.LEQ: {"<", ">"}, token.GTR: {">=", "<="}, token.GEQ: {">", "<"},
	token.EQL: {"!="}, token.NEQ: {"=="}, token.LAND: {"||"}, token.LOR: {"&&"},
	token.ADD: {"-"}, token.SUB: {"+"}, token.MUL: {"/"}, token.QUO: {"*"}, token.REM: {"*"},
	token.INC: {"--"}, token.DEC: {"++"}, token.ADD_ASSIGN: {"-=", "="}, token.SUB_ASSIGN: {"+=", "="},
	token.AND: {"|"}, token.OR: {"&"}, token.SHL: {">>"}, token.SHR: {"<<"},
}

func (f *finder) offset(p token.Pos) int { return f.set.Position(p).Offset }

// add adds a mutant that replaces what stands between two places. Mutants of one site share a node.
func (f *finder) add(s *site, from, to token.Pos, with string) {
	m := &mutant{file: f.file, from: f.offset(from), to: f.offset(to), with: with, at: f.set.Position(from), site: s}
	m.was = f.file.source[m.from:m.to]
	f.file.mutants = append(f.file.mutants, m)
	if s != nil {
		s.mutants = append(s.mutants, m)
	}
}

// site returns the site of a node.
func (f *finder) site(n ast.Node, k kind) *site {
	return &site{kind: k, from: f.offset(n.Pos()), to: f.offset(n.End())}
}

// visit adds the mutants of a node. nil ends the node before.
func (f *finder) visit(n ast.Node) {
	if n == nil {
		f.parents = f.parents[:len(f.parents)-1]
		return
	}
	var parent ast.Node
	if len(f.parents) > 0 {
		parent = f.parents[len(f.parents)-1]
	}
	f.parents = append(f.parents, n)
	var statement *site // only in a list of statements can another one take its place
	switch parent.(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
		statement = f.site(n, isStatement)
	}
	switch n := n.(type) {
	case *ast.BinaryExpr:
		s := f.site(n, isOperation)
		if _, compares := comparisons[n.Op]; compares {
			s.kind = isCondition
		}
		f.swap(s, n.OpPos, n.Op)
	case *ast.IncDecStmt:
		f.swap(statement, n.TokPos, n.Tok)
	case *ast.AssignStmt:
		f.swap(statement, n.TokPos, n.Tok)
		if n.Tok == token.ASSIGN {
			blanks := strings.Repeat("_, ", len(n.Lhs))
			f.add(statement, n.Lhs[0].Pos(), n.Lhs[len(n.Lhs)-1].End(), strings.TrimSuffix(blanks, ", "))
		}
	case *ast.UnaryExpr:
		switch n.Op {
		case token.NOT:
			f.add(f.site(n, isCondition), n.OpPos, n.OpPos+1, "")
		case token.SUB:
			f.add(nil, n.OpPos, n.OpPos+1, "")
		}
	case *ast.IfStmt:
		s := f.site(n.Cond, isCondition)
		f.add(s, n.Cond.Pos(), n.Cond.Pos(), "true || ")
		if or, ok := n.Cond.(*ast.BinaryExpr); !ok || or.Op != token.LOR {
			f.add(s, n.Cond.Pos(), n.Cond.Pos(), "false && ")
		}
	case *ast.ExprStmt, *ast.DeferStmt:
		f.add(statement, n.Pos(), n.End(), "")
	case *ast.BranchStmt:
		if n.Label == nil && n.Tok == token.BREAK {
			f.add(statement, n.Pos(), n.End(), "continue")
		} else if n.Label == nil && n.Tok == token.CONTINUE {
			f.add(statement, n.Pos(), n.End(), "break")
		}
	}
}

func (f *finder) swap(s *site, at token.Pos, op token.Token) {
	for _, with := range swaps[op] {
		f.add(s, at, at+token.Pos(len(op.String())), with)
	}
}

// comparisons are the operators whose result is a bool.
var comparisons = map[token.Token]bool{
	token.LSS: true, token.LEQ: true, token.GTR: true, token.GEQ: true, token.EQL: true, token.NEQ: true, token.LAND: true, token.LOR: true,
}
