// Package lintrules proves that each architecture rule of .golangci.yml fires: a rule
// whose pattern matches nothing is silent, and looks just like one that holds.
package lintrules

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/e2e/lab"
)

const module = "github.com/fairlead/fairlead"

// planted are forbidden imports by the file that has them and the rule that must object.
var planted = []struct{ rule, file, imports string }{
	{"everywhere", "hub/dispatch/planted.go", "log"},
	{"vocabulary", "hub/planted.go", module + "/proto/wire"},
	{"pure", "hub/workflow/planted.go", module + "/proto/wire"},
	{"pure", "hub/nodefilter/planted.go", module + "/hub/store"},
	{"pure", "hub/rundeck/planted.go", module + "/hub/store"},
	{"pure", "hub/cron/planted.go", module + "/hub/store"},
	{"archive", "hub/archive/planted.go", module + "/hub/store"},
	{"runner-never-imports-hub", "runner/task/planted.go", module + "/hub"},
	{"hub-never-imports-runner", "hub/keys/planted.go", module + "/runner/task"},
	{"proto-stands-below", "proto/wire/planted.go", module + "/hub"},
	{"services-never-import-edges", "hub/output/planted.go", module + "/hub/api"},
	{"services-never-import-edges", "hub/auth/planted.go", module + "/hub/gateway"},
	{"edges-stand-apart-api", "hub/api/planted.go", module + "/hub/gateway"},
	{"edges-stand-apart-gateway", "hub/gateway/planted.go", module + "/hub/api"},
	{"edges-stand-apart-ui", "hub/ui/planted.go", module + "/hub/api"},
	{"store-below-services", "hub/store/planted.go", module + "/hub/dispatch"},
	{"protobuf-only-in-gateway", "hub/cluster/planted.go", module + "/proto/runner/v1"},
	{"protobuf-only-in-gateway", "hub/dispatch/planted.go", module + "/proto/member/v1"},
	{"sql-only-in-store", "hub/ca/planted.go", "database/sql"},
	{"sdk-stands-alone", "sdk/planted.go", module + "/proto/wire"},
}

// Each import is planted in a module of its own: together they would form cycles.
func TestEachImportRuleFires(t *testing.T) {
	t.Parallel()
	for _, p := range planted {
		t.Run(p.rule+" in "+filepath.Dir(p.file), func(t *testing.T) {
			t.Parallel()
			issues := lint(t, toyModule(t, p.file, p.imports), "depguard")
			for _, i := range issues {
				if strings.Contains(i.Text, "'"+p.rule+"'") {
					return
				}
			}
			t.Errorf("%s imports %s and the rule says nothing; all issues: %v", p.file, p.imports, issues)
		})
	}
}

func TestAllowedImportsPass(t *testing.T) {
	t.Parallel()
	for file, imports := range map[string]string{
		"hub/store/allowed.go":   "database/sql",
		"hub/gateway/allowed.go": module + "/proto/runner/v1",
		"hub/cmd/allowed.go":     module + "/hub/api",
	} {
		if issues := lint(t, toyModule(t, file, imports), "depguard"); len(issues) > 0 {
			t.Errorf("%s may import %s: %v", file, imports, issues)
		}
	}
}

func TestOtherRulesFire(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module "+module+"\n\ngo 1.26\n")
	write(t, dir, "hub/dispatch/planted.go", `package dispatch

import (
	"fmt"
	"log/slog"
	"os"
	"time"
)

func init() {}

func Planted() {
	time.Sleep(1)
	fmt.Println("x")
	_ = os.Getenv("HOME")
	slog.Info("x")
}
`)
	copyConfig(t, dir)
	issues := lint(t, dir, "forbidigo", "gochecknoinits", "revive", "sloglint")
	for _, want := range []string{"time.Sleep", "fmt.Print", "os.Getenv", "init", "package comment", "default logger"} {
		found := false
		for _, i := range issues {
			found = found || strings.Contains(i.Text, want)
		}
		if !found {
			t.Errorf("no linter objected to %s; got %v", want, issues)
		}
	}
}

// toyModule has one file with one import, and an empty package to import.
func toyModule(t *testing.T, file, imports string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module "+module+"\n\ngo 1.26\n")
	if rest, ok := strings.CutPrefix(imports, module+"/"); ok {
		write(t, dir, rest+"/empty.go", "package "+filepath.Base(rest)+"\n")
	}
	write(t, dir, file, "package planted\n\nimport _ \""+imports+"\"\n")
	copyConfig(t, dir)
	return dir
}

func copyConfig(t *testing.T, dir string) {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, ".golangci.yml", string(text))
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

type issue struct {
	Text string
	Pos  struct{ Filename string }
}

// lint runs the named linters alone over the module in dir.
func lint(t *testing.T, dir string, linters ...string) []issue {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "issues.json")
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile="+root+"/.tools/golangci/go.mod", "-n", "golangci-lint")
	cmd.Dir = root
	tool, err := cmd.Output()
	if err != nil {
		t.Fatalf("finding the linter: %v", err)
	}
	run := exec.CommandContext(t.Context(), strings.TrimSpace(string(tool)), "run", "--enable-only", strings.Join(linters, ","),
		"--output.json.path", out, "--max-issues-per-linter", "0", "--max-same-issues", "0", "--issues-exit-code", "0", "./...")
	run.Dir = dir
	text, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("running the linter: %v\n%s", err, text)
	}
	var report struct{ Issues []issue }
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	return report.Issues
}
