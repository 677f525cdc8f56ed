package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/logfilter"
	"github.com/fairlead/fairlead/runner/stepdir"
	"github.com/fairlead/fairlead/runner/task"
)

const (
	succeeded = runnerv1.Outcome_OUTCOME_SUCCEEDED
	failed    = runnerv1.Outcome_OUTCOME_FAILED
	unknown   = runnerv1.Outcome_OUTCOME_UNKNOWN
	cancelled = runnerv1.Outcome_OUTCOME_CANCELLED
	timedOut  = runnerv1.Outcome_OUTCOME_TIMED_OUT
)

// TestMain lets the test binary be a shim, and a runner that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case ShimCommand:
			os.Exit(Shim())
		case hastyShim:
			os.Exit(beShim(300 * time.Millisecond))
		case "be-runner":
			beRunner(os.Args[2], os.Args[3])
			return
		case "be-runner-of":
			beRunnerOf(os.Args[2], os.Args[3], os.Args[4:])
			return
		}
	}
	os.Exit(m.Run())
}

// hastyShim makes the test binary a shim that does not wait long for what will not go.
const hastyShim = "exec-hasty-shim"

// beRunner runs one command and waits to be killed, in a process of its own.
func beRunner(dir, text string) {
	e, err := New(Config{Dir: dir, Shim: []string{os.Args[0], ShimCommand}, Env: os.Environ()})
	if err != nil {
		panic(err)
	}
	p, err := e.Prepare(context.Background(), newCommand(text))
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "prepared")
	out := newRecorder()
	out.copy = os.Stdout
	p.Run(context.Background(), out)
	_, _ = fmt.Fprintln(os.Stdout, "ended")
	select {}
}

// beRunnerOf runs commands one after another and tells their ends. One that says that it
// has started is ended.
func beRunnerOf(dir, attempt string, texts []string) {
	e, err := New(Config{Dir: dir, Shim: []string{os.Args[0], hastyShim}, Env: os.Environ()})
	if err != nil {
		panic(err)
	}
	tell := json.NewEncoder(os.Stdout)
	for i, text := range texts {
		c := newCommand(text)
		c.AttemptID, c.Cell, c.Grace = attempt, task.Cell{Try: uint32(i + 1)}, 10*time.Millisecond
		p, err := e.Prepare(context.Background(), c)
		if err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		out := newRecorder()
		go func() {
			for range out.wrote { // not before it has said so: until then it may be ended
				if strings.Contains(out.out(), "started") {
					cancel(task.ErrTimedOut)
				}
			}
		}()
		_ = tell.Encode(p.Run(ctx, out))
	}
}

// told is how a shim says that its command ended.
func told(t *testing.T, m stepdir.News) (x ended) {
	t.Helper()
	if err := json.Unmarshal(m.Exit, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

func newCommand(text string, change ...func(*task.Command)) *task.Command {
	c := &task.Command{
		AttemptID: "0197-local", Cell: task.Cell{Node: 0, Step: 1, Try: 1},
		Node: &runnerv1.Node{Name: "here"}, Text: text, Grace: 2 * time.Second,
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func newExecutor(t testing.TB, dir string) *Executor {
	t.Helper()
	e, err := New(Config{Dir: dir, Shim: []string{os.Args[0], ShimCommand}, Env: append(os.Environ(), "FAIRLEAD_TOKEN=secret", "PLAIN=1")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// recorder is an Output in memory that checks offsets.
type recorder struct {
	mu             sync.Mutex
	stdout, stderr bytes.Buffer
	offset         uint64
	bad            string
	wrote          chan struct{}
	copy           *os.File
	gate           chan struct{} // if set, writes wait for it
	synced         uint64
}

func newRecorder() *recorder { return &recorder{wrote: make(chan struct{}, 1)} }

func (r *recorder) Write(wire.Stream, []byte) error { panic("unmasked output of a local command") }

func (r *recorder) WriteRaw(wire.Stream, []byte, uint64) error {
	panic("unmasked output of a local command")
}

func (r *recorder) WriteMasked(stream wire.Stream, p []byte, offset uint64) error {
	if r.gate != nil {
		<-r.gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if offset != r.offset+uint64(len(p)) {
		r.bad = fmt.Sprintf("offset %d after %d and %d bytes", offset, r.offset, len(p))
	}
	r.offset = offset
	if stream == wire.Stdout {
		r.stdout.Write(p)
	} else {
		r.stderr.Write(p)
	}
	if r.copy != nil {
		_, _ = r.copy.Write(p)
	}
	select {
	case r.wrote <- struct{}{}:
	default:
	}
	return nil
}

func (r *recorder) out() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stdout.String()
}

func (r *recorder) waitFor(t testing.TB, text string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for !strings.Contains(r.out(), text) {
		select {
		case <-r.wrote:
		case <-limit:
			t.Fatalf("output %q never came: %q", text, r.out())
		}
	}
}

// receive returns what must come; a test is told after a minute that it did not.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	var v T
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatalf("waited a minute in vain for %s", what)
	}
	return v
}

func run(t testing.TB, e *Executor, c *task.Command) (task.End, *recorder) {
	t.Helper()
	p, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	out := newRecorder()
	end := p.Run(t.Context(), out)
	if out.bad != "" {
		t.Error(out.bad)
	}
	return end, out
}

func TestEnds(t *testing.T) {
	t.Parallel()
	ok := task.End{Outcome: succeeded, Exited: true, EndProven: true}
	script := func(s task.Script) func(*task.Command) { return func(c *task.Command) { c.Script = &s } }
	tests := []struct {
		name, text     string
		change         func(*task.Command)
		want           task.End
		stdout, stderr string
	}{
		{name: "success", text: "echo out; echo err >&2", want: ok, stdout: "out\n", stderr: "err\n"},
		{name: "exit status", text: "exit 3", want: task.End{Outcome: failed, Code: 3, Exited: true, EndProven: true, Reason: "non_zero_exit"}},
		{name: "signal", text: "kill -9 $$", want: task.End{Outcome: failed, Signal: "KILL", EndProven: true, Reason: "signal"}},
		{name: "stdin is empty", text: "cat; echo done", want: ok, stdout: "done\n"},
		{name: "bytes of any kind", text: `printf '\377\000\033[31m'`, want: ok, stdout: "\xff\x00\x1b[31m"},
		{name: "without a shell", text: "/bin/echo a=b /x", want: ok, stdout: "a=b /x\n"},
		{name: "no such program", text: "/nonexistent/x y", want: task.End{Outcome: failed, Code: 127, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stderr: "*"},
		{name: "a pattern needs a shell", text: "/bin/echo /dev/nul[l]", want: ok, stdout: "/dev/null\n"},
		{name: "environment", text: `echo "$RD_X|$PLAIN|$FAIRLEAD_TOKEN|$FAIRLEAD_STEP"; pwd`, change: func(c *task.Command) { c.Env = []string{"RD_X=a\nb"} }, want: ok, stdout: "a\nb|1||0197-local.0.1.1\n/\n"},
		{name: "secrets are masked", text: "printf hunt; sleep 0.1; echo er2", change: func(c *task.Command) { c.Masks = [][]byte{[]byte("hunter2")} }, want: ok, stdout: "*****\n"},
		{
			name: "a secret does not show in a command line", text: `echo "it's hunter2"; tr '\0' ' ' </proc/$$/cmdline | grep -c hunter; ls -l /proc/self/fd | grep -c memfd; cat`,
			change: func(c *task.Command) { c.Masks = [][]byte{[]byte("it's hunter2")} }, want: ok, stdout: "*****\n0\n0\n",
		},
		{
			name: "a secret in an argument does not show in a command line", change: func(c *task.Command) {
				c.Masks = [][]byte{[]byte("hunter2")}
				c.Script = &task.Script{Text: `tr '\0' ' ' </proc/$PPID/cmdline | grep -c hunter; exit 3`, Args: []string{"hunter2"}}
			}, want: task.End{Outcome: failed, Code: 3, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stdout: "0\n",
		},
		{name: "leftovers are killed", text: "sleep 1000 & setsid setsid sleep 1000 & echo done", want: ok, stdout: "done\n"},
		{name: "timed out", text: "sleep 1000", change: func(c *task.Command) { c.Timeout = 100 * time.Millisecond }, want: task.End{Outcome: timedOut, Reason: "timed_out", Signal: "TERM", EndProven: true}},
		{name: "script", change: script(task.Script{Text: "#!/bin/bash\r\necho \"$1|$2\"; [[ -r $0 ]]; exit 4\r\n", Args: []string{"a b", "it's"}}), want: task.End{Outcome: failed, Code: 4, Exited: true, EndProven: true, Reason: "non_zero_exit"}, stdout: "a b|it's\n"},
		{name: "script without first line", change: script(task.Script{Text: "echo $1", Args: []string{"x"}}), want: ok, stdout: "x\n"},
		{name: "script with interpreter", change: script(task.Script{Text: "echo \"$@\"", Args: []string{"b"}, Interpreter: "sh ${scriptfile} a", FileExtension: ".sh"}), want: ok, stdout: "a b\n"},
		{name: "script with quoted args", change: script(task.Script{Text: "echo \"$@\"", Args: []string{"x  y"}, Interpreter: "sh -c", ArgsQuoted: true}), want: ok, stdout: "x  y\n"},
		{name: "script's place is private and removed", change: script(task.Script{Text: "stat -c %a $0 $(dirname $0)"}), want: ok, stdout: "700\n700\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCommand(test.text)
			if test.change != nil {
				test.change(c)
			}
			end, out := run(t, newExecutor(t, t.TempDir()), c)
			end.Message = ""
			if diff := cmp.Diff(test.want, end); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if out.out() != test.stdout || test.stderr != "*" && out.stderr.String() != test.stderr {
				t.Errorf("stdout %q want %q, stderr %q want %q", out.out(), test.stdout, out.stderr.String(), test.stderr)
			}
		})
	}
}

// Scripts run where no file system is backed by memory, and none of it gets on a disk.
func TestScriptWithoutMemoryFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script task.Script
		stdout string
	}{
		"first line":     {task.Script{Text: "#!/bin/bash\necho \"$1\"; [[ -r $0 ]] && echo \"${0##*/}\"", Args: []string{"a b"}, FileExtension: "sh"}, "a b\nscript.sh\n"},
		"no first line":  {task.Script{Text: "echo $1", Args: []string{"x"}}, "x\n"},
		"interpreter":    {task.Script{Text: "import sys; print(sys.argv[1:])", Interpreter: "python3", Args: []string{"x"}}, "['x']\n"},
		"descriptor":     {task.Script{Text: "id -un; cat; echo $1", Interpreter: "su -s /bin/sh nobody ${scriptfile}", Args: []string{"x"}}, "nobody\nx\n"},
		"is no file":     {task.Script{Text: "d=$(dirname $0); find $d -type f | xargs grep -l is-no-file; find $d -name script -type l | wc -l", Interpreter: "sh"}, "1\n"},
		"root by sudo -": {task.Script{Text: "echo $1", Interpreter: "sudo -n sh", Args: []string{"x"}}, "x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 && (name == "descriptor" || name == "root by sudo -") {
				t.Log("only root may become another user without a password")
				return
			}
			e := newExecutor(t, t.TempDir())
			e.memory = "/nonexistent"
			c := newCommand("", func(c *task.Command) { c.Script = &test.script })
			end, out := run(t, e, c)
			if end.Outcome != succeeded || out.out() != test.stdout {
				t.Errorf("got %+v, stdout %q want %q, stderr %q", end, out.out(), test.stdout, out.stderr.String())
			}
			left, _ := filepath.Glob(filepath.Join(e.config.Dir, "*", "script*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A script for another account can be read by it, and by nobody who is not given it.
func TestScriptForAnotherAccount(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root may become another user without a password")
		return
	}
	c := newCommand("", func(c *task.Command) {
		c.Script = &task.Script{
			Text:        "id -un; cat; stat -L -c %a /dev/stdin; ls $1 2>/dev/null || echo closed",
			Interpreter: "sudo -u nobody bash", Args: []string{"/dev/shm/fairlead-*/script"},
		}
	})
	end, out := run(t, newExecutor(t, t.TempDir()), c)
	if end.Outcome != succeeded || out.out() != "nobody\n755\nclosed\n" {
		t.Errorf("got %+v %q %q", end, out.out(), out.stderr.String())
	}
}

// A shim that had to kill what a command left serves the next command as if it had not.
func TestShimAfterLeftovers(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, t.TempDir())
	for i, text := range []string{"sleep 1000 & echo $PPID", "echo $PPID", "sleep 1000 & echo $PPID", "echo $PPID"} {
		end, out := run(t, e, newCommand(text, func(c *task.Command) { c.Cell.Step = uint32(i) }))
		if end.Outcome != runnerv1.Outcome_OUTCOME_SUCCEEDED || !end.EndProven {
			t.Errorf("command %d under shim %s: %+v", i, strings.TrimSpace(out.out()), end)
		}
	}
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, t.TempDir())
	for want, c := range map[string]*task.Command{
		"NUL":       newCommand("a\x00b"),
		"/opt/nope": newCommand("", func(c *task.Command) { c.Script = &task.Script{Text: "#!/opt/nope\n"} }),
		"nope":      newCommand("", func(c *task.Command) { c.Script = &task.Script{Text: "x", Interpreter: "nope -x"} }),
		"fileExt":   newCommand("", func(c *task.Command) { c.Script = &task.Script{Text: "x", FileExtension: "../x"} }),
		"directory": newCommand("true", func(c *task.Command) { c.AttemptID = "../x" }),
	} {
		if _, err := e.Prepare(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}

func stopped(t *testing.T, e *Executor, c *task.Command, cause error) task.End {
	t.Helper()
	p, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return stoppedProcess(t, p, cause)
}

func stoppedProcess(t *testing.T, p task.Process, cause error) task.End {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	out := newRecorder()
	end := make(chan task.End, 1)
	go func() { end <- p.Run(ctx, out) }()
	out.waitFor(t, "started")
	cancel(cause)
	return receive(t, "the end of the command", end)
}

// nobody is a user without rights.
const nobody = 65534

// forNobody makes a directory of nobody's with a copy of a file in it.
func forNobody(t *testing.T, file string, mode os.FileMode) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "local") //nolint:usetesting // nobody could not look into a directory of the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.Chown(dir, nobody, nobody)
	}
	path := filepath.Join(dir, filepath.Base(file))
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// withStubborn has a runner without rights run commands one after another, in which %s is
// how to become a process that it may not end, as under sudo. It returns their ends; nil
// where the tests cannot make such a one.
func withStubborn(t *testing.T, texts ...string) <-chan task.End {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("only root can make a process that others may not end")
		return nil
	}
	become := forNobody(t, "/usr/bin/setpriv", os.ModeSetuid|0o755)
	dir := filepath.Join(filepath.Dir(become), "shim")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	args := []string{"be-runner-of", dir, t.Name()}
	for _, text := range texts {
		args = append(args, strings.ReplaceAll(text, "%s", become+" --reuid=0 --regid=0 --clear-groups"))
	}
	cmd := exec.CommandContext(t.Context(), forNobody(t, os.Args[0], 0o755), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait()
		for _, pid := range alive(stepName(t.Name(), task.Cell{Try: 1})) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	ends := make(chan task.End, len(texts))
	go func() {
		defer close(ends)
		for told := json.NewDecoder(pipe); ; {
			var end task.End
			if told.Decode(&end) != nil {
				return
			}
			ends <- end
		}
	}()
	return ends
}

// The end of what will not go is not taken for the next command's.
func TestSomethingIsLeft(t *testing.T) {
	t.Parallel()
	texts := []string{"%s sh -c 'sleep 1000 >/dev/null 2>&1 &'"}
	for range 10 {
		texts = append(texts, "exit 3")
	}
	ends := withStubborn(t, texts...)
	if ends == nil {
		return
	}
	if end := receive(t, "the end of the first command", ends); end.Outcome != succeeded || end.EndProven {
		t.Errorf("the first command: %+v", end)
	}
	for range texts[1:] {
		if end := receive(t, "the end of a command behind it", ends); end.Code != 3 || !end.EndProven {
			t.Errorf("a command behind it: %+v", end)
		}
	}
}

// A command that could not be ended has no exit status.
func TestCannotBeEnded(t *testing.T) {
	t.Parallel()
	ends := withStubborn(t, "exec %s sh -c 'echo started; exec sleep 1000'")
	if ends == nil {
		return
	}
	end := receive(t, "the end of the command", ends)
	if end.Outcome != unknown || end.Exited || end.EndProven || !strings.Contains(end.Message, "would not go") {
		t.Errorf("got %+v", end)
	}
}

func alive(step string) []int { return orphans(started{Step: step}) }

func TestCancelEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		cause      error
		want       task.End
	}{
		{"plain", "echo started; sleep 1000; echo more", task.ErrStopped, task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		{"timed out", "echo started; sleep 1000; true", task.ErrTimedOut, task.End{Outcome: timedOut, Reason: "timed_out", Signal: "TERM", EndProven: true}},
		{"deaf, in sessions of their own", "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & setsid setsid env -i sleep 1001 & echo started; sleep 1000; sleep 1000", task.ErrStopped, task.End{Outcome: cancelled, Reason: "cancelled", Signal: "KILL", EndProven: true}},
		{"cleans up", "trap 'exit 9' TERM; echo started; while :; do sleep 0.1; done", task.ErrStopped, task.End{Outcome: cancelled, Reason: "cancelled", Code: 9, Exited: true, EndProven: true}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCommand(test.text, func(c *task.Command) {
				c.AttemptID = fmt.Sprintf("cancel-%d-%d", os.Getpid(), i)
				c.Grace = 500 * time.Millisecond
			})
			end := stopped(t, newExecutor(t, t.TempDir()), c, test.cause)
			end.Message = ""
			if diff := cmp.Diff(test.want, end); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if left := alive(stepName(c.AttemptID, c.Cell)); len(left) > 0 {
				t.Errorf("still there: %v", left)
			}
		})
	}
}

// A process outside of the command may have its output open, as the service manager has for
// systemd-run --pipe. That keeps no stop from its end, and loses nothing of what was printed.
func TestStopWithOutputOpenElsewhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want task.End
	}{
		"runs":      {"echo started $$; sleep 1000; true", task.End{Outcome: cancelled, Reason: "cancelled", Signal: "TERM", EndProven: true}},
		"has ended": {"echo started $$; sleep 0.3; echo last", task.End{Outcome: succeeded, Exited: true, EndProven: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := New(Config{Dir: t.TempDir(), Shim: []string{os.Args[0], hastyShim}, Env: os.Environ()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Close)
			p, err := e.Prepare(t.Context(), newCommand(test.text, func(c *task.Command) { c.Grace = time.Second }))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			out := newRecorder()
			end := make(chan task.End, 1)
			go func() { end <- p.Run(ctx, out) }()
			out.waitFor(t, "\n")
			pid, err := strconv.Atoi(strings.Fields(out.out())[1])
			if err != nil {
				t.Fatal(err)
			}
			elsewhere, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/1", pid), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer elsewhere.Close()
			if test.want.Exited {
				out.waitFor(t, "last")
				waitGone(t, pid)
			}
			cancel(task.ErrStopped)
			got := receive(t, "the end of the command", end)
			got.Message = ""
			if test.want.Exited && got.Outcome == cancelled { // the stop was heard first
				got.Outcome, got.Reason = succeeded, ""
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLargeOutputInSegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := newExecutor(t, dir)
	const size = 150 << 20
	p, err := e.Prepare(t.Context(), newCommand(fmt.Sprintf("head -c %d /dev/zero", size)))
	if err != nil {
		t.Fatal(err)
	}
	out := newRecorder()
	end := p.Run(t.Context(), out)
	if end.Outcome != succeeded || out.stdout.Len() != size || out.bad != "" {
		t.Errorf("got %+v, %d bytes %s", end, out.stdout.Len(), out.bad)
	}
	segments, _ := filepath.Glob(filepath.Join(dir, "*", stepdir.OutPrefix+"*"))
	if len(segments) > 3 {
		t.Errorf("segments were not removed: %v", segments)
	}
}

// syncedRecorder says what is synced.
type syncedRecorder struct{ *recorder }

func (r syncedRecorder) Synced() task.Offsets {
	r.mu.Lock()
	defer r.mu.Unlock()
	return task.Offsets{r.synced}
}

func TestCommandBlocksAtTheLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := newExecutor(t, dir)
	const size = stepdir.OutLimit + stepdir.SegmentBytes
	p, err := e.Prepare(t.Context(), newCommand(fmt.Sprintf("head -c %d /dev/zero", size)))
	if err != nil {
		t.Fatal(err)
	}
	out := syncedRecorder{newRecorder()}
	out.stdout.Grow(size) // moving what it has to more room, again and again, took most of the time
	end := make(chan task.End, 1)
	go func() { end <- p.Run(t.Context(), out) }()
	for n := uint64(0); n < stepdir.OutLimit; {
		// As long as something comes, a busy machine may take its time.
		select {
		case <-out.wrote:
		case <-time.After(time.Minute):
			t.Fatalf("nothing came for a minute behind %d bytes", n)
		}
		out.mu.Lock()
		n = out.offset
		out.mu.Unlock()
	}
	select {
	case e := <-end:
		t.Fatalf("it did not block: %+v", e)
	case <-time.After(200 * time.Millisecond):
	}
	out.mu.Lock()
	out.synced = stepdir.OutLimit
	out.mu.Unlock()
	select {
	case e := <-end:
		if e.Outcome != succeeded || out.stdout.Len() != size {
			t.Errorf("got %+v, %d bytes", e, out.stdout.Len())
		}
	case <-time.After(time.Minute):
		t.Fatal("it did not go on within a minute, with what waited synced")
	}
}

func TestShimsAreUsedAgain(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, t.TempDir())
	pids := map[string]bool{}
	for i := range 5 {
		_, out := run(t, e, newCommand("echo $PPID", func(c *task.Command) { c.Cell.Node = uint32(i) }))
		pids[out.out()] = true
	}
	if len(pids) != 1 {
		t.Errorf("five commands, one after another, had the shims %v", pids)
	}
	if err := e.Forget(t.Context(), "0197-local"); err != nil {
		t.Error(err)
	}
	if left := spares(t, e); len(left) != 5 {
		t.Errorf("left: %v", left)
	}
}

// spares are the directories that wait for another step; a test fails if there is
// anything else, or anything in them but an empty run.lock.
func spares(t *testing.T, e *Executor) []string {
	t.Helper()
	entries, err := os.ReadDir(e.config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		files, err := os.ReadDir(filepath.Join(e.config.Dir, entry.Name()))
		if !strings.HasPrefix(entry.Name(), sparePrefix) || err != nil || len(files) != 1 || files[0].Name() != stepdir.FileLock {
			t.Errorf("left: %s with %v, %v", entry.Name(), files, err)
			continue
		}
		if info, err := files[0].Info(); err != nil || info.Size() != 0 {
			t.Errorf("the lock of %s is not empty: %v, %v", entry.Name(), info, err)
		}
		names = append(names, entry.Name())
	}
	return names
}

func TestDirectoriesAreUsedAgain(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, t.TempDir())
	for i := range 3 {
		attempt := func(c *task.Command) { c.AttemptID = fmt.Sprintf("again-%d", i) }
		if end, out := run(t, e, newCommand("echo x", attempt)); end.Outcome != succeeded || out.out() != "x\n" {
			t.Errorf("got %+v %q", end, out.out())
		}
		if err := e.Forget(t.Context(), fmt.Sprintf("again-%d", i)); err != nil {
			t.Error(err)
		}
	}
	if left := spares(t, e); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	// The next process of the runner takes none of them.
	next := newExecutor(t, e.config.Dir)
	if end, _ := run(t, next, newCommand("true")); end.Outcome != succeeded {
		t.Errorf("got %+v", end)
	}
	entries, _ := os.ReadDir(e.config.Dir)
	if len(entries) != 1 {
		t.Fatalf("got %v", entries)
	}
	if left := newExecutor(t, e.config.Dir).Left(); len(left) != 1 || !strings.HasPrefix(entries[0].Name(), left[0]+".") {
		t.Errorf("left %v of %v", left, entries)
	}
}

func TestIdleShimsEnd(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Dir: t.TempDir(), Shim: []string{os.Args[0], ShimCommand}, WarmFor: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, out := run(t, e, newCommand("echo $PPID"))
	pid, _ := strconv.Atoi(strings.TrimSpace(out.out()))
	waitGone(t, pid)
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	limit := time.Now().Add(10 * time.Second)
	for {
		p, found := readProc(pid)
		if !found || p.zombie {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("process %d is still there", pid)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// runnerProcess is a runner that can be killed.
type runnerProcess struct {
	cmd *exec.Cmd
	out *recorder
	dir string
}

func startRunner(t *testing.T, text string) *runnerProcess {
	t.Helper()
	r := &runnerProcess{dir: t.TempDir(), out: newRecorder()}
	r.cmd = exec.Command(os.Args[0], "be-runner", r.dir, text)
	pipe, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := pipe.Read(buf)
			r.out.mu.Lock()
			r.out.stdout.Write(buf[:n])
			r.out.mu.Unlock()
			select {
			case r.out.wrote <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return r
}

func (r *runnerProcess) kill(t *testing.T) {
	t.Helper()
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *runnerProcess) stepDir() string { return filepath.Join(r.dir, "0197-local.0.1.1") }

// started is what the shim said of the command, as far as it has.
func (r *runnerProcess) started(t *testing.T) (s started) {
	t.Helper()
	record, err := stepdir.ReadRecord(r.stepDir())
	if err == nil && record.Started != nil {
		err = json.Unmarshal(record.Started, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRunnerIsKilled(t *testing.T) {
	t.Parallel()
	t.Run("while the command runs", func(t *testing.T) {
		t.Parallel()
		go_ := filepath.Join(t.TempDir(), "go")
		r := startRunner(t, "echo one; echo pid $$; while [ ! -e "+go_+" ]; do sleep 0.02; done; echo two; exit 3")
		r.out.waitFor(t, "pid")
		r.kill(t)
		p, found, err := newExecutor(t, r.dir).Reattach(t.Context(), newCommand(""), task.Offsets{2})
		if err != nil || !found {
			t.Fatalf("reattach: %v %v", found, err)
		}
		if err := os.WriteFile(go_, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		out := newRecorder()
		out.offset = 2
		end := p.Run(t.Context(), out)
		if end.Code != 3 || !end.EndProven || out.bad != "" || !strings.HasPrefix(out.out(), "e\npid") || !strings.HasSuffix(out.out(), "\ntwo\n") {
			t.Errorf("got %+v %q %s", end, out.out(), out.bad)
		}
	})
	t.Run("and the command ends alone", func(t *testing.T) {
		t.Parallel()
		r := startRunner(t, "echo $PPID; sleep 0.3; echo two; exit 3")
		r.out.waitFor(t, "\n")
		r.out.waitFor(t, "prepared\n")
		limit := time.Now().Add(10 * time.Second)
		var s started
		for s.Pid == 0 && time.Now().Before(limit) {
			s = r.started(t)
		}
		r.kill(t)
		waitGone(t, s.Shim)
		p, found, err := newExecutor(t, r.dir).Reattach(t.Context(), newCommand(""), task.Offsets{})
		if err != nil || !found {
			t.Fatalf("reattach: %v %v", found, err)
		}
		out := newRecorder()
		if end := p.Run(t.Context(), out); end.Code != 3 || out.out() != fmt.Sprintf("%d\ntwo\n", s.Shim) {
			t.Errorf("got %+v %q", end, out.out())
		}
	})
	t.Run("and the command is cancelled by the next", func(t *testing.T) {
		t.Parallel()
		r := startRunner(t, "echo started; sleep 1000; true")
		r.out.waitFor(t, "started")
		r.kill(t)
		p, found, err := newExecutor(t, r.dir).Reattach(t.Context(), newCommand(""), task.Offsets{})
		if err != nil || !found {
			t.Fatalf("reattach: %v %v", found, err)
		}
		if end := stoppedProcess(t, p, task.ErrStopped); end.Outcome != cancelled || !end.EndProven {
			t.Errorf("got %+v", end)
		}
	})
}

func TestShimIsKilled(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, t.TempDir())
	c := newCommand("sleep 1000 & setsid sleep 1000 & echo started $PPID; sleep 1000; true", func(c *task.Command) {
		c.AttemptID = fmt.Sprintf("shimkill-%d", os.Getpid())
	})
	p, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	out := newRecorder()
	end := make(chan task.End, 1)
	go func() { end <- p.Run(t.Context(), out) }()
	out.waitFor(t, "\n")
	var shim int
	if _, err := fmt.Sscanf(out.out(), "started %d", &shim); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(shim, syscall.SIGKILL)
	got := receive(t, "the end of the command", end)
	if got.Outcome != unknown || got.Reason != "shim_died" {
		t.Errorf("got %+v", got)
	}
	if left := alive(stepName(c.AttemptID, c.Cell)); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
	// The pool is not poisoned.
	if end, _ := run(t, e, newCommand("true")); end.Outcome != succeeded {
		t.Errorf("the next command: %+v", end)
	}
}

// TestLinkIsLost is a shim that lives while its link does not, as for a moment at the end
// of every command that was taken over: nothing of it died.
func TestLinkIsLost(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, t.TempDir())
	p, err := e.Prepare(t.Context(), newCommand("echo started; sleep 0.3; echo over; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	out := newRecorder()
	end := make(chan task.End, 1)
	go func() { end <- p.Run(t.Context(), out) }()
	out.waitFor(t, "started")
	_ = p.(*process).shim.Close()
	if got := receive(t, "the end of the command", end); got.Code != 3 || !got.Exited || !got.EndProven || out.out() != "started\nover\n" {
		t.Errorf("got %+v %q", got, out.out())
	}
}

// TestLeftToAnotherProcess is a runner that leaves its command to the next one, and lives
// on: it has others that cannot be left.
func TestLeftToAnotherProcess(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, t.TempDir())
	p, err := e.Prepare(t.Context(), newCommand("echo started; sleep 1000; true"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	out := newRecorder()
	end := make(chan task.End, 1)
	go func() { end <- p.Run(ctx, out) }()
	out.waitFor(t, "started")
	cancel(task.ErrDetach)
	if got := receive(t, "word that the command was left", end); got.Reason != "detached" {
		t.Errorf("left: %+v", got)
	}
	limit, over := context.WithTimeout(t.Context(), 20*time.Second)
	defer over()
	next, found, err := newExecutor(t, e.config.Dir).Reattach(limit, newCommand(""), task.Offsets{})
	if err != nil || !found {
		t.Fatalf("reattach: %v %v", found, err)
	}
	if got := stoppedProcess(t, next, task.ErrStopped); got.Outcome != cancelled || !got.EndProven {
		t.Errorf("cancelled by the next: %+v", got)
	}
}

func TestRunnerAndShimAreKilled(t *testing.T) {
	t.Parallel()
	r := startRunner(t, "echo started $PPID; sleep 1000; true")
	r.out.waitFor(t, "started")
	r.kill(t)
	s := r.started(t)
	if s.Pid == 0 {
		t.Fatalf("%+v", s)
	}
	_ = syscall.Kill(s.Shim, syscall.SIGKILL)
	waitGone(t, s.Shim)
	p, found, err := newExecutor(t, r.dir).Reattach(t.Context(), newCommand(""), task.Offsets{})
	if err != nil || !found {
		t.Fatalf("reattach: %v %v", found, err)
	}
	out := newRecorder()
	end := p.Run(t.Context(), out)
	if end.Outcome != unknown || !strings.HasPrefix(out.out(), "started") {
		t.Errorf("got %+v %q", end, out.out())
	}
	waitGone(t, s.Pid)
}

func TestReattachTable(t *testing.T) {
	t.Parallel()
	at := func(t *testing.T, files map[string]string) (*Executor, string) {
		e := newExecutor(t, t.TempDir())
		dir := filepath.Join(e.config.Dir, "0197-local.0.1.1")
		if files != nil {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return e, dir
	}
	line := func(e stepdir.Entry) string {
		text, _ := json.Marshal(e)
		return string(text) + "\n"
	}
	for name, files := range map[string]map[string]string{
		"no directory": nil, "empty directory": {}, "lock only": {stepdir.FileLock: ""},
		"script only": {stepdir.FileLock: line(stepdir.Entry{Script: "/x/fairlead-0/script"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, dir := at(t, files)
			p, found, err := e.Reattach(t.Context(), newCommand(""), task.Offsets{})
			if p != nil || found || err != nil {
				t.Fatalf("got %v %v %v", p, found, err)
			}
			// A shim that comes late leaves it alone.
			shim, err := e.pool.get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := shim.Send(toShim{Run: &request{Dir: dir, Step: "late", Argv: []string{"/bin/touch", dir + "/ran"}, WorkDir: "/"}}); err != nil {
				t.Fatal(err)
			}
			if m := receive(t, "the shim's word", shim.messages); m.Exit == nil || !told(t, m).NotStarted || stepdir.Exists(dir, "ran") {
				t.Errorf("the late shim says %+v", m.Exit)
			}
			// But the runner may prepare it anew.
			if end, _ := run(t, e, newCommand("true")); end.Outcome != succeeded {
				t.Errorf("anew: %+v", end)
			}
		})
	}
	t.Run("another boot proves nothing", func(t *testing.T) {
		t.Parallel()
		e, _ := at(t, nil)
		p, found, err := e.Reattach(t.Context(), newCommand("", func(c *task.Command) { c.OtherBoot = true }), task.Offsets{})
		if err != nil || !found {
			t.Fatalf("got %v %v", found, err)
		}
		if end := p.Run(t.Context(), newRecorder()); end.Outcome != unknown || end.Reason != "host_rebooted" {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("started in another boot", func(t *testing.T) {
		t.Parallel()
		e, _ := at(t, map[string]string{stepdir.FileLock: line(stepdir.Entry{Started: started{BootID: "earlier", Pid: os.Getpid()}})})
		p, found, err := e.Reattach(t.Context(), newCommand(""), task.Offsets{})
		if err != nil || !found {
			t.Fatalf("got %v %v", found, err)
		}
		if end := p.Run(t.Context(), newRecorder()); end.Outcome != unknown || end.Reason != "host_rebooted" {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("the record of another step", func(t *testing.T) {
		t.Parallel()
		e, _ := at(t, map[string]string{stepdir.FileLock: line(stepdir.Entry{Started: started{BootID: "earlier", Step: "0197-other.0.1.1"}}) +
			line(stepdir.Entry{Exit: ended{Exited: true, Gone: true}})})
		p, found, err := e.Reattach(t.Context(), newCommand(""), task.Offsets{})
		if err != nil || !found {
			t.Fatalf("got %v %v", found, err)
		}
		if end := p.Run(t.Context(), newRecorder()); end.Outcome != unknown || end.Reason != "host_rebooted" {
			t.Errorf("got %+v", end)
		}
	})
	begun := line(stepdir.Entry{Started: started{BootID: stepdir.BootID(), Step: "none-such"}})
	for name, files := range map[string]map[string]string{
		"torn start": {stepdir.FileLock: begun[:9]}, "torn exit": {stepdir.FileLock: begun + `{"exit":{"code":0,"exi`},
		"of an earlier build": {stepdir.FileLock: "", "started": "{}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, dir := at(t, files)
			// What is left of a step is found by its name: no other test's may be.
			own := func(c *task.Command) { c.AttemptID = fmt.Sprintf("torn-%d", os.Getpid()) }
			if err := os.Rename(dir, filepath.Join(e.config.Dir, stepName(newCommand("", own).AttemptID, newCommand("", own).Cell))); err != nil {
				t.Fatal(err)
			}
			p, found, err := e.Reattach(t.Context(), newCommand("", own), task.Offsets{})
			if err != nil || !found {
				t.Fatalf("got %v %v", found, err)
			}
			if end := p.Run(t.Context(), newRecorder()); end.Outcome != unknown {
				t.Errorf("got %+v", end)
			}
		})
	}
	t.Run("a second shim leaves a running step alone", func(t *testing.T) {
		t.Parallel()
		e, dir := at(t, map[string]string{})
		held, free, err := stepdir.Lock(dir)
		if err != nil || !free {
			t.Fatal(err)
		}
		defer held.Close()
		shim, err := e.pool.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := shim.Send(toShim{Run: &request{Dir: dir, Step: "second", Argv: []string{"/bin/touch", dir + "/ran"}, WorkDir: "/"}}); err != nil {
			t.Fatal(err)
		}
		if m := receive(t, "the shim's word", shim.messages); m.Exit == nil || told(t, m).NotStarted || told(t, m).Exited || stepdir.Exists(dir, "ran") {
			t.Errorf("the second shim says %+v", m.Exit)
		}
	})
}

// BenchmarkWarmShim runs /bin/true under a warm shim, by turns with a bare start of it.
// It reports medians of Run alone and of the bare start, in microseconds.
func BenchmarkWarmShim(b *testing.B) {
	e := newExecutor(b, b.TempDir())
	var ours, bare []time.Duration
	for i := 0; b.Loop(); i++ {
		c := newCommand("/bin/true", func(c *task.Command) { c.AttemptID = "bench" + strconv.Itoa(i) })
		p, err := e.Prepare(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if end := p.Run(b.Context(), newRecorder()); end.Outcome != succeeded {
			b.Fatalf("%+v", end)
		}
		ours = append(ours, time.Since(began))
		if err := e.Forget(b.Context(), c.AttemptID); err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
		bare = append(bare, time.Since(began))
	}
	for name, all := range map[string][]time.Duration{"shim": ours, "bare": bare} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(all[len(all)/10].Microseconds()), name+"-p10-us")
	}
}

// The shim filters before it writes: what a filter hides is in no file of the step, and
// what it captured comes with the end.
func TestFilters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := newExecutor(t, dir)
	end, out := run(t, e, newCommand("printf 'RUNDECK:DATA:a=1\\nkey-'; sleep 0.01; printf '4711 is it\\nnoise\\nlast'; echo 'key-99' >&2", func(c *task.Command) {
		c.Filters = []logfilter.Definition{
			{Type: "key-value-data"},
			{Type: "quiet-output", Config: map[string]string{"regex": "^noise"}},
			{Type: "mask-log-output-regex", Config: map[string]string{"regex": "key-[0-9]+"}},
		}
	}))
	want := task.End{Outcome: succeeded, Exited: true, EndProven: true, Data: map[string]string{"a": "1"}}
	if diff := cmp.Diff(want, end); diff != "" {
		t.Error(diff)
	}
	if got := out.out(); got != "RUNDECK:DATA:a=1\n[SECURE] is it\nlast" || out.stderr.String() != "[SECURE]\n" {
		t.Errorf("stdout %q, stderr %q", got, out.stderr.String())
	}
	for _, name := range []string{"key-", "noise"} {
		if found, err := exec.CommandContext(t.Context(), "grep", "-rl", "--", name, dir).Output(); len(found) > 0 {
			t.Errorf("%q is in %s (%v)", name, found, err)
		}
	}
}
