package ssh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

func detach(c *task.Command) { c.Detached = true }

// stepDir is the directory of a detached command on the node.
func (s *sshd) stepDir(c *task.Command) string {
	return filepath.Join(s.dir, ".fairlead/steps", c.Name())
}

// again is what a restarted runner finds of a command.
func again(t *testing.T, e *Executor, c *task.Command, from task.Offsets) (task.End, *recorder) {
	t.Helper()
	p, ok, err := e.Reattach(t.Context(), c, from)
	if err != nil || !ok {
		t.Fatalf("reattach: %v %v", ok, err)
	}
	out := newRecorder()
	out.offsets = from
	return p.Run(t.Context(), out), out
}

func checkRaw(t *testing.T, out *recorder) {
	t.Helper()
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.bad != "" {
		t.Error(out.bad)
	}
}

func TestDetachedEnds(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	e := newExecutor(t)
	long := strings.Repeat("x", 200<<10)
	good := task.End{Outcome: succeeded, Exited: true, EndProven: true}
	bad := func(code int32) task.End {
		return task.End{Outcome: failed, Code: code, Exited: true, EndProven: true, Reason: "non_zero_exit"}
	}
	tests := []struct {
		name, text     string
		change         func(*task.Command)
		want           task.End
		stdout, stderr string
	}{
		{name: "success", text: "echo out; echo err >&2", want: good, stdout: "out\n", stderr: "err\n"},
		{name: "exit status", text: "exit 3", want: bad(3)},
		{name: "signal", text: "kill -9 $$", want: bad(137)},
		{name: "no newline at the end", text: "printf 'a\\nb'", want: good, stdout: "a\nb"},
		{name: "bytes of any kind", text: `printf '\377\000\033[31m\n'`, want: good, stdout: "\xff\x00\x1b[31m\n"},
		{name: "stdin is empty", text: "cat; echo done", want: good, stdout: "done\n"},
		{name: "several lines and a comment", text: "echo a # x\necho b #", want: good, stdout: "a\nb\n"},
		{name: "variables", text: `echo "$RD_X|$RD_Y"`, change: func(c *task.Command) { c.Env = []string{"RD_X=it's $HOME `id`", "RD_Y=a\nb"} }, want: good, stdout: "it's $HOME `id`|a\nb\n"},
		{name: "where it is", text: `pwd; umask; echo $#`, want: good, stdout: s.home(t) + "0022\n0\n"},
		{name: "interrupts are not ignored", text: `sh -c 'kill -INT $$; echo deaf'; echo $?`, want: good, stdout: "130\n"},
		{name: "longer than an argument may be", text: "echo " + long, want: good, stdout: long + "\n"},
		{name: "another shell", text: "echo $0; exit 4", change: set("ssh-shell", "/bin/dash"), want: bad(4), stdout: "/bin/dash\n"},
		{name: "busybox", text: "echo $0; exit 4", change: set("ssh-shell", "busybox sh"), want: bad(4), stdout: "sh\n"},
		{name: "syntax error", text: "if", want: bad(2), stderr: "*"},
		{name: "much", text: "seq 300000; seq 100000 >&2", want: good, stdout: "*", stderr: "*"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := s.command(test.text, detach)
			if test.change != nil {
				test.change(c)
			}
			end, out := run(t, e, c)
			end.Message = ""
			if diff := cmp.Diff(test.want, end); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if test.stdout != "*" && out.out() != test.stdout {
				t.Errorf("stdout %.200q, want %.200q", out.out(), test.stdout)
			}
			if test.stderr != "*" && out.err() != test.stderr {
				t.Errorf("stderr %q, want %q", out.err(), test.stderr)
			}
			if test.name == "much" && (len(out.out()) != 1988895 || len(out.err()) != 588895) {
				t.Errorf("%d bytes of stdout, %d of stderr", len(out.out()), len(out.err()))
			}
			checkRaw(t, out)
			if err := e.Forget(t.Context(), c.AttemptID); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(s.stepDir(c)); !os.IsNotExist(err) {
				t.Errorf("the step's directory is still there: %v", err)
			}
		})
	}
}

// home is where an attached command is when it starts.
func (s *sshd) home(t *testing.T) string {
	t.Helper()
	_, out := run(t, newExecutor(t), s.command("pwd"))
	return out.out()
}

// background runs a command that prints "started", and gives its end and output. A test
// that fails leaves nothing of it running.
func background(t *testing.T, s *sshd, e *Executor, c *task.Command) (func(error), <-chan task.End, *recorder) {
	t.Helper()
	p, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	return runInBackground(t, s, p, c)
}

func runInBackground(t *testing.T, s *sshd, p task.Process, c *task.Command) (func(error), <-chan task.End, *recorder) {
	t.Helper()
	t.Cleanup(func() {
		text, _ := os.ReadFile(filepath.Join(s.stepDir(c), "session"))
		pid, _, _ := strings.Cut(string(text), " ")
		if leader, err := strconv.Atoi(pid); err == nil && t.Failed() {
			_ = syscall.Kill(-leader, syscall.SIGKILL)
		}
	})
	ctx, cancel := context.WithCancelCause(context.Background())
	out := newRecorder()
	end := make(chan task.End, 1)
	go func() { end <- p.Run(ctx, out) }()
	out.waitFor(t, "started")
	return cancel, end, out
}

func within[T any](t *testing.T, came <-chan T) T {
	t.Helper()
	select {
	case x := <-came:
		return x
	case <-time.After(60 * time.Second):
		t.Fatalf("no %T came", *new(T))
		return *new(T)
	}
}

// numbered prints a thousand lines on either stream, after a pause that a file ends.
func numbered(gate string) string {
	return "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line $i; echo error $i >&2; [ $i = 100 ] && { echo started; while [ ! -e " + gate + " ]; do sleep 0.05; done; }; done; exit 5"
}

func numberedOutput() (stdout, stderr string) {
	var o, e strings.Builder
	for i := 1; i <= 1000; i++ {
		fmt.Fprintf(&o, "line %d\n", i)
		fmt.Fprintf(&e, "error %d\n", i)
		if i == 100 {
			o.WriteString("started\n")
		}
	}
	return o.String(), e.String()
}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func waitForFile(t *testing.T, file string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, err := os.Lstat(file); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never came", file)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestDetachedConnectionCut(t *testing.T) {
	t.Parallel()
	stdout, stderr := numberedOutput()
	for name, after := range map[string]bool{"in mid-output": false, "between the end and the exit status": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSSHD(t)
			gate := filepath.Join(t.TempDir(), "go")
			c := s.command(numbered(gate), detach)
			_, end, out := background(t, s, newExecutor(t), c)
			if after {
				s.signalConnections(t, syscall.SIGSTOP) // nobody hears what the command does now
				touch(t, gate)
				waitForFile(t, filepath.Join(s.stepDir(c), "rc"))
			}
			s.killConnections(t)
			touch(t, gate)
			if got := within(t, end); got.Outcome != failed || got.Code != 5 || !got.EndProven {
				t.Errorf("got %+v", got)
			}
			if out.out() != stdout || out.err() != stderr {
				t.Errorf("%d bytes of stdout, want %d; %d of stderr, want %d", len(out.out()), len(stdout), len(out.err()), len(stderr))
			}
			checkRaw(t, out)
			if said := out.said.String(); !strings.Contains(said, "connecting again") {
				t.Errorf("the runner said %q", said)
			}
		})
	}
}

// A runner that was killed has no process object any more, only what its spool tells:
// another executor goes on from there.
func TestDetachedReattach(t *testing.T) {
	t.Parallel()
	stdout, stderr := numberedOutput()
	for name, ended := range map[string]bool{"while it runs": false, "after it ended": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSSHD(t)
			gate := filepath.Join(t.TempDir(), "go")
			c := s.command(numbered(gate), detach)
			cancel, end, _ := background(t, s, newExecutor(t), c)
			cancel(task.ErrDetach)
			if got := within(t, end); got.Reason != "detached" {
				t.Fatalf("got %+v", got)
			}
			if ended {
				touch(t, gate)
				waitForFile(t, filepath.Join(s.stepDir(c), "rc"))
			}
			from := task.Offsets{14, 9} // in the middle of lines
			e := newExecutor(t)
			p, found, err := e.Reattach(t.Context(), s.command("", detach, func(again *task.Command) { again.AttemptID = c.AttemptID }), from)
			if err != nil || !found {
				t.Fatalf("reattach: %v, %v", found, err)
			}
			out := newRecorder()
			out.offsets = from
			touch(t, gate)
			if got := p.Run(t.Context(), out); got.Outcome != failed || got.Code != 5 || !got.EndProven {
				t.Errorf("got %+v", got)
			}
			if out.out() != stdout[14:] || out.err() != stderr[9:] {
				t.Errorf("%d bytes of stdout, want %d; %d of stderr, want %d", len(out.out()), len(stdout)-14, len(out.err()), len(stderr)-9)
			}
			checkRaw(t, out)
			if err := e.Forget(t.Context(), c.AttemptID); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(s.stepDir(c)); !os.IsNotExist(err) {
				t.Errorf("the step's directory is still there: %v", err)
			}
		})
	}
}

// What was made ready and not started never starts once somebody has asked for it, even
// if the word to start it comes late.
func TestDetachedNeverStarted(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	c := s.command("touch "+filepath.Join(s.dir, "ran"), detach)
	late, err := newExecutor(t).Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := again(t, newExecutor(t), c, task.Offsets{})
	if end.Reason != task.ReasonNeverStarted || !end.NotStarted || !end.EndProven || end.Outcome != failed {
		t.Errorf("got %+v", end)
	}
	if end := late.Run(t.Context(), newRecorder()); !end.NotStarted {
		t.Errorf("late: got %+v", end)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "ran")); err == nil {
		t.Error("it ran all the same")
	}
}

// A shell that cannot make sense of the supervisor starts nothing, and that is not tried
// again and again.
func TestDetachedShellFails(t *testing.T) {
	t.Parallel()
	count := filepath.Join(t.TempDir(), "count")
	s := startSSHD(t, `ForceCommand n=$(cat `+count+`)x; echo $n >`+count+`; [ $n = xx ] && { echo "no such luck" >&2; exit 2; }; eval "$SSH_ORIGINAL_COMMAND"`)
	end, _ := run(t, newExecutor(t), s.command("true", detach))
	if end.Reason != "supervisor_failed" || !end.NotStarted || !strings.Contains(end.Message, "no such luck") {
		t.Errorf("got %+v", end)
	}
}

// A stop of what has not begun on its node holds for a start that comes late.
func TestDetachedStoppedBeforeItStarts(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	c := s.command("touch "+filepath.Join(s.dir, "ran"), detach)
	late, err := newExecutor(t).Prepare(t.Context(), c)
	must(t, err)
	p, _, err := newExecutor(t).Reattach(t.Context(), c, task.Offsets{})
	must(t, err)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(task.ErrStopped)
	if end := p.Run(ctx, newRecorder()); end.Outcome != cancelled || !end.NotStarted || !end.EndProven {
		t.Errorf("got %+v", end)
	}
	if end := late.Run(t.Context(), newRecorder()); !end.NotStarted {
		t.Errorf("late: got %+v", end)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "ran")); err == nil {
		t.Error("it ran all the same")
	}
}

// A stop while the connection is lost still finds the real end and all output.
func TestDetachedStopAfterACut(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	c := s.command("trap 'seq 20000; exit 7' TERM; echo started; while :; do sleep 0.1; done", detach)
	cancel, end, out := background(t, s, newExecutor(t), c)
	s.killConnections(t)
	cancel(task.ErrStopped)
	if got := within(t, end); got.Outcome != cancelled || got.Code != 7 || !got.EndProven {
		t.Errorf("got %+v", got)
	}
	if !strings.HasSuffix(out.out(), "\n20000\n") {
		t.Errorf("%d bytes of output", len(out.out()))
	}
}

// A start that comes after the directory was made anew finds another word in it.
func TestDetachedLateStart(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	counter := filepath.Join(s.dir, "counter")
	c := s.command("echo ran >>"+counter, detach)
	e := newExecutor(t)
	late, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	now, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if end := late.Run(t.Context(), newRecorder()); !end.NotStarted || end.Reason != "supervisor_failed" {
		t.Errorf("late: got %+v", end)
	}
	if end := now.Run(t.Context(), newRecorder()); end.Outcome != succeeded {
		t.Errorf("got %+v", end)
	}
	if _, err := e.Prepare(t.Context(), c); err == nil || !strings.Contains(err.Error(), "started before") {
		t.Errorf("prepared again: %v", err)
	}
	if text, _ := os.ReadFile(counter); string(text) != "ran\n" {
		t.Errorf("the counter says %q", text)
	}
}

// claimed is the process that a directory's claim names.
func (s *sshd) claimed(t *testing.T, c *task.Command) int {
	t.Helper()
	link, err := os.Readlink(filepath.Join(s.stepDir(c), "claim"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Split(link, "-")[1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestDetachedSupervisorKilled(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	c := s.command("echo started; while :; do sleep 0.1; done", detach)
	_, end, out := background(t, s, newExecutor(t), c)
	if err := syscall.Kill(s.claimed(t, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := within(t, end); got.Outcome != unknown || got.Reason != "supervisor_died" || !got.EndProven {
		t.Errorf("got %+v", got)
	}
	if out.out() != "started\n" {
		t.Errorf("stdout %q", out.out())
	}
	if left := alive(t, "FAIRLEAD_STEP="+c.Name()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Directories of another boot, or without one, prove what they can.
func TestDetachedDirectoryOfAnotherBoot(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	for name, test := range map[string]struct {
		claim, boot, rc string
		reason          string
		outcome         runnerv1.Outcome
	}{
		"not claimed":          {"", "other", "", "step_directory_lost", unknown},
		"claimed":              {"run-1-1-other-boot", "other-boot", "", "node_rebooted", unknown},
		"claimed and finished": {"run-1-1-other-boot", "other-boot", "3 - \n", "non_zero_exit", failed},
		"given up":             {"never", "other", "", task.ReasonNeverStarted, failed},
		"gone":                 {"", "", "", "step_directory_lost", unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.command("", detach)
			dir := s.stepDir(c)
			if test.boot != "" {
				must(t, os.MkdirAll(dir, 0o700))
				must(t, os.WriteFile(filepath.Join(dir, "boot"), []byte(test.boot+"\n"), 0o600))
				must(t, os.WriteFile(filepath.Join(dir, "out.0"), []byte("printed\n"), 0o600))
			}
			if test.claim != "" {
				must(t, os.Symlink(test.claim, filepath.Join(dir, "claim")))
			}
			if test.rc != "" {
				must(t, os.WriteFile(filepath.Join(dir, "rc"), []byte(test.rc), 0o600))
			}
			end, out := again(t, newExecutor(t), c, task.Offsets{})
			if end.Outcome != test.outcome || end.Reason != test.reason {
				t.Errorf("got %+v", end)
			}
			if told := out.out() == "printed\n"; told != strings.HasPrefix(test.claim, "run") {
				t.Errorf("stdout %q", out.out())
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDetachedStop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text    string
		cause   error
		outcome runnerv1.Outcome
		code    int32
	}{
		"cancel":            {"trap 'echo bye; exit 7' TERM; echo started; while :; do sleep 0.1; done", task.ErrStopped, cancelled, 7},
		"timeout":           {"echo started; sleep 1000; sleep 1000", task.ErrTimedOut, timedOut, 143},
		"deaf to TERM":      {"trap '' TERM; echo started; sleep 1000 & sleep 1000; sleep 1000", task.ErrStopped, cancelled, 137},
		"in other sessions": {"setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & echo started; wait", task.ErrStopped, cancelled, 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSSHD(t)
			c := s.command(test.text, detach)
			cancel, end, _ := background(t, s, newExecutor(t), c)
			cancel(test.cause)
			if got := within(t, end); got.Outcome != test.outcome || !got.EndProven || got.Code != test.code {
				t.Errorf("got %+v", got)
			}
			if left := alive(t, "FAIRLEAD_STEP="+c.Name()); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// A stop that comes while nobody can be reached ends the command once somebody can.
func TestDetachedStopAfterReattach(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	c := s.command("echo started; sleep 1000; sleep 1000", detach)
	cancel, end, _ := background(t, s, newExecutor(t), c)
	cancel(task.ErrDetach)
	within(t, end)
	p, _, err := newExecutor(t).Reattach(t.Context(), c, task.Offsets{})
	must(t, err)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(task.ErrStopped)
	if got := p.Run(ctx, newRecorder()); got.Outcome != cancelled || !got.EndProven {
		t.Errorf("got %+v", got)
	}
}

// While no runner is there, the supervisor keeps the time.
func TestDetachedTimeoutOnTheNode(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	c := s.command("echo started; sleep 1000; sleep 1000", detach, func(c *task.Command) { c.Timeout = time.Second })
	p, err := newExecutor(t).Prepare(t.Context(), c)
	must(t, err)
	c.Timeout = 0 // the node knows it; a busy runner would end the command before it has begun
	cancel, end, _ := runInBackground(t, s, p, c)
	cancel(task.ErrDetach)
	within(t, end)
	waitForFile(t, filepath.Join(s.stepDir(c), "rc"))
	got, out := again(t, newExecutor(t), c, task.Offsets{})
	if got.Outcome != timedOut || !got.EndProven || out.out() != "started\n" {
		t.Errorf("got %+v, %q", got, out.out())
	}
}

// A runner that ended the command for its time may die before it has noted that.
func TestDetachedTimeoutIsNotForgotten(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		code int32
	}{
		"ended by the signal": {"echo started; exec sleep 1000", 143},
		"ends by itself then": {"trap 'exit 0' TERM; echo started; while :; do sleep 0.1; done", 0},
		"leaves some behind":  {"(trap '' TERM; exec sleep 1000) >/dev/null 2>&1 & echo started; wait", 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSSHD(t)
			c := s.command(test.text, detach)
			cancel, end, _ := background(t, s, newExecutor(t), c)
			cancel(task.ErrTimedOut)
			within(t, end)
			got, _ := again(t, newExecutor(t), c, task.Offsets{})
			got.Message = ""
			if diff := cmp.Diff(task.End{Outcome: timedOut, Reason: "timed_out", Code: test.code, Exited: true, EndProven: true}, got); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
		})
	}
}

// Neither files nor command lines on the node show a secret that the command does not
// print, and what it prints is for the login alone.
func TestDetachedKeepsSecrets(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	gate := filepath.Join(s.dir, "go")
	c := s.command("S=hunter2; echo started; while [ ! -e "+gate+" ]; do sleep 0.05; done; echo ${#RD_S} ${#S}", detach, withPassword("open sesame"), func(c *task.Command) {
		c.Env = []string{"RD_S=swordfish"}
		c.Masks = [][]byte{[]byte("hunter2"), []byte("swordfish"), []byte("open sesame")}
	})
	_, end, out := background(t, s, newExecutor(t), c)
	secrets := []string{"hunter2", "swordfish", "open sesame"}
	files, err := filepath.Glob(s.stepDir(c) + "/*")
	must(t, err)
	if len(files) < 6 {
		t.Errorf("files %v", files)
	}
	for _, file := range files {
		info, err := os.Lstat(file)
		must(t, err)
		if info.Mode().IsRegular() {
			text, _ := os.ReadFile(file)
			if info.Mode().Perm()&0o077 != 0 || holdsAny(string(text), secrets) {
				t.Errorf("%s, mode %v, holds %q", file, info.Mode(), text)
			}
		}
	}
	if info, err := os.Stat(s.stepDir(c)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		if text, _ := os.ReadFile(file); holdsAny(string(text), secrets) {
			t.Errorf("%s shows %q", file, text)
		}
	}
	touch(t, gate)
	if got := within(t, end); got.Outcome != succeeded || out.out() != "started\n9 7\n" {
		t.Errorf("got %+v, %q", got, out.out())
	}
}

func holdsAny(text string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

func TestDetachedScript(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	c := s.command("", detach, func(c *task.Command) {
		c.Script = &task.Script{Text: "#!/bin/bash\necho \"$# $1\"; [[ 1 ]]\necho $0 >&2\nexit 3\n", Args: []string{"a b"}}
	})
	end, out := run(t, newExecutor(t), c)
	if end.Code != 3 || out.out() != "1 a b\n" {
		t.Errorf("got %+v, %q", end, out.out())
	}
	if _, err := os.Stat(strings.TrimSpace(out.err())); !os.IsNotExist(err) {
		t.Errorf("the script %q stays: %v", out.err(), err)
	}
}

// The node has no home directory that can be written, or the step asks for what a
// detached one cannot have.
func TestDetachedRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines  []string
		change func(*task.Command)
		reason string
	}{
		"no home":    {[]string{"SetEnv HOME=/proc/nowhere"}, detach, "no_step_directory"},
		"a terminal": {nil, set("always-set-pty", "true"), "invalid"},
		"no wrapper": {nil, set("ssh-command-wrapper", "none"), "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSSHD(t, test.lines...)
			_, err := newExecutor(t).Prepare(t.Context(), s.command("true", detach, test.change))
			not, ok := errors.AsType[*task.NotStartedError](err)
			if !ok || not.Reason != test.reason {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A node may have another sh, or none of the tools but busybox, or no setsid.
func TestDetachedOnOtherNodes(t *testing.T) {
	t.Parallel()
	stdout, stderr := numberedOutput()
	for name, test := range map[string]struct {
		shell string
		// tools are all that the node has; empty: the machine's.
		tools string
	}{
		"bash":               {shell: "/bin/bash --posix"},
		"busybox":            {"busybox sh", "busybox sh mkfifo dd ls tail head ln readlink find setsid sleep cat mkdir mv rm sync chmod grep kill tr ps"},
		"busybox, no setsid": {"busybox sh", "busybox sh mkfifo dd ls tail head ln readlink find sleep cat mkdir mv rm sync chmod grep kill"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := []string{`ForceCommand c=$(printf %s "$SSH_ORIGINAL_COMMAND" | /bin/sed "s,^exec /bin/sh,exec ` + test.shell + `,"); eval "$c"`}
			if test.tools != "" {
				lines = append(lines, "SetEnv PATH="+busyboxTools(t, test.tools))
			}
			s := startSSHD(t, lines...)
			gate := filepath.Join(t.TempDir(), "go")
			c := s.command(numbered(gate), detach)
			_, end, out := background(t, s, newExecutor(t), c)
			s.killConnections(t)
			touch(t, gate)
			if got := within(t, end); got.Outcome != failed || got.Code != 5 || !got.EndProven {
				t.Errorf("got %+v", got)
			}
			if out.out() != stdout || out.err() != stderr {
				t.Errorf("%d bytes of stdout, want %d; %d of stderr, want %d", len(out.out()), len(stdout), len(out.err()), len(stderr))
			}
			c = s.command("echo started; sleep 1000; sleep 1000", detach)
			cancel, end, _ := background(t, s, newExecutor(t), c)
			cancel(task.ErrStopped)
			if got := within(t, end); got.Outcome != cancelled || !got.EndProven {
				t.Errorf("got %+v", got)
			}
			if left := alive(t, "FAIRLEAD_STEP="+c.Name()); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// busyboxTools makes a directory of links to busybox.
func busyboxTools(t *testing.T, tools string) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	must(t, err)
	dir := t.TempDir()
	for tool := range strings.FieldsSeq(tools) {
		must(t, os.Symlink(busybox, filepath.Join(dir, tool)))
	}
	return dir
}

// The command waits while nobody takes its output, and goes on when somebody does; what
// is kept by the runner goes from the node.
func TestDetachedBlocksAtTheLimit(t *testing.T) {
	t.Parallel()
	const size = 100 << 20
	s := startSSHD(t)
	c := s.command(fmt.Sprintf("echo started; head -c %d /dev/zero", size), detach)
	p, err := newExecutor(t).Prepare(t.Context(), c)
	must(t, err)
	out := keeper{newRecorder(), make(chan struct{})}
	end := make(chan task.End, 1)
	go func() { end <- p.Run(t.Context(), out) }()
	out.waitFor(t, "started")
	s.untilBlocked(t, c)
	close(out.gate)
	if got := within(t, end); got.Outcome != succeeded || out.Synced() != (task.Offsets{size + 8}) {
		t.Errorf("got %+v, %d bytes", got, out.Synced())
	}
	checkRaw(t, out.recorder)
	if left := s.outBytes(t, c); left > 90<<20 {
		t.Errorf("%d bytes are still on the node", left)
	}
}

// keeper takes all it is given, behind a gate. Beyond that it counts alone: to hold so
// much as one text costs a test with the race detector more than all the rest.
type keeper struct {
	*recorder
	gate chan struct{}
}

func (k keeper) WriteRaw(stream wire.Stream, p []byte, offset uint64) error {
	if offset <= 1<<20 {
		return k.recorder.WriteRaw(stream, p, offset)
	}
	<-k.gate
	k.count(stream, p, offset)
	return nil
}

func (k keeper) Synced() task.Offsets {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offsets
}

func (s *sshd) outBytes(t *testing.T, c *task.Command) (size int64) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(s.stepDir(c), "out.*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			size += info.Size()
		}
	}
	return size
}

// untilBlocked waits until the output has reached the limit and grows no more.
func (s *sshd) untilBlocked(t *testing.T, c *task.Command) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for before := int64(-1); ; {
		now := s.outBytes(t, c)
		if now == before && now >= 64<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the command does not wait: %d bytes", now)
		}
		before = now
		<-time.After(500 * time.Millisecond)
	}
	if size := s.outBytes(t, c); size > 72<<20 {
		t.Errorf("%d bytes are on the node", size)
	}
}

// What an earlier process left of a step that ended goes; one that runs stays.
func TestDetachedClean(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	gate := filepath.Join(t.TempDir(), "go")
	c := s.command("echo started; while [ ! -e "+gate+" ]; do sleep 0.05; done", detach)
	_, end, _ := background(t, s, newExecutor(t), c)
	other := newExecutor(t)
	if err := other.Clean(t.Context(), c); err == nil || !strings.Contains(err.Error(), "still runs") {
		t.Errorf("cleaned while it runs: %v", err)
	}
	touch(t, gate)
	if got := within(t, end); got.Outcome != succeeded {
		t.Errorf("got %+v", got)
	}
	must(t, other.Clean(t.Context(), c))
	if _, err := os.Stat(s.stepDir(c)); !os.IsNotExist(err) {
		t.Errorf("the step's directory is still there: %v", err)
	}
}

// Directories that nobody came back for go with a later step, if nothing can run in
// them.
func TestDetachedSweepsOldDirectories(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	old := time.Now().Add(-8 * 24 * time.Hour)
	dir := filepath.Join(s.dir, ".fairlead/steps")
	for name, when := range map[string]time.Time{"finished": old, "running": old, "never": old, "new": time.Now()} {
		at := filepath.Join(dir, name)
		must(t, os.MkdirAll(at, 0o700))
		if name == "running" || name == "finished" {
			must(t, os.Symlink("run-1-1-boot", filepath.Join(at, "claim")))
		}
		if name == "finished" {
			touch(t, filepath.Join(at, "rc"))
		}
		must(t, os.Chtimes(at, when, when))
	}
	c := s.command("true", detach)
	run(t, newExecutor(t), c)
	entries, err := os.ReadDir(dir)
	must(t, err)
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if diff := cmp.Diff([]string{"new", "running", c.Name()}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// Whatever a node says, nothing hangs or breaks, and what is handed on has the offsets
// that it should.
func FuzzFollower(f *testing.F) {
	f.Add([]byte("noise\n@\nf 0 0\no 3\nabce 1\ndx 3 - \n"))
	f.Add([]byte("@\nf 9 18446744073709551615\no 4294967295\nab"))
	f.Add([]byte("@\nf 0 0\nx 256 timed_out lost\n@\nx 1 left\n"))
	f.Add([]byte("@\nn\n"))
	f.Add([]byte("@\no -1\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		e := New(Config{})
		defer e.Close()
		c := &task.Command{Node: &runnerv1.Node{Name: "web1"}, AttemptID: "a"}
		d := e.detached(&target{hops: make([]hop, 1)}, c)
		d.mark = "@"
		out := newRecorder()
		fl := newFollower(d, out)
		fl.killed = &killed{} // it has no node to kill anything on
		_, err := fl.heed(bufio.NewReaderSize(bytes.NewReader(said), readSize), io.Discard)
		if err == nil && !bytes.Contains(said, []byte("@")) {
			t.Error("an end without a beginning")
		}
		if n := len(out.out()) + len(out.err()); n > len(said) {
			t.Errorf("%d bytes of output in %d", n, len(said))
		}
	})
}
