package ssh

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/runner/task"
)

func withScript(s task.Script) func(*task.Command) {
	return func(c *task.Command) { c.Script = &s }
}

// wantEmptySoon waits for the node to have removed what was copied.
func wantEmptySoon(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s should be empty: %v %v", dir, entries, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// preparedSoon is how a preparation ended.
func preparedSoon(t *testing.T, prepared <-chan error) error {
	t.Helper()
	select {
	case err := <-prepared:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the preparation did not end")
		return nil
	}
}

// TestCutCopy cuts a copy in its middle: nothing of it stays on the node, not even
// when the runner cannot come back to remove it.
func TestCutCopy(t *testing.T) {
	t.Parallel()
	large := task.Script{Text: strings.Repeat("# secret\n", 4<<20)}
	copying := func(t *testing.T, dir string, prepared <-chan error) {
		t.Helper()
		limit := time.After(60 * time.Second)
		for {
			if found, _ := filepath.Glob(dir + "/fairlead-*/script"); len(found) > 0 {
				return
			}
			select {
			case err := <-prepared:
				t.Fatalf("the copy ended before it could be cut: %v", err)
			case <-limit:
				t.Fatal("the copy never began")
			case <-time.After(time.Millisecond):
			}
		}
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		s, dir := startSSHD(t), t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		prepared := make(chan error, 1)
		go func() {
			_, err := newExecutor(t).Prepare(ctx, s.command("", withScript(large), set("file-copy-destination-dir", dir)))
			prepared <- err
		}()
		copying(t, dir, prepared)
		cancel(task.ErrStopped)
		if err := preparedSoon(t, prepared); err == nil {
			t.Fatal("it was prepared")
		}
		wantEmpty(t, dir)
	})
	t.Run("connection lost for good", func(t *testing.T) {
		t.Parallel()
		s, dir := startSSHD(t), t.TempDir()
		prepared := make(chan error, 1)
		go func() {
			_, err := newExecutor(t).Prepare(t.Context(), s.command("", withScript(large), set("file-copy-destination-dir", dir)))
			prepared <- err
		}()
		copying(t, dir, prepared)
		// Stopped first, so that nobody connects again, and killed last: a dead server has no
		// children any more to find its connections by.
		_ = s.process.Process.Signal(syscall.SIGSTOP)
		s.killConnections(t)
		_ = s.process.Process.Kill()
		if err := preparedSoon(t, prepared); err == nil {
			t.Fatal("it was prepared")
		}
		wantEmptySoon(t, dir)
	})
}

// TestHangup loses the connection of a terminal: its shell still removes the script.
func TestHangup(t *testing.T) {
	t.Parallel()
	s, dir := startSSHD(t), t.TempDir()
	c := s.command("", withScript(task.Script{Text: "echo started; sleep 1000"}), set("file-copy-destination-dir", dir), set("always-set-pty", "true"))
	if end := during(t, newExecutor(t), c, func() { s.killConnections(t) }); end.Reason != "connection_lost" {
		t.Errorf("got %+v", end)
	}
	wantEmptySoon(t, dir)
	if left := alive(t, c.AttemptID); len(left) > 0 {
		t.Errorf("the hangup did not end it: %q", left)
	}
}

// TestCutCommand gives a shell half of a command that comes over stdin: it must not
// run that half.
func TestCutCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "touched")
	p := &process{
		target: &target{}, mark: newMark(), step: "cut.0.0.1", text: "touch " + file + "\n: hunter2\n",
		command: &task.Command{Text: ": hunter2", Masks: [][]byte{[]byte("hunter2")}},
	}
	line, stdin := p.request()
	for _, cut := range []int{0, len(stdin) - 1, len(stdin) - 10, len(stdin) - len(p.mark) - 4, len(stdin) / 2} {
		cmd := exec.Command("/bin/sh", "-c", line)
		cmd.Stdin = strings.NewReader(string(stdin[:cut]))
		_ = cmd.Run()
		if _, err := os.Stat(file); err == nil && cut < len(stdin)-2 {
			t.Fatalf("%d of %d bytes came, and something ran", cut, len(stdin))
		}
		_ = os.Remove(file)
	}
}

// TestScriptForAnotherAccount runs scripts as an account that may not read what the
// login writes.
func TestScriptForAnotherAccount(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can become another user here")
		return
	}
	s := startSSHD(t)
	e := newExecutor(t)
	ok := task.End{Outcome: succeeded, Exited: true, EndProven: true}
	secret := func(c *task.Command) { c.Masks = [][]byte{[]byte("hunter2")} }
	pty := set("always-set-pty", "true")
	text := "id -un; cat; echo \"$1\"; exit 3"
	want := task.End{Outcome: failed, Code: 3, Exited: true, EndProven: true, Reason: "non_zero_exit"}
	tests := []struct {
		name   string
		script task.Script
		change []func(*task.Command)
		want   task.End
		stdout string
	}{
		{name: "shell", script: task.Script{Text: text, Interpreter: "sudo -u nobody bash", Args: []string{"a b"}}, want: want, stdout: "nobody\na b\n"},
		{name: "several options", script: task.Script{Text: text, Interpreter: "sudo -nHu nobody sh", Args: []string{"a"}}, want: want, stdout: "nobody\na\n"},
		{name: "with a secret in it", script: task.Script{Text: "id -un; : hunter2", Interpreter: "sudo -u nobody sh"}, change: []func(*task.Command){secret}, want: ok, stdout: "nobody\n"},
		{name: "no shell", script: task.Script{Text: "import os,sys\nprint(os.getuid() != 0, sys.argv[1:], sys.stdin.read())", Interpreter: "sudo -u nobody python3", Args: []string{"x"}}, want: ok, stdout: "True ['x'] \n"},
		{name: "by its first line", script: task.Script{Text: "#!/bin/sh\n" + text, Interpreter: "sudo -u nobody", Args: []string{"x"}}, want: want, stdout: "nobody\nx\n"},
		{name: "place of the file", script: task.Script{Text: text, Interpreter: "su -s /bin/sh nobody ${scriptfile}", Args: []string{"x"}}, want: want, stdout: "nobody\nx\n"},
		{name: "args quoted", script: task.Script{Text: text, Interpreter: "runuser -u nobody -- sh -c", ArgsQuoted: true, Args: []string{"x"}}, want: want, stdout: "nobody\nx\n"},
		{name: "terminal", script: task.Script{Text: "id -un; echo $1", Interpreter: "sudo -u nobody bash", Args: []string{"x"}}, change: []func(*task.Command){pty}, want: ok, stdout: "nobody\r\nx\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			end, out := run(t, e, s.command("", append(test.change, withScript(test.script))...))
			end.Message = ""
			if diff := cmp.Diff(test.want, end); diff != "" || out.out() != test.stdout {
				t.Errorf("stdout %q, want %q; stderr %q; end (-want +got):\n%s", out.out(), test.stdout, out.err(), diff)
			}
		})
	}
	t.Run("others cannot read it", func(t *testing.T) {
		t.Parallel()
		// The script looks, as a third account, for a way to its own text.
		look := "ls -ld /tmp/fairlead-$FAIRLEAD_STEP-* | cut -c1-10"
		end, out := run(t, e, s.command("", withScript(task.Script{Text: look, Interpreter: "sudo --preserve-env=FAIRLEAD_STEP -u nobody sh"})))
		if end.Outcome != succeeded || out.out() != "drwx------\n" {
			t.Errorf("got %+v %q %q", end, out.out(), out.err())
		}
	})
	t.Run("terminal, with a secret in it", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		got := refused(t, e, s.command("", pty, secret, set("file-copy-destination-dir", dir), withScript(task.Script{Text: ": hunter2", Interpreter: "sudo -u nobody sh"})))
		if got.Reason != "script_not_private" {
			t.Errorf("got %s: %s", got.Reason, got.Message)
		}
		wantEmpty(t, dir)
	})
}

// TestCleanAfterARestart is what a runner does that was killed between a copy and its
// start, or while the script ran.
func TestCleanAfterARestart(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	t.Run("never started", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c := s.command("", withScript(task.Script{Text: "true"}), set("file-copy-destination-dir", dir))
		for range 2 { // the second copy takes the first one's place
			if _, err := newExecutor(t).Prepare(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Fatalf("on the node: %v", entries)
			}
		}
		other := *c
		other.Cell.Try = 10 // begins like the first
		if err := newExecutor(t).Clean(t.Context(), &other); err != nil {
			t.Fatal(err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Fatalf("another cell's script is gone: %v", entries)
		}
		if err := newExecutor(t).Clean(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		wantEmpty(t, dir)
	})
	t.Run("still runs", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c := s.command("", withScript(task.Script{Text: "echo started; until [ -e " + dir + "/go ]; do sleep 0.05; done; cat $0 >/dev/null"}), set("file-copy-destination-dir", dir))
		end := during(t, newExecutor(t), c, func() {
			if err := newExecutor(t).Clean(t.Context(), c); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
				t.Error(err)
			}
		})
		if end.Outcome != succeeded {
			t.Errorf("its script was taken away: %+v", end)
		}
	})
}
