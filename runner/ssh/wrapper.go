package ssh

import (
	"bytes"
	"strings"

	"github.com/fairlead/fairlead/runner/command"
)

// maxInline is how much of a command goes into the exec request. sshd hands it to the
// login shell as one argument, and Linux takes no argument over 128 KiB.
const maxInline = 96 << 10

// Kinds of marks, the letter after the mark word.
const (
	markPid      = 'p' // followed by the shell's process id and a line end
	markSudo     = 's' // sudo is about to be called; a line end follows
	markQuestion = 'q' // sudo asks for the password
	markDir      = 'd' // followed by the script's directory and a line end
	markEnd      = 'e' // on stdin: the command's text is whole
)

// request builds what the exec request asks for, and what is to be written to the
// command's stdin first.
//
// The login shell tells its process id over stderr before all else, since sshd makes
// it the leader of a session of its own: that is what a cancel ends. Variables are
// exported here because most servers refuse env requests. What is secret goes over
// stdin: everybody on a node can read command lines.
func (p *process) request(text string) (exec string, stdin []byte) {
	if p.target.bare {
		return text, nil
	}
	head := "echo '" + p.mark + string(markPid) + "'$$ >&2\nexport FAIRLEAD_STEP=" + command.Quote(p.step)
	open, hidden := p.splitEnv()
	body := p.target.sudo.prelude(p, text) + text
	plain := len(hidden) == 0 && !p.secret(text) && p.target.shell == "" && len(head)+len(open)+len(body) < maxInline
	if plain || p.target.pty { // a terminal takes no long lines as input
		return p.inShell(head + open + hidden + "\n" + body), nil
	}
	// The whole rest over stdin, read line by line by the shell itself. This first
	// part has no line break, quote or exclamation mark, so that csh and fish can
	// pass it on to another shell.
	bootstrap := `E=; n=$(printf "\nx"); n=${n%x}; while IFS= read -r L; do case $L in ` + p.mark + string(markEnd) +
		`) break;; esac; E="$E$L$n"; done; eval "$E"`
	first := "unset E L n\n" + head[strings.IndexByte(head, '\n')+1:] + open + hidden + "\n"
	return p.inShell("echo " + p.mark + string(markPid) + "$$ >&2; " + bootstrap),
		[]byte(first + body + "\n" + p.mark + string(markEnd) + "\n")
}

// inShell hands a text to the shell that the node's settings name.
func (p *process) inShell(text string) string {
	if p.target.shell == "" {
		return text
	}
	return "exec " + p.target.shell + " -c " + command.Quote(text)
}

// splitEnv renders the variables as arguments of export, secret ones apart.
func (p *process) splitEnv() (open, hidden string) {
	var o, h strings.Builder
	for _, pair := range p.command.Env {
		name, value, _ := strings.Cut(pair, "=")
		b := &o
		if p.secret(value) {
			b = &h
		}
		b.WriteString(" " + name + "=" + command.Quote(value))
	}
	return o.String(), h.String()
}

// secret reports whether text holds a value that must not be seen. Very short secrets
// are in any text and would send all of it over stdin, which is harmless.
func (p *process) secret(text string) bool {
	for _, mask := range p.command.Masks {
		if len(mask) > 0 && bytes.Contains([]byte(text), mask) {
			return true
		}
	}
	return false
}
