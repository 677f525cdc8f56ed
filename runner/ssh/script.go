package ssh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
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
	exitNotPrivate    = 84
)

// commandFile holds a command's text where neither its command line nor its stdin can
// bring it.
const commandFile = "command"

// copyFiles copies what the command needs to lie on the node, and sets its text.
func (p *process) copyFiles(ctx context.Context) error {
	p.text = p.command.Text
	if p.command.Script != nil {
		if err := p.copyScript(ctx); err != nil {
			return err
		}
		p.text = p.runLine()
	}
	if !p.byFile() {
		return nil
	}
	_, err := p.upload(ctx, upload{name: commandFile, content: p.whole("E") + "\n", mode: "600"})
	return err
}

// copyScript copies the script to a private directory on the node.
func (p *process) copyScript(ctx context.Context) error {
	script := p.command.Script
	node := p.command.Node.GetName()
	name, ok := script.FileName()
	if !ok {
		return invalid("node %s: the script's fileExtension %q may have letters, digits, _ and - only", node, script.FileExtension)
	}
	if p.target.bare {
		return invalid("node %s: ssh-command-wrapper is none: it takes bare commands and no scripts", node)
	}
	u := upload{name: name, content: script.Content(), mode: "700", program: script.Program()}
	if script.OtherAccount() {
		u.mode = "755"
		u.share = p.share()
	}
	how, err := p.upload(ctx, u)
	p.byDescriptor = how == byDescriptor
	return err
}

// How a script is given to its interpreter, as the upload tells it.
const (
	byPath       = 'p'
	byDescriptor = 'f'
)

// share makes the script readable for the other account that is to run it, and for no
// more than needed. Its directory stays private, and the script goes as an open file,
// where the node can open /dev/stdin anew; a terminal's sudo gives the command another
// stdin. Else everybody on the node may read a script that holds no secret, as with
// Rundeck, and one that does is refused.
func (p *process) share() string {
	open := `chmod 711 "$d"`
	if p.command.HoldsSecret(p.command.Script.Text) {
		open = fmt.Sprintf(`{ rm -rf "$d"; exit %d; }`, exitNotPrivate)
	}
	if p.target.pty {
		return open + "; "
	}
	return "if [ -e /proc/self/fd/0 ]; then h=" + string(byDescriptor) + "; else " + open + "; fi; "
}

// upload is a file to be copied.
type upload struct {
	name, content, mode string
	// program must be there, else the copy is for nothing; empty: unknown.
	program string
	// share is what makes it readable for others.
	share string
}

// prefix is what the names of the command's directories on the node begin with, for a
// shell. It is made from the cell, so that a runner that was restarted knows it, too;
// what follows is random, so that nobody else on the node can take the name before.
func (p *process) prefix() string {
	dir := `"${TMPDIR:-/tmp}"`
	if p.target.copyDir != "" {
		dir = command.Quote(strings.TrimRight(p.target.copyDir, "/"))
	}
	return dir + "/" + command.Quote("fairlead-"+p.step)
}

// removeAll removes the directories whose names begin with the prefix $0. The login
// shell leaves the pattern to sh: zsh ends with an error where nothing matches.
const removeAll = `/bin/sh -c 'rm -rf -- "$0"-*' `

// upload copies a file over a channel of its own: cat needs no SFTP subsystem and one
// round trip. The first one makes the directory. A copy that is cut is removed by the
// node itself, which knows how many bytes there should be.
func (p *process) upload(ctx context.Context, u upload) (how byte, err error) {
	place := `d=` + command.Quote(p.dir)
	if p.dir == "" {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		place = fmt.Sprintf(`s=%s; %s"$s" 2>/dev/null; d=$s-%s; mkdir "$d" || exit %d`, p.prefix(), removeAll, hex.EncodeToString(random[:]), exitNoDir)
	}
	line := fmt.Sprintf(`umask 077; %s; f=$d/%s; cat >"$f" && [ "$(wc -c <"$f")" -eq %d ] && chmod %s "$f" || { rm -rf "$d"; exit %d; }; h=%c; `,
		place, u.name, len(u.content), u.mode, exitNoWrite, byPath)
	if u.program != "" {
		line += fmt.Sprintf(`command -v %s >/dev/null 2>&1 || { rm -rf "$d"; exit %d; }; `, u.program, exitNoInterpreter)
	}
	line += u.share + "echo " + p.mark + string(markDir) + `"$h$d"`
	ch, err := p.executor.openChannel(ctx, p.target)
	if err != nil {
		return 0, err
	}
	newHostKey := newKey(p.node(), ch.on)
	p.copied = true
	stdout, stderr, x, err := callWhole(ctx, ch, p.inShell(line), u.content)
	if failed := p.uploadError(x, u.program, stderr, err); failed != nil {
		failed.NewHostKey = newHostKey
		return 0, failed
	}
	f := filter{mark: []byte(p.mark), more: func() bool { return true }, onMark: func(kind byte, text string) {
		if kind == markDir && len(text) > 1 {
			how, p.dir = text[0], text[1:]
		}
	}}
	f.push(stdout)
	if how == 0 {
		failed := notStarted("script_copy_failed", nil, "node %s: the script could not be copied: the login shell did not do what a POSIX shell does; set ssh-shell", p.command.Node.GetName())
		failed.NewHostKey = newHostKey
		return 0, failed
	}
	return how, nil
}

// cutWait is how long a node may take to notice that a copy was cut.
const cutWait = 5 * time.Second

// callWhole calls a command that takes content as its stdin. When ctx ends the content
// ends early, and the node gets a moment to clean up after itself.
func callWhole(ctx context.Context, ch *channel, line, content string) (stdout, stderr []byte, x exit, err error) {
	limit, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(cutWait, func() { cancel(context.Cause(ctx)) })
	})
	defer stop()
	stdout, stderr, x, err = ch.call(limit, line, &cutReader{ctx: ctx, rest: strings.NewReader(content)})
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return stdout, stderr, x, err
}

// cutReader is at its end when ctx is.
type cutReader struct {
	ctx  context.Context //nolint:containedctx // io.Copy hands none on
	rest io.Reader
}

// Read implements io.Reader.
func (r *cutReader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, io.EOF
	}
	return r.rest.Read(b[:min(len(b), readSize)])
}

func (p *process) uploadError(x exit, program string, stderr []byte, err error) *task.NotStartedError {
	node := p.command.Node.GetName()
	said := firstLine(stderr)
	switch {
	case err != nil:
		return notStarted("script_copy_failed", err, "node %s: the connection was lost while the script was copied: %v", node, err)
	case x.code == exitNoInterpreter:
		return notStarted("script_interpreter", nil, "node %s: the script's interpreter %s is not there: install it, or set another interpreter in the step", node, program)
	case x.code == exitNoDir:
		return notStarted("script_copy_failed", nil, "node %s: no directory for the script could be made: %s (see file-copy-destination-dir)", node, said)
	case x.code == exitNotPrivate:
		return notStarted("script_not_private", nil, "node %s: the script holds the value of a secure option and is to be run by another account, but here it could only be handed over in a file that everybody on the node can read: keep the value out of the script's text, or unset always-set-pty where it is set", node)
	case x.code != 0 || x.signal != "":
		return notStarted("script_copy_failed", nil, "node %s: the script could not be written: %s", node, said)
	}
	return nil
}

// runLine is the command that runs the copied script and removes it, whatever its
// exit status: also when nobody is connected any more. A terminal that hangs up ends
// its shell, and by that all it runs: so the shell waits for the script beside it, and
// passes the hangup on before it removes the script and ends.
func (p *process) runLine() string {
	file := p.dir + "/" + p.fileName()
	line := p.command.Script.Line(file)
	if p.byDescriptor {
		line = p.command.Script.LineByDescriptor(file)
	}
	remove := "rm -rf " + command.Quote(p.dir)
	if p.target.pty {
		hangup := "trap '' HUP; kill -s HUP 0; " + remove + "; exit 129"
		line = "trap " + command.Quote(hangup) + " HUP\n{ " + line + "\n} <&0 & wait $!"
	}
	return line + "\nr=$?; " + remove + "; exit $r"
}

func (p *process) fileName() string {
	name, _ := p.command.Script.FileName()
	return name
}

// removeScript removes what was copied when the command will not run.
func (p *process) removeScript(ctx context.Context) {
	if !p.copied {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	ch, err := p.executor.openChannel(ctx, p.target)
	if err == nil {
		_, _, _, err = ch.call(ctx, p.inShell(removeAll+p.prefix()), nil)
	}
	if err != nil {
		p.executor.config.Log.Warn("a script stays on a node", "node", p.command.Node.GetName(), "dir", p.prefix()+"-*", "error", err)
	}
	p.copied = false
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
