package ssh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"github.com/fairlead/fairlead/runner/command"
	"github.com/fairlead/fairlead/runner/task"
)

// Exit statuses of the upload command.
const (
	exitNoDir         = 81
	exitNoWrite       = 82
	exitNoInterpreter = 83
)

const scriptPlaceholder = "${scriptfile}"

// upload copies the script to a new private directory on the node, over a channel of
// its own: cat needs no SFTP subsystem and one round trip.
func (p *process) upload(ctx context.Context) error {
	script := p.command.Script
	node := p.command.Node.GetName()
	file, err := scriptName(node, script.FileExtension)
	if err != nil {
		return err
	}
	if p.target.bare {
		return invalid("node %s: ssh-command-wrapper is none: it takes bare commands and no scripts", node)
	}
	var name [12]byte
	_, _ = rand.Read(name[:]) // never fails
	dir := "${TMPDIR:-/tmp}"
	if p.target.copyDir != "" {
		dir = command.Quote(strings.TrimRight(p.target.copyDir, "/"))
	}
	interpreter := scriptInterpreter(script)
	line := "umask 077; d=" + dir + "/fairlead-" + hex.EncodeToString(name[:]) + "; " +
		`mkdir "$d" || exit 81; f=$d/` + file + "; " +
		`cat >"$f" && chmod 700 "$f" || { rm -rf "$d"; exit 82; }; `
	if interpreter != "" {
		line += "command -v " + interpreter + ` >/dev/null 2>&1 || { rm -rf "$d"; exit 83; }; `
	}
	line += "echo " + p.mark + string(markDir) + `"$d"`
	ch, err := p.executor.openChannel(ctx, p.target)
	if err != nil {
		return err
	}
	newHostKey := newKey(p.node(), ch.on)
	text := strings.ReplaceAll(script.Text, "\r\n", "\n")
	stdout, stderr, x, err := ch.call(ctx, p.inShell(line), strings.NewReader(text))
	if failed := p.uploadError(x, interpreter, stderr, err); failed != nil {
		failed.NewHostKey = newHostKey
		return failed
	}
	f := filter{mark: []byte(p.mark), more: func() bool { return true }, onMark: func(kind byte, text string) {
		if kind == markDir {
			p.dir = text
		}
	}}
	f.push(stdout)
	if p.dir == "" {
		failed := notStarted("script_copy_failed", nil, "node %s: the script could not be copied: the login shell did not do what a POSIX shell does; set ssh-shell", node)
		failed.NewHostKey = newHostKey
		return failed
	}
	p.file = p.dir + "/" + file
	return nil
}

func (p *process) uploadError(x exit, interpreter string, stderr []byte, err error) *task.NotStartedError {
	node := p.command.Node.GetName()
	said := firstLine(stderr)
	switch {
	case err != nil:
		return notStarted("script_copy_failed", err, "node %s: the connection was lost while the script was copied: %v", node, err)
	case x.code == exitNoInterpreter:
		return notStarted("script_interpreter", nil, "node %s: the script's interpreter %s is not there: install it, or set another interpreter in the step", node, interpreter)
	case x.code == exitNoDir:
		return notStarted("script_copy_failed", nil, "node %s: no directory for the script could be made: %s (see file-copy-destination-dir)", node, said)
	case x.code != 0 || x.signal != "":
		return notStarted("script_copy_failed", nil, "node %s: the script could not be written: %s", node, said)
	}
	return nil
}

// runLine is the command that runs the copied script and removes it, whatever its
// exit status: also when nobody is connected any more.
func (p *process) runLine() string {
	s := p.command.Script
	var b strings.Builder
	switch {
	case strings.Contains(s.Interpreter, scriptPlaceholder):
		b.WriteString(strings.ReplaceAll(s.Interpreter, scriptPlaceholder, command.Quote(p.file)))
		writeArgs(&b, s.Args)
	case s.ArgsQuoted && s.Interpreter != "":
		var inner strings.Builder
		inner.WriteString(command.Quote(p.file))
		writeArgs(&inner, s.Args)
		b.WriteString(s.Interpreter + " " + command.Quote(inner.String()))
	default:
		if s.Interpreter != "" {
			b.WriteString(s.Interpreter + " ")
		}
		b.WriteString(command.Quote(p.file))
		writeArgs(&b, s.Args)
	}
	return b.String() + "\nr=$?; rm -rf " + command.Quote(p.dir) + "; exit $r"
}

func writeArgs(b *strings.Builder, args []string) {
	for _, arg := range args {
		b.WriteString(" " + command.Quote(arg))
	}
}

// removeScript removes what upload made when the script will not run.
func (p *process) removeScript(ctx context.Context) {
	if p.dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	ch, err := p.executor.openChannel(ctx, p.target)
	if err == nil {
		_, _, _, err = ch.call(ctx, p.inShell("rm -rf "+command.Quote(p.dir)), nil)
	}
	if err != nil {
		p.executor.config.Log.Warn("a script stays on a node", "node", p.command.Node.GetName(), "dir", p.dir, "error", err)
	}
	p.dir = ""
}

var extension = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

func scriptName(node, ext string) (string, error) {
	ext = strings.TrimPrefix(ext, ".")
	if ext == "" {
		return "script", nil
	}
	if !extension.MatchString(ext) {
		return "", invalid("node %s: the script's fileExtension %q may have letters, digits, _ and - only", node, ext)
	}
	return "script." + ext, nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// scriptInterpreter is the program that must exist for a script to run, as far as it
// can be told: the step's interpreter, else the script's first line. Empty: unknown.
func scriptInterpreter(s *task.Script) string {
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

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if len(line) > 200 {
		line = line[:200]
	}
	if line == "" {
		return "the node did not say why"
	}
	return strings.ToValidUTF8(line, "?")
}
