package ssh

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/runner/task"
)

// fakeSudo asks for a password as sudo does for a user who is not root: real sudo
// never asks root, as whom these tests may run. It takes -A -S -p PROMPT -v, reads the
// password a byte at a time from stdin or the terminal, or asks the helper, and asks
// three times.
const fakeSudo = `#!/bin/sh
prompt=$(printf '%s.' "${SUDO_PROMPT:-${IN_ITS_LANGUAGE:-[sudo] password for me: }}" | sed 's/%p/me/'); prompt=${prompt%.}; stdin=; validate=; helper=
while :; do
  case $1 in
    -A) helper=$SUDO_ASKPASS; unset SUDO_ASKPASS; shift;;
    -S) stdin=1; shift;;
    -p) prompt=$2; shift 2;;
    -v) validate=1; shift;;
    *) break;;
  esac
done
ticket=$(dirname "$0")/ticket
if [ -e "$ticket" ]; then exec "$@"; fi
if [ -n "$helper" ]; then
  for try in 1 2 3; do
    given=$("$helper") || { echo "sudo: no password was provided" >&2; exit 1; }
    [ "$given" = "open sesame" ] && exec "$@"
    echo "Sorry, try again." >&2
  done
  exit 1
fi
if [ -z "$stdin" ]; then exec 4<&0; [ -t 0 ] || exec 0</dev/tty || { echo "sudo: a terminal is required" >&2; exit 1; }; fi
for try in 1 2 3; do
  printf '%s' "$prompt" >&2
  IFS= read -r given || { echo "sudo: no password was provided" >&2; exit 1; }
  if [ "$given" = "open sesame" ]; then
    [ -n "$validate" ] && { touch "$ticket"; exit 0; }
    [ -z "$stdin" ] && exec 0<&4 4<&-
    exec "$@"
  fi
  echo "${IN_ITS_LANGUAGE:-Sorry, try again.}" >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
`

// withFakeSudo starts a server whose sessions find the fake sudo first.
func withFakeSudo(t *testing.T) *sshd {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte(fakeSudo), 0o700); err != nil {
		t.Fatal(err)
	}
	return startSSHD(t, "SetEnv PATH="+dir+":/usr/bin:/bin")
}

func withPassword(password string) func(*task.Command) {
	return func(c *task.Command) {
		c.Settings["sudo-command-enabled"] = "true"
		c.Settings["sudo-password-storage-path"] = "keys/sudo"
		c.Settings["sudo-prompt-max-timeout"] = "1000"
		c.Keys["keys/sudo"] = []byte(password + "\n")
		c.Masks = [][]byte{[]byte(password)}
	}
}

func inGerman(c *task.Command) { c.Env = append(c.Env, "IN_ITS_LANGUAGE=[sudo] Passwort für me: ") }

func TestSudoPassword(t *testing.T) {
	t.Parallel()
	pty := set("always-set-pty", "true")
	tests := []struct {
		name, text string
		change     []func(*task.Command)
		stdout     string
		reason     string
	}{
		{name: "one call", text: "sudo echo yes", stdout: "yes\n"},
		{name: "two calls", text: "sudo echo a && sudo echo b", stdout: "a\nb\n"},
		{name: "in a loop", text: "for i in 1 2; do sudo echo $i; sleep 1.2; done", stdout: "1\n2\n"},
		{name: "others read no password", text: "cat; sudo echo a; cat", stdout: "a\n"},
		{name: "a command under sudo that reads stdin", text: "sudo cat", stdout: ""},
		{name: "something piped in", text: "echo piped | sudo cat", stdout: "piped\n"},
		{name: "from a file", text: "echo filed >$0.$$ ; sudo cat <$0.$$; rm $0.$$", stdout: "filed\n"},
		{name: "from the option", text: "sudo echo yes", change: []func(*task.Command){func(c *task.Command) {
			delete(c.Settings, "sudo-password-storage-path")
			c.Options["sudoPassword"] = "open sesame"
		}}, stdout: "yes\n"},
		{name: "Rundeck's own pattern", text: "sudo echo yes", change: []func(*task.Command){set("sudo-command-pattern", "^sudo$")}, stdout: "yes\n"},
		{name: "wrong password", text: "sudo echo yes", change: []func(*task.Command){withPassword("wrong")}, reason: "sudo_password_refused"},
		{name: "terminal", text: "sudo echo yes", change: []func(*task.Command){pty}, stdout: "[sudo] password for me: yes\r\n"},
		{name: "terminal, in another language", text: "sudo echo yes", change: []func(*task.Command){pty, inGerman}, stdout: "[sudo] password for me: yes\r\n"},
		{
			name: "terminal, in another language by its pattern", text: "sudo echo yes",
			change: []func(*task.Command){pty, inGerman, set("sudo-prompt-pattern", "^.sudo. Passwort für .*: $")}, stdout: "[sudo] Passwort für me: yes\r\n",
		},
		{name: "terminal, inside", text: "sh -c 'sudo echo yes' # sudo", change: []func(*task.Command){pty}, stdout: "[sudo] password for me: yes\r\n"},
		{name: "terminal, piped", text: "echo piped | sudo cat", change: []func(*task.Command){pty}, stdout: "[sudo] password for me: piped\r\n"},
		{
			name: "terminal, and something that looks like a question", text: `sudo echo yes; printf '[su%s] password for me: ' do; read -r -t 1 x; echo "got $x."`,
			change: []func(*task.Command){pty, set("ssh-shell", "/bin/bash")}, stdout: "[sudo] password for me: yes\r\n[sudo] password for me: got .\r\n",
		},
		{name: "terminal, wrong password", text: "sudo echo yes", change: []func(*task.Command){pty, withPassword("wrong")}, reason: "sudo_password_refused", stdout: "*"},
		{
			name: "terminal, wrong password, told in another language", text: "sudo echo yes",
			change: []func(*task.Command){pty, inGerman, withPassword("wrong")}, reason: "sudo_password_refused", stdout: "*",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := withFakeSudo(t)
			c := s.command(test.text, append([]func(*task.Command){withPassword("open sesame")}, test.change...)...)
			end, out := run(t, newExecutor(t), c)
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
}

func TestSudoScript(t *testing.T) {
	t.Parallel()
	s := withFakeSudo(t)
	end, out := run(t, newExecutor(t), s.command("", withPassword("open sesame"), func(c *task.Command) {
		c.Script = &task.Script{Text: "echo script $1", Interpreter: "sudo sh", Args: []string{"x"}}
	}))
	if end.Outcome != succeeded || out.out() != "script x\n" {
		t.Errorf("got %+v %q %q", end, out.out(), out.err())
	}
}

func TestRealSudoWithoutPassword(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	end, out := run(t, newExecutor(t), s.command("sudo id -un; echo piped | sudo cat", withPassword("unused")))
	if end.Outcome != succeeded || out.out() != "root\npiped\n" {
		t.Errorf("got %+v %q %q", end, out.out(), out.err())
	}
}

// TestCancelAsksSudoOnce ends commands that use sudo where sudo refuses: an account
// must not be locked by that, however long it takes until all of them are gone.
func TestCancelAsksSudoOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says string
		with func(*task.Command)
		args string
	}{
		"wrong password": {"Sorry, try again.", withPassword("wrong"), "-S -p  kill"},
		"no password":    {"sudo: a password is required", func(*task.Command) {}, "-n kill"},
		"no rights":      {"me is not in the sudoers file.", withPassword("right"), "-S -p  kill"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			refuse := "#!/bin/sh\necho \"$*\" >>" + dir + "/calls\ncat >>" + dir + "/stdin\necho '" + test.says + "' >&2\nexit 1\n"
			if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte(refuse), 0o700); err != nil {
				t.Fatal(err)
			}
			s := startSSHD(t, "SetEnv PATH="+dir+":/usr/bin:/bin")
			// Deaf to TERM, so that at least one KILL follows.
			c := s.command("trap '' TERM; echo started; : sudo; sleep 1000; sleep 1000", test.with)
			c.Grace = time.Second
			if end := stopped(t, newExecutor(t), c, task.ErrStopped); end.Outcome != cancelled {
				t.Errorf("got %+v", end)
			}
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(calls), "\n"); n != 1 || !strings.HasPrefix(string(calls), test.args) {
				t.Errorf("sudo was called %d times: %q", n, calls)
			}
			if given, _ := os.ReadFile(filepath.Join(dir, "stdin")); name == "no password" && len(given) > 0 {
				t.Errorf("sudo was given %q, though there is no password", given)
			}
		})
	}
}

// TestCancelSaysPasswordToNoProgram ends a command by a shell of which printf is no part.
func TestCancelSaysPasswordToNoProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"printf": "#!/bin/sh\nprintf '%s.' \"$@\" >>" + dir + "/arguments\nprintf \"$@\"\n",
		"sudo":   "#!/bin/sh\ncat >>" + dir + "/given\nshift 3\nexec \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	step := "test-says-password-" + strconv.Itoa(os.Getpid())
	deaf := exec.Command("/bin/sh", "-c", "trap '' TERM; echo started; while :; do sleep 0.1; done")
	deaf.Env = append(os.Environ(), "FAIRLEAD_STEP="+step)
	out, err := deaf.StdoutPipe()
	if err == nil {
		err = deaf.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("started"))); err != nil {
		t.Fatal(err)
	}
	go func() { _ = deaf.Wait() }()
	const without = `enable -n printf; print() { [ "$1 $2" = "-r --" ] && echo "$3"; }` + "\n"
	kill := exec.Command("/bin/bash", "-s")
	kill.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
	kill.Stdin = strings.NewReader(without + "look= pid=0 alive=0 grace=0 sudo=password pw='open sesame' step=" + step + " dirs=\n" + killScript)
	said, err := kill.CombinedOutput()
	if err != nil || string(said) != "gone\n" {
		t.Errorf("it said %q, %v", said, err)
	}
	if given, _ := os.ReadFile(filepath.Join(dir, "given")); !strings.HasPrefix(string(given), "open sesame\n") {
		t.Errorf("sudo was given %q", given)
	}
	if arguments, _ := os.ReadFile(filepath.Join(dir, "arguments")); len(arguments) > 0 {
		t.Errorf("a program got the arguments %q", arguments)
	}
}

func TestDetachedSudo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, password, stdout, reason string
	}{
		{name: "several calls", text: "sudo echo a && for i in b c; do sudo echo $i; done", stdout: "a\nb\nc\n"},
		{name: "others read no password", text: "cat; sudo cat; echo x | sudo cat; cat", stdout: "x\n"},
		{name: "wrong password", text: "sudo echo a", password: "wrong", reason: "sudo_password_refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := withFakeSudo(t)
			password := test.password
			if password == "" {
				password = "open sesame"
			}
			c := s.command(test.text, detach, withPassword(password))
			end, out := run(t, newExecutor(t), c)
			if end.Reason != test.reason || out.out() != test.stdout {
				t.Errorf("got %+v, %q, %q", end, out.out(), out.err())
			}
			if n := strings.Count(out.err(), "try again"); test.password != "" && n != 1 {
				t.Errorf("sudo was told the password %d times: %q", n, out.err())
			}
		})
	}
}
