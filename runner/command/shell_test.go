package command

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// shells are those that every machine for development has; busybox joins where it is.
func shells(t testing.TB) [][]string {
	t.Helper()
	found := [][]string{{"sh"}, {"bash"}, {"dash"}}
	if _, err := exec.LookPath("busybox"); err == nil {
		found = append(found, []string{"busybox", "sh"})
	}
	return found
}

// nasty are values that have broken out of quotes somewhere.
func nasty() []string {
	return []string{
		"", " ", "a b", "; touch canary", "$(touch canary)", "(touch canary)", "`touch canary`", "| touch canary", "\ntouch canary\n",
		"'", "''", `'"'"'`, `'; touch canary; '`, `"; touch canary; "`, `\`, `\'`, `\"`, `a\`, "\\\n", "*", "~", "~root",
		"{a,b}", "-rf", "--upload-pack=x", "#", "# x", "$HOME", "${HOME}", "$'\\n'", "!x!", "%PATH%", "&", ">canary", "<x",
		"\xff\xfe", "\x01\x1b[31m", "é世界", "EOF", "x\nEOF\ntouch canary", ")", "$((1))", "a[$(touch canary)]", "=ls", "}", "${x}", "esac",
		strings.Repeat("'\\\"$`", 200),
	}
}

// run gives a command line to a shell as an executor does.
func run(t testing.TB, shell []string, dir, line string) (string, error) {
	t.Helper()
	args := append(append([]string{}, shell[1:]...), "-c", line)
	cmd := exec.Command(shell[0], args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nowhere", "LC_ALL=C"} //nolint:forbidigo // where the shells are
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return errs.String(), err
	}
	return out.String(), nil
}

func TestQuoteArrivesByteForByte(t *testing.T) {
	t.Parallel()
	values := append(nasty(), string(allBytes()))
	line := "printf '%s\\0'"
	for _, v := range values {
		line += " " + Quote(v)
	}
	want := strings.Join(values, "\x00") + "\x00"
	for _, shell := range shells(t) {
		got, err := run(t, shell, t.TempDir(), line)
		if err != nil {
			t.Fatalf("%v: %v: %s", shell, err, got)
		}
		if got != want {
			t.Errorf("%v: got %q, want %q", shell, got, want)
		}
	}
}

func allBytes() []byte {
	var b []byte
	for c := 1; c < 256; c++ {
		b = append(b, byte(c))
	}
	return b
}

func TestQuoteProperty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		values := rapid.SliceOfN(hostile(), 1, 30).Draw(r, "values")
		line := "printf '%s\\0'"
		for _, v := range values {
			line += " " + Quote(v)
		}
		want := strings.Join(values, "\x00") + "\x00"
		for _, shell := range shells(t) {
			if got, err := run(t, shell, dir, line); err != nil || got != want {
				r.Fatalf("%v: got %q (%v), want %q", shell, got, err, want)
			}
		}
	})
}

// hostile draws values made of what shells read.
func hostile() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{"'", `"`, `\`, "$", "`", "(", ")", "{", "}", ";", "\n", " ", "#", "*", "a", ";touch canary;", "\ntouch canary\n", "$(touch canary)", "&&", "||", "<<EOF", "\xff", "!", "~"})
	return rapid.Custom(func(r *rapid.T) string {
		return strings.Join(rapid.SliceOfN(pieces, 0, 8).Draw(r, "pieces"), "")
	})
}

// place is an author's text around a reference, and what a shell makes of it for a
// value v.
type place struct {
	name, template string
	want           func(v string) string
}

func places() []place {
	between := func(before, after string) func(string) string {
		return func(v string) string { return before + v + after }
	}
	return []place{
		{"bare", "printf '%s.' ${option.x}", between("", ".")},
		{"joined", "printf '%s.' a${option.x}b", between("a", "b.")},
		{"double", `printf '%s.' "a ${option.x} b"`, between("a ", " b.")},
		{"single", `printf '%s.' 'a ${option.x} b'`, between("a ", " b.")},
		{"alone in double", `printf '%s.' "${option.x}"`, between("", ".")},
		{"alone in single", `printf '%s.' '${option.x}'`, between("", ".")},
		{"mixed", `printf '%s.' "it's "${option.x}' "q" '`, between("it's ", ` "q" .`)},
		{"assignment", `x=${option.x}; printf '%s.' "$x"`, between("", ".")},
		{"substitution", `printf '%s' "$(printf '%s.' ${option.x})"`, between("", ".")},
		{"substitution, double inside double", `printf '%s' "$(printf '%s.' "a${option.x}")"`, between("a", ".")},
		{"substitution in substitution", `printf '%s' "$(printf '%s' "$(printf '%s.' '${option.x}')")"`, between("", ".")},
		{"subshell in substitution", `printf '%s' "$( (printf '%s' a); printf '%s.' ${option.x})"`, between("a", ".")},
		{"after escapes", `printf '%s.' \"${option.x}\'"\"${option.x}"`, func(v string) string { return `"` + v + `'"` + v + "." }},
		{"after a comment", "# it's ${option.x}\nprintf '%s.' ${option.x}", between("", ".")},
		{"after a word with #", "printf '%s.' a#'${option.x}'", between("a#", ".")},
		{"beside the shell's own", `printf '%s.' "${HOME:-x}"${option.x}"$HOME"`, between("/nowhere", "/nowhere.")},
		{"before a here-document", "printf '%s.' ${option.x}; cat <<'EOF'\nit's\nEOF\n", between("", ".it's\n")},
		{"after arithmetic", `printf '%s.' "$((1 + (2)))" ${option.x}`, func(v string) string { return "3." + v + "." }},
		{"after backquotes", "printf '%s.' `echo \"it's\" \\'` ${option.x}", func(v string) string { return "it's." + "'." + v + "." }},
		{"in a function", `f() { printf '%s.' "$1"; }; f ${option.x}`, between("", ".")},
		{"in a case", `case ${option.x} in nothing) ;; *) printf '%s.' ${option.x};; esac`, between("", ".")},
		{"continued line", "printf '%s.' \\\n${option.x}", between("", ".")},
		{"after a command in the shell's own", `printf '%s' "$(printf '%s.' ${HOME:+$(echo /a)}${option.x})"`, between("/a", ".")},
		{"after a dollar, double", `printf '%s.' "a$${option.x}b"`, between("a$", "b.")},
		{"after a process id, double", `x="$$${option.x}"; printf '%s.' "${x#$$}"`, between("", ".")},
		{"after a variable, double", `printf '%s.' "$HOME${option.x}b"`, between("/nowhere", "b.")},
	}
}

// TestExpandArrivesByteForByte is the defence against injection: in every place, every
// value arrives as it is, in every shell.
func TestExpandArrivesByteForByte(t *testing.T) {
	t.Parallel()
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, v := range nasty() {
				checkPlace(t, dir, p, v)
			}
		})
	}
}

func checkPlace(t testing.TB, dir string, p place, v string) {
	t.Helper()
	line, err := Expand(p.template, Context{Options: map[string]string{"x": v}})
	if err != nil {
		t.Fatalf("%q: %v", v, err)
	}
	for _, shell := range shells(t) {
		got, err := run(t, shell, dir, line)
		if err != nil {
			t.Fatalf("%v %q: %v: %s", shell, line, err, got)
		}
		if want := p.want(v); got != want {
			t.Errorf("%v: %q with %q: got %q, want %q", shell, p.template, v, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "canary")); err == nil {
		t.Fatalf("%q with %q ran the value", p.template, v)
	}
}

// TestExpandNeverRunsValues joins fragments that authors write, also such as end in
// the middle of something, and looks for the canary.
func TestExpandNeverRunsValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fragments := rapid.SampledFrom([]string{
		": ${option.x}\n", ": \"${option.x}\"\n", ": '${option.x}'\n", ": a${option.x}b;", "x=${option.x} ",
		": $(: ${option.x}) ", ": \"$(: \"${option.x}\")\" ", "case ${option.x} in *) :;; esac\n",
		"cat <<EOF\nit's \"\nEOF\n", "cat <<'EOF'\n'\nEOF\n", "cat <<<\"it's\"\n", "# it's \"\n", ": a#'b'\n",
		": \"${HOME:-'}\"\n", ": ${HOME:-'}'}\n", ": \"${HOME:-\"'\"}\"\n", ": ${HOME#\\'}\n", ": ${#HOME} ",
		": $(case a in a) : \"'\";; esac)\n", ": $(: ')' \")\" # )\n)\n", ": `: \\`: \"'\"\\` \\'`\n", ": $'\\''\n",
		": $((1+(2))) ", ": $((: 1) ; : 2) ", "((1)) ", ": $[1] ", ": \\' \\\" ", "if :; then : ${option.x}; fi\n", "{ :; } | cat\n",
		"'", "\"", "`", "$(", ")", "}", "\\", " ", "$", "$$", "$x", ": $${option.x}\n", ": \"$${option.x}\"\n", "$\\\n", "(",
	})
	rapid.Check(t, func(r *rapid.T) {
		template := strings.Join(rapid.SliceOfN(fragments, 1, 5).Draw(r, "fragments"), "") + ": ${option.x}"
		v := hostile().Draw(r, "value")
		line, err := Expand(template, Context{Options: map[string]string{"x": v}})
		if err != nil {
			return // refused: nothing runs
		}
		for _, shell := range shells(t) {
			_, _ = run(t, shell, dir, line) // some are no valid commands
			if os.Remove(filepath.Join(dir, "canary")) == nil {
				r.Fatalf("%v: %q with %q became %q and ran the value", shell, template, v, line)
			}
		}
	})
}
