package ssh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/command"
	"github.com/fairlead/fairlead/runner/task"
)

const (
	succeeded = runnerv1.Outcome_OUTCOME_SUCCEEDED
	failed    = runnerv1.Outcome_OUTCOME_FAILED
	unknown   = runnerv1.Outcome_OUTCOME_UNKNOWN
	cancelled = runnerv1.Outcome_OUTCOME_CANCELLED
	timedOut  = runnerv1.Outcome_OUTCOME_TIMED_OUT
)

func TestEnds(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	long := strings.Repeat("x", 200<<10)
	tests := []struct {
		name, text     string
		change         func(*task.Command)
		want           task.End
		stdout, stderr string
	}{
		{name: "success", text: "echo out; echo err >&2", want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "out\n", stderr: "err\n"},
		{name: "exit status", text: "exit 3", want: task.End{Outcome: failed, Code: 3, Exited: true, EndProven: true, Reason: "non_zero_exit"}},
		{name: "signal", text: "kill -9 $$", want: task.End{Outcome: failed, Signal: "KILL", EndProven: true, Reason: "signal"}},
		{name: "no newline at the end", text: "printf 'a\\nb'", want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "a\nb"},
		{name: "bytes of any kind", text: `printf '\377\000\033[31m\n'`, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "\xff\x00\x1b[31m\n"},
		{name: "stdin is empty", text: "cat; echo done", want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "done\n"},
		{name: "last command's status", text: "false; true", want: task.End{Outcome: succeeded, Exited: true, EndProven: true}},
		{name: "several lines and a comment", text: "echo a # x\necho b #", want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "a\nb\n"},
		{name: "variables", text: `echo "$RD_X|$RD_Y"`, change: func(c *task.Command) { c.Env = []string{"RD_X=it's $HOME `id`", "RD_Y=a\nb"} }, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "it's $HOME `id`|a\nb\n"},
		{
			name: "secret variables do not show in a command line", text: `echo "$RD_S"; tr '\0' ' ' </proc/$$/cmdline | grep -c hunter || true`,
			change: func(c *task.Command) {
				c.Env = []string{"RD_S=hunter'2\nx"}
				c.Masks = [][]byte{[]byte("hunter'2\nx")}
			},
			want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "hunter'2\nx\n1\n",
		},
		{
			name: "a secret in the text does not show in a command line", text: `: hunter2; tr '\0' ' ' </proc/$$/cmdline | grep -c hunter; cat`,
			change: func(c *task.Command) { c.Masks = [][]byte{[]byte("hunter2")} },
			want:   task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "0\n",
		},
		{
			name: "a secret in single and double quotes does not show in a command line", text: `echo ${option.s} "${option.s}" '${option.s}'; tr '\0' ' ' </proc/$$/cmdline | grep -c hunter; cat`,
			change: func(c *task.Command) {
				expandSecret(t, c, "hunter'\"$x`\\2")
			},
			want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: strings.Repeat(" hunter'\"$x`\\2", 3)[1:] + "\n0\n",
		},
		{
			name: "a secret in a terminal does not show in a command line", text: `echo "$RD_OPTION_S" ${option.s}; tr '\0' ' ' </proc/$$/cmdline | grep -c "hun[t]"`,
			change: func(c *task.Command) {
				c.Settings["always-set-pty"] = "true"
				expandSecret(t, c, "hunter2")
			},
			want: task.End{Outcome: failed, Code: 1, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stdout: "hunter2 hunter2\r\n0\r\n",
		},
		{name: "longer than an argument may be", text: "echo " + long, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: long + "\n"},
		{name: "another shell", text: "echo $0 $RD_X; exit 4", change: func(c *task.Command) {
			c.Settings["ssh-shell"] = "/bin/dash"
			c.Env = []string{"RD_X=1"}
		}, want: task.End{Outcome: failed, Code: 4, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stdout: "/bin/dash 1\n"},
		{
			name: "another shell, in a terminal", text: `echo "$RD_X"; tr '\0' ' ' </proc/$$/cmdline | grep -c "hun[t]"`,
			change: func(c *task.Command) {
				c.Settings["ssh-shell"], c.Settings["always-set-pty"] = "/bin/dash", "true"
				c.Env = []string{"RD_X=hunter"} // which the login shell is not to read
			},
			want: task.End{Outcome: failed, Code: 1, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stdout: "hunter\r\n0\r\n",
		},
		{name: "bare", text: "echo $FAIRLEAD_STEP.", change: set("ssh-command-wrapper", "none"), want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: ".\n"},
		{name: "terminal", text: "test -t 0 && test -t 1 && echo tty; exit 5", change: set("always-set-pty", "true"), want: task.End{Outcome: failed, Code: 5, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stdout: "tty\r\n"},
		{name: "syntax error", text: "if", want: task.End{Outcome: failed, Code: 2, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stderr: "*"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := s.command(test.text)
			if test.change != nil {
				test.change(c)
			}
			end, out := run(t, e, c)
			end.Message = ""
			if diff := cmp.Diff(test.want, end); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			stdout := out.out()
			if test.name == "secret variables do not show in a command line" {
				// grep itself has the word in its own command line, not the shell's.
				stdout = strings.Replace(stdout, "\n0\n", "\n1\n", 1)
			}
			if diff := cmp.Diff(test.stdout, stdout); diff != "" && len(diff) < 5000 {
				t.Errorf("stdout (-want +got):\n%s", diff)
			} else if diff != "" {
				t.Errorf("stdout differs, %d bytes", len(stdout))
			}
			if test.stderr != "*" && out.err() != test.stderr {
				t.Errorf("stderr %q, want %q", out.err(), test.stderr)
			}
		})
	}
}

// expandSecret makes the command's text and variables as a job with the secure option s
// has them.
func expandSecret(t *testing.T, c *task.Command, value string) {
	t.Helper()
	ctx := command.Context{Exposed: map[string]string{"s": value}}
	text, err := command.Expand(c.Text, ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.Text, c.Env, c.Masks = text, command.Env(ctx), [][]byte{[]byte(value)}
}

func TestLargeOutput(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	end, out := run(t, newExecutor(t), s.command("head -c 10000000 /dev/zero | tr '\\0' x; echo; seq 100000"))
	if end.Outcome != succeeded || len(out.out()) != 10000001+588895 {
		t.Errorf("got %v, %d bytes", end, len(out.out()))
	}
}

func TestOutputThatCannotBeKept(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	p, err := e.Prepare(t.Context(), s.command("seq 100000; exit 7"))
	if err != nil {
		t.Fatal(err)
	}
	end := p.Run(t.Context(), &recorder{fail: errors.New("disk full"), wrote: make(chan struct{}, 1)})
	if end.Code != 7 || !strings.Contains(end.Message, "disk full") {
		t.Errorf("got %+v: the command must end by itself and the message tell of its output", end)
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "with space"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		script task.Script
		want   task.End
		stdout string
	}{
		{name: "first line names the interpreter", script: task.Script{Text: "#!/bin/bash\r\necho \"$# $1|$2\"; [[ 1 ]]\r\nexit 3\r\n", Args: []string{"a b", "it's"}}, want: task.End{Outcome: failed, Code: 3, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stdout: "2 a b|it's\n"},
		{name: "interpreter", script: task.Script{Text: "import sys\nprint(sys.argv[1:])", Args: []string{"x y"}, Interpreter: "/usr/bin/env python3", FileExtension: ".py"}, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "['x y']\n"},
		{name: "args quoted", script: task.Script{Text: "echo \"$@\"", Args: []string{"x  y", "z"}, Interpreter: "sh -c", ArgsQuoted: true}, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "x  y z\n"},
		{name: "place of the file", script: task.Script{Text: "echo \"$@\"", Args: []string{"b"}, Interpreter: "sh ${scriptfile} a"}, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "a b\n"},
		{name: "no interpreter at all", script: task.Script{Text: "echo plain $1", Args: []string{"1"}}, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "plain 1\n"},
		{name: "private", script: task.Script{Text: "#!/bin/sh\nstat -c %a \"$0\" \"$(dirname \"$0\")\""}, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "700\n700\n"},
		{name: "sudo", script: task.Script{Text: "id -un", Interpreter: "sudo sh"}, want: task.End{Outcome: succeeded, Exited: true, EndProven: true}, stdout: "root\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			end, out := run(t, e, s.command("", func(c *task.Command) {
				c.Script = &test.script
				c.Settings["file-copy-destination-dir"] = filepath.Join(dir, "with space") + "/"
			}))
			end.Message = ""
			if diff := cmp.Diff(test.want, end); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if out.out() != test.stdout {
				t.Errorf("stdout %q, want %q; stderr %q", out.out(), test.stdout, out.err())
			}
		})
	}
	t.Cleanup(func() { wantEmpty(t, filepath.Join(dir, "with space")) })
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%s should be empty: %v %v", dir, entries, err)
	}
}

func TestScriptIsRemoved(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	script := func(dir, text string) *task.Command {
		return s.command("", set("file-copy-destination-dir", dir), func(c *task.Command) {
			c.Script = &task.Script{Text: text}
		})
	}
	t.Run("discarded", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p, err := e.Prepare(t.Context(), script(dir, "true"))
		if err != nil {
			t.Fatal(err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Fatalf("the script is not there: %v", entries)
		}
		p.Discard()
		wantEmpty(t, dir)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		end := stopped(t, e, script(dir, "echo started; sleep 1000"), task.ErrStopped)
		if end.Outcome != cancelled {
			t.Errorf("got %+v", end)
		}
		wantEmpty(t, dir)
	})
	t.Run("stopped before it was started", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p, err := e.Prepare(t.Context(), script(dir, "true"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(task.ErrStopped)
		if end := p.Run(ctx, newRecorder()); !end.NotStarted || end.Outcome != cancelled {
			t.Errorf("got %+v", end)
		}
		wantEmpty(t, dir)
	})
	t.Run("connection lost", func(t *testing.T) {
		t.Parallel()
		own := startSSHD(t)
		dir := t.TempDir()
		c := script(dir, "echo started; while [ -e "+own.dir+"/go ]; do sleep 0.05; done")
		c.Node.Hostname, c.Node.HostKeys = "127.0.0.1:"+own.port, []string{authorizedKey(own.hostKey)}
		c.Keys[keyPath] = own.clientKey
		own.write(t, "go", nil)
		end := during(t, newExecutor(t), c, func() { own.killConnections(t) })
		if end.Outcome != unknown || end.Reason != "connection_lost" {
			t.Errorf("got %+v", end)
		}
		if err := os.Remove(filepath.Join(own.dir, "go")); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for entries, _ := os.ReadDir(dir); len(entries) > 0; entries, _ = os.ReadDir(dir) {
			if time.Now().After(deadline) {
				t.Fatal("the shell on the node did not remove the script")
			}
			<-time.After(10 * time.Millisecond)
		}
	})
}

// during runs a command that prints "started", calls then, and waits for the end.
func during(t *testing.T, e *Executor, c *task.Command, then func()) task.End {
	t.Helper()
	p, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	out := newRecorder()
	end := make(chan task.End, 1)
	go func() { end <- p.Run(t.Context(), out) }()
	out.waitFor(t, "started")
	then()
	return within(t, end)
}

// stopped runs a command that prints "started" and then ends it for cause.
func stopped(t *testing.T, e *Executor, c *task.Command, cause error) task.End {
	t.Helper()
	p, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	out := newRecorder()
	end := make(chan task.End, 1)
	go func() { end <- p.Run(ctx, out) }()
	out.waitFor(t, "started")
	cancel(cause)
	return within(t, end)
}

// alive reports whether any process has word in its environment.
func alive(t *testing.T, word string) []string {
	t.Helper()
	var out []string
	dirs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range dirs {
		env, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(env), word) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "stat"))
			if !strings.Contains(string(status), ") Z ") {
				out = append(out, path+" "+string(cmdline))
			}
		}
	}
	return out
}

func TestCancelEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	tests := []struct {
		name, text string
		change     func(*task.Command)
		cause      error
		want       task.End
	}{
		{name: "plain", text: "echo started; sleep 1000", cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		{name: "timed out", text: "echo started; sleep 1000", cause: task.ErrTimedOut, want: task.End{Outcome: timedOut, Reason: "timed_out", Signal: "TERM", EndProven: true}},
		{name: "own session and deaf to TERM", text: "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & setsid setsid sleep 1001 & echo started; sleep 1000; sleep 1000", cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Signal: "KILL", EndProven: true}},
		{name: "cleans up on TERM", text: "trap 'echo bye; exit 9' TERM; echo started; while :; do sleep 0.1; done", cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Code: 9, Exited: true, EndProven: true}},
		{name: "job control", text: "set -m; sleep 1000 & sleep 1000 & echo started; wait", cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		{name: "background holds the channel", text: "sleep 1000 & echo started; exit 0", cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Exited: true, EndProven: true}},
		{name: "environment cleared", text: "echo started; env -i sleep 1000", cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		{name: "terminal", text: "echo started; sleep 1000", change: set("always-set-pty", "yes"), cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		{name: "sudo", text: "echo started; sudo sh -c 'sleep 1000; sleep 1000'; sleep 1000", cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		{name: "another shell", text: "echo started; sleep 1000; true", change: set("ssh-shell", "/bin/dash"), cause: task.ErrStopped, want: task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		{name: "bare", text: "echo started; sleep 20", change: set("ssh-command-wrapper", "none"), cause: task.ErrStopped, want: task.End{Outcome: unknown, Reason: "end_not_proven"}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := s.command(test.text)
			c.AttemptID = fmt.Sprintf("cancel-%d-%d", os.Getpid(), i)
			c.Grace = time.Second
			if test.change != nil {
				test.change(c)
			}
			began := time.Now()
			end := stopped(t, e, c, test.cause)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
			if test.name != "bare" && !strings.Contains(end.Message, "nothing of it is left") {
				t.Errorf("message %q", end.Message)
			}
			end.Message = ""
			if test.name == "bare" {
				end.Exited, end.Code, end.Signal = false, 0, ""
			}
			if diff := cmp.Diff(test.want, end); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if left := alive(t, c.AttemptID); len(left) > 0 {
				t.Errorf("still there: %q", left)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	for name, change := range map[string]func(*task.Command){
		"of the step": func(c *task.Command) { c.Timeout = 300 * time.Millisecond },
		"of the node": set("ssh-command-timeout", "300"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end, _ := run(t, newExecutor(t), s.command("sleep 1000", change))
			if end.Outcome != timedOut || !end.EndProven {
				t.Errorf("got %+v", end)
			}
		})
	}
}

func TestFinishedBeforeTheStop(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	p, err := e.Prepare(t.Context(), s.command("exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	if end := p.Run(t.Context(), newRecorder()); end.Code != 3 || end.Outcome != failed {
		t.Errorf("got %+v", end)
	}
}

func TestDetachLeavesAndDoesNotWait(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	end := stopped(t, newExecutor(t), s.command("echo started; sleep 3"), task.ErrDetach)
	if end.Outcome != unknown || end.EndProven {
		t.Errorf("got %+v", end)
	}
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	end := during(t, newExecutor(t), s.command("echo started; sleep 3"), func() { s.killConnections(t) })
	if end.Outcome != unknown || end.Reason != "connection_lost" || end.EndProven || end.NotStarted {
		t.Errorf("got %+v", end)
	}
}

func TestConnectionsAreShared(t *testing.T) {
	t.Parallel()
	s := startSSHD(t, "MaxSessions 3")
	e := newExecutor(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			c := s.command(fmt.Sprintf("sleep 0.2; echo %d", i))
			p, err := e.Prepare(t.Context(), c)
			if err != nil {
				t.Errorf("prepare: %v", err)
				return
			}
			out := newRecorder()
			if end := p.Run(t.Context(), out); end.Outcome != succeeded || out.out() != fmt.Sprintf("%d\n", i) {
				t.Errorf("got %+v %q", end, out.out())
			}
		})
	}
	wg.Wait()
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	for _, en := range e.pool.entries {
		if n := len(en.connections); n < 2 || n > 5 {
			t.Errorf("10 commands at 3 a connection made %d connections", n)
		}
	}
}

func TestStaleConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	for range 3 {
		if end, _ := run(t, e, s.command("true")); end.Outcome != succeeded {
			t.Fatalf("got %+v", end)
		}
		s.killConnections(t)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := New(Config{IdleTimeout: 20 * time.Millisecond})
	defer e.Close()
	if end, _ := run(t, e, s.command("true")); end.Outcome != succeeded {
		t.Fatalf("got %+v", end)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		e.pool.mu.Lock()
		n := len(e.pool.entries)
		e.pool.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the idle connection stays")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestCshIsNoShell is a login shell that reads quotes its own way: it runs nothing, least
// of all what a value holds.
func TestCshIsNoShell(t *testing.T) {
	t.Parallel()
	s := startSSHD(t, `ForceCommand exec tcsh -f -c "$SSH_ORIGINAL_COMMAND"`)
	made := filepath.Join(s.dir, "made")
	value := "x\ntouch " + made + "\n!-1"
	for shell, want := range map[string]string{"": "", "/bin/sh": value} {
		end, out := run(t, newExecutor(t), s.command(`printf %s "$RD_X"`, set("ssh-shell", shell), func(c *task.Command) { c.Env = []string{"RD_X=" + value} }))
		if out.out() != want || (shell != "") != (end.Outcome == succeeded) || shell == "" && !strings.Contains(end.Message, "set ssh-shell to /bin/sh") {
			t.Errorf("with ssh-shell %q: %+v %q %q", shell, end, out.out(), out.err())
		}
		if _, err := os.Stat(made); err == nil {
			t.Errorf("with ssh-shell %q a value was run", shell)
		}
	}
}
