package pipeline_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What README's blocks may use without saying where it comes from.
const readmePreamble = `package readme

type User struct{}

type service struct{}

func (service) User(context.Context, string) (User, error) { return User{}, nil }
func (service) Ping(context.Context) error                 { return nil }

var (
	ctx     context.Context
	api     service
	guest   User
	id      string
	users   *policy.Circuit
	getUser pipeline.Pipeline[User]
)
`

// readmeImports are the packages that README's blocks may import, by name.
var readmeImports = []string{
	"context", "errors", "fmt", "log/slog", "net/http", "testing", "time",
	"github.com/holdfast-go/holdfast/clock",
	"github.com/holdfast-go/holdfast/pipeline",
	"github.com/holdfast-go/holdfast/pipeline/pipehttp",
	"github.com/holdfast-go/holdfast/policy",
	"github.com/holdfast-go/holdfast/policy/observe",
	"github.com/holdfast-go/holdfast/policy/policytest",
	"github.com/holdfast-go/holdfast/policy/policytest/proptest",
}

// Every Go block of README.md compiles: as declarations, or as the body of a func. They are built as packages that
// exist only in an overlay.
func TestREADMEBlocksCompile(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(readme), "\n"), 180, "README.md is to be read in one go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)

	root, err := filepath.Abs("..")
	require.NoError(t, err)
	temp := t.TempDir()
	overlay := map[string]string{}
	args := []string{"build", "-overlay", filepath.Join(temp, "overlay.json")}
	for i, block := range blocks {
		dir := fmt.Sprintf("readme%d", i+1)
		for name, source := range map[string]string{"preamble": readmePreamble, "block": blockSource(t, block[1])} {
			file := filepath.Join(temp, dir+name+".go")
			require.NoError(t, os.WriteFile(file, []byte(withImports(source)), 0o600))
			overlay[filepath.Join(root, "pipeline", dir, name+".go")] = file
		}
		args = append(args, "./pipeline/"+dir)
	}
	encoded, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(temp, "overlay.json"), encoded, 0o600))

	build := exec.CommandContext(t.Context(), "go", args...)
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// blockSource is a block as a file: its declarations, or its statements in a func that uses what they declare.
func blockSource(t *testing.T, block string) string {
	t.Helper()
	asFile := "package readme\n" + block
	if _, err := parser.ParseFile(token.NewFileSet(), "", asFile, 0); err == nil {
		return asFile
	}
	asBody := "package readme\nfunc block() {\n" + block + "\n}\n"
	file, err := parser.ParseFile(token.NewFileSet(), "", asBody, 0)
	require.NoError(t, err, "%s", block)
	used := map[string]bool{}
	for _, statement := range file.Decls[0].(*ast.FuncDecl).Body.List {
		if assign, ok := statement.(*ast.AssignStmt); ok && assign.Tok == token.DEFINE {
			for _, name := range assign.Lhs {
				used[name.(*ast.Ident).Name] = true
			}
		}
	}
	var uses strings.Builder
	for name := range used {
		if name != "_" {
			uses.WriteString("\n_ = " + name)
		}
	}
	return "package readme\nfunc block() {\n" + block + uses.String() + "\n}\n"
}

// withImports adds the imports that source uses.
func withImports(source string) string {
	var imports []string
	for _, path := range readmeImports {
		name := path[strings.LastIndex(path, "/")+1:]
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(source) {
			imports = append(imports, fmt.Sprintf("import %q\n", path))
		}
	}
	sort.Strings(imports)
	return strings.Replace(source, "package readme\n", "package readme\n\n"+strings.Join(imports, ""), 1)
}
