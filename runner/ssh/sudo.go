package ssh

import (
	"math"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/runner/command"
	"github.com/fairlead/fairlead/runner/task"
)

// sudo is how a command's questions for a password are answered.
type sudo struct {
	// used: the command calls sudo at all, so that its processes may be another
	// user's.
	used bool
	// expected is how many calls the text shows; 0: no question is answered. repeated:
	// there may be any number of them.
	expected int
	repeated bool
	password []byte
	// limit is how many questions are answered in a terminal, where a script's own calls
	// are seen, too.
	limit   int
	timeout time.Duration
	// prompts are answered in a terminal, where sudo asks there.
	prompts []prompt
	// plain: questions are found by the default pattern.
	plain bool
}

type prompt struct {
	question, refused *regexp.Regexp
	password          []byte
}

const (
	sudoWord           = `(^|[^A-Za-z0-9_./-])(/usr/bin/)?sudo($|[^A-Za-z0-9_.-])`
	defaultSudoPrompt  = `^\[sudo\] password for .+: ?$`
	defaultSudoRefused = `^.*try again.*`
)

var sudoCall = regexp.MustCompile(sudoWord)

// repeats finds what may make a shell run the same text again.
var repeats = regexp.MustCompile(`(^|[^A-Za-z0-9_./-])(while\s|until\s|for\s*\(\(|for\s+\w+\s*(\sin\s|[;\n]))|\(\s*\)`)

// sudo reads the sudo-* settings.
func (s *settings) sudo(c *task.Command) sudo {
	text := c.Text
	if c.Script != nil {
		text = c.Script.Interpreter
	}
	calls := len(sudoCall.FindAllString(text, -1))
	out := sudo{used: calls > 0, repeated: repeats.MatchString(text), timeout: s.milliseconds("sudo-prompt-max-timeout", defaultSudoTimeout)}
	for _, prefix := range []string{"sudo-", "sudo2-"} {
		if !s.boolean(prefix+"command-enabled") || !s.matches(s.pattern(prefix+"command-pattern", sudoWord), text) {
			continue
		}
		defaultOption := strings.TrimSuffix(prefix, "-") + "Password"
		set, password, err := s.secret(c, prefix+"password", defaultOption)
		if err != nil && s.err == nil {
			s.err = err
		}
		if !set {
			continue
		}
		password = []byte(strings.TrimRight(string(password), "\r\n"))
		out.plain = s.values[prefix+"prompt-pattern"] == "" && (out.plain || len(out.prompts) == 0)
		if prefix == "sudo-" {
			out.expected, out.password = max(calls, 1), password
		}
		out.prompts = append(out.prompts, prompt{
			question: s.pattern(prefix+"prompt-pattern", defaultSudoPrompt),
			refused:  s.pattern(prefix+"failure-pattern", defaultSudoRefused),
			password: password,
		})
	}
	if len(out.prompts) > 0 {
		out.limit = max(calls, len(out.prompts))
		if c.Script != nil { // a long text: looked through only if it matters
			out.limit += len(sudoCall.FindAllString(c.Script.Text, -1))
			out.repeated = out.repeated || repeats.MatchString(c.Script.Text)
		}
		if out.repeated {
			out.limit = math.MaxInt
		}
	}
	return out
}

// matches takes a pattern for the whole command, or, as Rundeck's own default has it
// ("^sudo$"), for one word of it.
func (s *settings) matches(re *regexp.Regexp, text string) bool {
	if re.MatchString(text) {
		return true
	}
	for word := range strings.FieldsSeq(text) {
		if re.MatchString(word) {
			return true
		}
	}
	return false
}

// prelude makes sudo a function that asks over stderr with a mark of our own and reads
// the answer from the channel, which no other command of the line has as its stdin.
// What sudo runs has it, perhaps as another account: so nobody but sudo may be able to
// ask. The mark goes to sudo as a variable, since everybody on the node can read its
// arguments and nobody its environment.
// Where something is piped into sudo, and where nobody knows how often it is called and
// so when that channel may be closed, the password is given in a call before.
// Detached from the channel, sudo asks a helper that the supervisor answers. In a terminal it
// asks in the language of the node unless it is told the words.
func (s *sudo) prelude(p *process) string {
	switch {
	case p.target.pty && s.plain:
		return "export SUDO_PROMPT='[sudo] password for %p: '\n"
	case s.expected == 0 || p.target.pty:
		return ""
	}
	if p.askpass != "" {
		return "sudo() { SUDO_ASKPASS=" + command.Quote(p.askpass) + " command sudo -A \"$@\"; }\n"
	}
	before := "[ -p /dev/stdin ] || [ -f /dev/stdin ]"
	if s.repeated {
		before = "true"
	}
	ask := "SUDO_PROMPT='" + p.question + string(markQuestion) + "' command sudo -S "
	return "exec 3<&0 </dev/null\n" +
		"sudo() { echo '" + p.question + string(markSudo) + "' >&2; " +
		"if " + before + "; then " +
		ask + "-v <&3 3<&- && command sudo \"$@\" 3<&-; " +
		"else " + ask + "\"$@\" <&3 3<&-; fi; }\n"
}

// answerer writes passwords to a running command.
type answerer struct {
	sudo  *sudo
	write func([]byte)
	// finish tells the command that no more input comes.
	finish func()

	mu       sync.Mutex
	called   int
	answered bool // since the last call of sudo
	refused  bool
	timer    *time.Timer
	tail     []byte
	given    int // in a terminal
}

// calling notes that sudo was called: only now can it ask.
func (a *answerer) calling() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.called++
	a.answered = false
	a.waitLocked()
}

// waitLocked closes the input when the last call that the text shows asks no more.
func (a *answerer) waitLocked() {
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.called >= a.sudo.expected && !a.sudo.repeated {
		a.timer = time.AfterFunc(a.sudo.timeout, a.finish)
	}
}

// asked answers a question. The second one of the same call means that the password
// is wrong; it is not sent again, since that would lock accounts.
func (a *answerer) asked() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answered {
		a.refused = true
		a.finish()
		return
	}
	a.answered = true
	a.write(append(append([]byte(nil), a.sudo.password...), '\n'))
	a.waitLocked()
}

// maxPrompt bounds the unfinished line that is looked at for a question.
const maxPrompt = 1024

// seen looks for questions in a terminal's output.
func (a *answerer) seen(p []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tail = append(a.tail, p...)
	for {
		end := strings.IndexByte(string(a.tail), '\n')
		if end < 0 {
			break
		}
		a.lineLocked(strings.TrimRight(string(a.tail[:end]), "\r"))
		a.tail = a.tail[end+1:]
	}
	if len(a.tail) > maxPrompt {
		a.tail = a.tail[len(a.tail)-maxPrompt:]
	}
	line := strings.TrimLeft(string(a.tail), "\r")
	for _, pr := range a.sudo.prompts {
		if line == "" || !pr.question.MatchString(line) {
			continue
		}
		a.tail = nil
		// Anything can print what looks like a question. What the text does not call
		// gets no password. Mostly it is sudo that asks again, in whatever language it said
		// that the password is wrong: without an answer it would wait for the step's whole time.
		if a.refused || a.given >= a.sudo.limit {
			a.refused = true
			a.write([]byte{4}) // end of input, for a terminal
			return
		}
		a.given++
		a.write(append(append([]byte(nil), pr.password...), '\n'))
		return
	}
}

func (a *answerer) lineLocked(line string) {
	for _, pr := range a.sudo.prompts {
		if a.given > 0 && pr.refused.MatchString(line) {
			a.refused = true
		}
	}
}

func (a *answerer) wasRefused() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	return a.refused
}
