// Package repo checks the repository itself.
package repo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/e2e/lab"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sources calls visit for each folder that holds Go files of ours.
func folders(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	top := root(t)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || path != top && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			found[filepath.Dir(path)] = append(found[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every package says once what it is for.
func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	for dir, files := range folders(t) {
		docs := 0
		for _, path := range files {
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			// The tools that generate have no way to say what a package is for.
			if f.Doc != nil && !isDirective(f.Doc) && !ast.IsGenerated(f) {
				docs++
			}
		}
		if docs != 1 {
			t.Errorf("%s has %d package comments, want one", dir, docs)
		}
	}
}

func isDirective(doc *ast.CommentGroup) bool { return strings.TrimSpace(doc.Text()) == "" }

// No folder is a drawer for what found no place.
func TestPackageNames(t *testing.T) {
	t.Parallel()
	bad := regexp.MustCompile(`^(utils?|commons?|helpers?|shared|misc|models|types|pkg)$`)
	for dir := range folders(t) {
		if bad.MatchString(filepath.Base(dir)) {
			t.Errorf("%s: name it after what it does", dir)
		}
	}
}

// What the README tells a newcomer to type exists.
func TestReadmeCommandsExist(t *testing.T) {
	t.Parallel()
	dir := root(t)
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile("(?m)`?make ([a-z-]+)").FindAllStringSubmatch(string(readme), -1)
	if len(targets) < 2 {
		t.Fatal("the README names fewer than two make targets")
	}
	for _, m := range targets {
		cmd := exec.CommandContext(t.Context(), "make", "-n", m[1])
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the README says %q: %v\n%s", m[0], err, out)
		}
	}
	first := strings.Split(string(readme), "\n")
	screen := strings.Join(first[:min(40, len(first))], "\n")
	for _, want := range []string{"make demo", "make test"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the README's first screen does not say %q", want)
		}
	}
}

// Links between the documents lead somewhere.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	dir := root(t)
	pages, err := filepath.Glob(filepath.Join(dir, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, page := range append(pages, filepath.Join(dir, "README.md"), filepath.Join(dir, "CHANGELOG.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// Bare make prints help, and every target in it has a line.
func TestMakeHelp(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "make")
	cmd.Dir = root(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for target := range strings.FieldsSeq("demo build test test-deps lint verify model bench fmt") {
		if !strings.Contains(string(out), "make "+target+" ") {
			t.Errorf("help has no line for %s:\n%s", target, out)
		}
	}
}
