package ssh

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
	"github.com/fairlead/fairlead/runner/task"
)

// withAccount starts a server that asks PAM for passwords, and an account that may sign
// in there and use sudo, each time with its password. ok is false where the tests may
// not make one.
func withAccount(t *testing.T) (s *sshd, a *lab.Account, ok bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("only root can make an account")
		return nil, nil, false
	}
	a, err := lab.NewAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return startSSHD(t, "SetEnv HOME=/", "UsePAM yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes"), a, true
}

// by makes the account sign in with a password.
func by(a *lab.Account, password string) func(*task.Command) {
	return func(c *task.Command) {
		c.Node.Username = a.Name
		c.Settings["ssh-authentication"] = "password"
		c.Settings["ssh-password-storage-path"] = "keys/login"
		c.Keys["keys/login"] = []byte(password + "\n")
	}
}

func TestPasswordByPAM(t *testing.T) {
	t.Parallel()
	s, a, ok := withAccount(t)
	if !ok {
		return
	}
	if end, out := run(t, newExecutor(t), s.command("id -un", by(a, a.Password))); end.Outcome != succeeded || out.out() != a.Name+"\n" {
		t.Errorf("got %+v %q %q", end, out.out(), out.err())
	}
	if got := refused(t, newExecutor(t), s.command("true", by(a, "wrong"))); got.Reason != "authentication_failed" {
		t.Errorf("with a wrong password: %s: %s", got.Reason, got.Message)
	}
	// The server asks instead of taking a password.
	asks := startSSHD(t, "UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes")
	if end, out := run(t, newExecutor(t), asks.command("id -un", by(a, a.Password))); end.Outcome != succeeded || out.out() != a.Name+"\n" {
		t.Errorf("got %+v %q %q", end, out.out(), out.err())
	}
}

// TestRealSudo is sudo as it is installed, which asks PAM for the password.
func TestRealSudo(t *testing.T) {
	t.Parallel()
	s, a, ok := withAccount(t)
	if !ok {
		return
	}
	e := newExecutor(t)
	pty := set("always-set-pty", "true")
	script := func(interpreter, text string) func(*task.Command) {
		return withScript(task.Script{Text: text, Interpreter: interpreter, Args: []string{"x"}})
	}
	tests := []struct {
		name, text string
		change     []func(*task.Command)
		stdout     string
		reason     string
	}{
		{name: "one call", text: "id -un; sudo id -un; cat", stdout: a.Name + "\nroot\n"},
		{name: "two calls", text: "sudo id -un && sudo -u nobody id -un", stdout: "root\nnobody\n"},
		{name: "something piped in", text: "echo piped | sudo cat", stdout: "piped\n"},
		{name: "in a loop", text: "for i in 1 2 3; do sudo -k; sudo echo $i; sleep 1.5; done", stdout: "1\n2\n3\n"},
		{name: "wrong password", text: "sudo id -un", change: []func(*task.Command){withPassword("wrong")}, reason: "sudo_password_refused"},
		{name: "wrong password, piped", text: "echo piped | sudo cat", change: []func(*task.Command){withPassword("wrong")}, reason: "sudo_password_refused"},
		{name: "script", change: []func(*task.Command){script("sudo bash", "id -un; cat; echo $1")}, stdout: "root\nx\n"},
		{name: "script for another account", change: []func(*task.Command){script("sudo -u nobody bash", "id -un; cat; echo $1")}, stdout: "nobody\nx\n"},
		{name: "terminal", text: "sudo id -un", change: []func(*task.Command){pty}, stdout: "[sudo] password for " + a.Name + ": \r\nroot\r\n"},
		{name: "terminal, wrong password", text: "sudo id -un", change: []func(*task.Command){pty, withPassword("wrong")}, reason: "sudo_password_refused", stdout: "*"},
		{name: "terminal, script for another account", change: []func(*task.Command){pty, script("sudo -u nobody bash", "id -un; echo $1")}, stdout: "[sudo] password for " + a.Name + ": \r\nnobody\r\nx\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := s.command(test.text, append([]func(*task.Command){by(a, a.Password), withPassword(a.Password)}, test.change...)...)
			end, out := run(t, e, c)
			if end.Reason != test.reason || (test.reason == "") != (end.Outcome == succeeded) {
				t.Errorf("got %+v, stderr %q", end, out.err())
			}
			if test.stdout != "*" && out.out() != test.stdout {
				t.Errorf("stdout %q, want %q; stderr %q", out.out(), test.stdout, out.err())
			}
			if both := out.out() + out.err(); strings.Contains(both, "sesame") || strings.Contains(both, "fairlead:") {
				t.Errorf("the output shows what it should not: %q", both)
			}
		})
	}
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		// The login may not signal what runs as root: it takes sudo and its password.
		c := s.command("sudo sh -c 'trap \"\" TERM; echo started; sleep 1000; sleep 1000'", by(a, a.Password), withPassword(a.Password))
		c.Grace = time.Second
		if end := stopped(t, e, c, task.ErrStopped); end.Outcome != cancelled || !end.EndProven {
			t.Errorf("got %+v", end)
		}
		if left := alive(t, c.AttemptID); len(left) > 0 {
			t.Errorf("still there: %q", left)
		}
	})
}

// TestSudoAnswersNobodyElse has a command that sudo runs as another account ask like sudo,
// with all words of ours that it finds in command lines and in its environment. Its stdin is
// the channel, so that it would read the password of the login.
func TestSudoAnswersNobodyElse(t *testing.T) {
	t.Parallel()
	s, a, ok := withAccount(t)
	if !ok {
		return
	}
	const ask = `marks=$(cat /proc/self/environ /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" "\n" | grep -ao "fairlead:[0-9a-f]\+:" | sort -u); ` +
		`printf "%ss\n" $marks >&2; printf "%sq" $marks >&2; read -r -t 3 p; echo "$(id -un) got $p."`
	// The first call brings the ticket, so that sudo itself asks nothing in the second.
	c := s.command("sudo true && sudo -u nobody bash -c '"+ask+"'", by(a, a.Password), withPassword(a.Password))
	end, out := run(t, newExecutor(t), c)
	if end.Outcome != succeeded || out.out() != "nobody got .\n" {
		t.Errorf("got %+v %q %q", end, out.out(), out.err())
	}
}
