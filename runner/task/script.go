package task

import (
	"regexp"
	"strings"

	"github.com/fairlead/fairlead/runner/command"
)

// Script is an inline script with its text and arguments expanded.
type Script struct {
	Text          string
	Args          []string
	Interpreter   string
	ArgsQuoted    bool
	FileExtension string
}

// scriptPlaceholder stands for the script's file in an interpreter.
const scriptPlaceholder = "${scriptfile}"

// Line returns the command line that runs the script, which lies in file.
func (s *Script) Line(file string) string {
	file = command.Quote(file)
	words := []string{file}
	for _, arg := range s.Args {
		words = append(words, command.Quote(arg))
	}
	switch {
	case strings.Contains(s.Interpreter, scriptPlaceholder):
		words[0] = strings.ReplaceAll(s.Interpreter, scriptPlaceholder, file)
	case s.ArgsQuoted && s.Interpreter != "":
		return s.Interpreter + " " + command.Quote(strings.Join(words, " "))
	case s.Interpreter != "":
		words = append([]string{s.Interpreter}, words...)
	}
	return strings.Join(words, " ")
}

// LineByDescriptor returns the command line that hands the script over as an open file:
// who is given it can read it, and nobody else, whoever may look into the directory
// that file lies in. It works where /dev/stdin opens a file anew, as Linux does. What
// the script itself reads from stdin is empty: it stands at the file's end.
func (s *Script) LineByDescriptor(file string) string {
	return "{ cat >/dev/null; " + s.Line("/dev/stdin") + "; } <" + command.Quote(file)
}

// Programs that run another one as another user. Those of the first kind do so by an
// option, and as root without.
var (
	byOption = regexp.MustCompile(`(^|[\s/])(sudo|doas|dzdo|pbrun)\s([^|;&]*\s)?(-[A-Za-z]*u|--user)`)
	always   = regexp.MustCompile(`(^|[\s/])(su|runuser|setpriv)\s`)
)

// OtherAccount reports whether the interpreter runs the script as a user who is neither
// the one that it was written by nor root, as in "sudo -u app bash".
func (s *Script) OtherAccount() bool {
	return byOption.MatchString(s.Interpreter) || always.MatchString(s.Interpreter)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// Program is what must exist for the script to run, as far as it can be told: the
// interpreter's first word, else the one of the script's first line. Empty: unknown.
func (s *Script) Program() string {
	words := strings.Fields(s.Interpreter)
	if len(words) == 0 {
		first, _, _ := strings.Cut(s.Text, "\n")
		if !strings.HasPrefix(first, "#!") {
			return ""
		}
		words = strings.Fields(first[2:])
		if len(words) > 1 && strings.HasSuffix(words[0], "/env") {
			words = words[1:]
			for len(words) > 1 && (words[0] == "-S" || strings.Contains(words[0], "=")) {
				words = words[1:]
			}
		}
	}
	if len(words) == 0 || !plainWord.MatchString(words[0]) {
		return ""
	}
	return words[0]
}

var extension = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// FileName is the script's name on a node; ok is false for an extension that no file
// name should have.
func (s *Script) FileName() (name string, ok bool) {
	ext := strings.TrimPrefix(s.FileExtension, ".")
	if ext == "" {
		return "script", true
	}
	return "script." + ext, extension.MatchString(ext)
}

// Content is what the script's file holds: line ends as Unix has them.
func (s *Script) Content() string { return strings.ReplaceAll(s.Text, "\r\n", "\n") }
