package ssh

import (
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

// noCsh ends a csh before it reads more: it takes a line break as a command's end, also
// within quotes, and goes on behind what it cannot read, so that lines of a value would
// be commands. There $?name tells whether there is such a variable; elsewhere it is the
// last exit status and a word. It reads on behind exit, but not behind exec.
const noCsh = "test \"$?fairlead\" = 0 && exec /bin/sh -c \"exit 126\"\n"

// request builds what the exec request asks for, and what is to be written to the
// command's stdin first.
//
// The login shell tells its process id over stdout before all else, since sshd makes
// it the leader of a session of its own: that is what a cancel ends. Over stderr it
// would be a packet of its own, where most commands print to stdout alone. Variables are
// exported here because most servers refuse env requests. What is secret goes over
// stdin, or lies in a file where stdin is a terminal, which takes no long lines:
// everybody on a node can read command lines.
func (p *process) request() (exec string, stdin []byte) {
	tell := "echo '" + p.mark + string(markPid) + "'$$\n"
	switch {
	case p.target.bare:
		return p.text, nil
	case p.byFile():
		return p.inShell(tell + p.export("") + p.fromFile()), nil
	case p.inline() && p.target.shell == "":
		return p.inShell(noCsh + tell + p.whole("")), nil
	}
	// The whole rest over stdin, read line by line by the shell itself, and run only if
	// all of it has come. This first part has no line break, single quote or exclamation
	// mark, so that csh and fish can pass it on to another shell.
	end := p.mark + string(markEnd)
	bootstrap := `E=; n=$(printf "\nx"); n=${n%x}; while IFS= read -r L; do case $L in ` + end +
		`) break;; esac; E="$E$L$n"; done; case $L in ` + end + `) eval "$E";; *) exit 126;; esac`
	return p.inShell("echo " + p.mark + string(markPid) + "$$; " + bootstrap),
		[]byte(p.whole("E L n") + "\n" + end + "\n")
}

// whole is the command with its variables, as a shell runs it that has used the names
// in own until here.
func (p *process) whole(own string) string {
	if own != "" {
		own = "unset " + own + "\n"
	}
	open, hidden := p.splitEnv()
	return own + p.export(open+hidden) + p.target.sudo.prelude(p) + p.text
}

// export sets the step's name and other variables.
func (p *process) export(more string) string {
	return "export FAIRLEAD_STEP=" + command.Quote(p.step) + more + "\n"
}

// inline reports whether the command line may show the whole command.
func (p *process) inline() bool {
	_, hidden := p.splitEnv()
	return hidden == "" && !p.asks() && !p.command.LineHoldsSecret() && len(p.whole("")) < maxInline
}

// asks reports whether sudo asks over stderr and is answered over stdin.
func (p *process) asks() bool {
	return p.target.sudo.expected > 0 && !p.target.pty && !p.target.bare
}

// byFile reports whether the command comes in a file on the node. A login shell that needs
// another one to run commands is not to read them: fish takes a backslash within single
// quotes for more than itself, and so a value for commands.
func (p *process) byFile() bool {
	return p.target.pty && !p.target.bare && (p.target.shell != "" || !p.inline())
}

// fromFile runs the command that lies in the file, which is gone before it begins.
func (p *process) fromFile() string {
	file, remove := command.Quote(p.dir+"/"+commandFile), "rm -f "+command.Quote(p.dir+"/"+commandFile)
	if p.command.Script == nil {
		remove = "rm -rf " + command.Quote(p.dir)
	}
	return "E=$(cat " + file + " && echo .) || exit 126\n" + remove + "\neval \"${E%.}\""
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
	p.env.once.Do(func() {
		var o, h strings.Builder
		for _, pair := range p.command.Env {
			name, value, _ := strings.Cut(pair, "=")
			b := &o
			if p.command.HoldsSecret(value) {
				b = &h
			}
			b.WriteString(" " + name + "=" + command.Quote(value))
		}
		p.env.open, p.env.hidden = o.String(), h.String()
	})
	return p.env.open, p.env.hidden
}
