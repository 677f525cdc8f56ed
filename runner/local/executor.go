package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/runner/command"
	"github.com/fairlead/fairlead/runner/task"
)

// Config is what an Executor needs from its runner.
type Config struct {
	// Dir is the state directory's shim folder; made when absent.
	Dir string
	// Shim is the command line of a shim process, usually the runner's own binary with
	// ShimCommand.
	Shim []string
	// Env is the environment of commands, usually os.Environ. Names that begin with
	// FAIRLEAD_ are left out.
	Env []string
	// WorkDir is where commands start; empty: "/".
	WorkDir string
	// WarmFor is how long an unused shim is kept; 0: one minute.
	WarmFor time.Duration
	// Log takes events about shims; nil: none.
	Log *slog.Logger
}

// Executor runs commands under shims. It is safe for concurrent use.
type Executor struct {
	config Config
	env    []string
	pool   pool

	mu sync.Mutex
	// cells are the directories' names by attempt; nil until they are first asked for.
	cells map[string][]string
}

var (
	_ task.Executor   = (*Executor)(nil)
	_ task.Reattacher = (*Executor)(nil)
)

const defaultWarmFor = time.Minute

// New makes an executor. Close ends its idle shims.
func New(config Config) (*Executor, error) {
	if config.WarmFor == 0 {
		config.WarmFor = defaultWarmFor
	}
	if config.WorkDir == "" {
		config.WorkDir = "/"
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for local steps: %w", err)
	}
	e := &Executor{config: config}
	e.pool = pool{argv: config.Shim, warmFor: config.WarmFor}
	for _, pair := range config.Env {
		if !strings.HasPrefix(pair, "FAIRLEAD_") {
			e.env = append(e.env, pair)
		}
	}
	return e, nil
}

// Close ends idle shims. Those with a command go on without the runner.
func (e *Executor) Close() { e.pool.close() }

// Prepare makes the command's directory and has a shim at hand.
func (e *Executor) Prepare(ctx context.Context, c *task.Command) (task.Process, error) {
	if err := validate(c); err != nil {
		return nil, err
	}
	dir, err := e.makeDir(c)
	if err != nil {
		return nil, err
	}
	req, err := e.request(c, dir)
	if err != nil {
		return nil, err
	}
	shim, err := e.pool.get(ctx)
	if err != nil {
		return nil, notStarted("shim_failed", err, "node %s: the runner could not start a process for local steps: %v", c.Node.GetName(), err)
	}
	return &process{executor: e, command: c, dir: dir, request: req, shim: shim}, nil
}

// makeDir makes a cell's directory. One that an earlier process of the runner made and
// never used, or gave up, is used or made anew.
func (e *Executor) makeDir(c *task.Command) (string, error) {
	name := stepName(c.AttemptID, c.Cell)
	dir := filepath.Join(e.config.Dir, name)
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = reuseDir(dir)
	}
	if err != nil {
		return "", notStarted("shim_failed", err, "node %s: the step's directory could not be made on the runner: %v", c.Node.GetName(), err)
	}
	e.remember(c.AttemptID, name)
	return dir, nil
}

func reuseDir(dir string) error {
	held, free, err := lock(dir)
	if err != nil {
		return err
	}
	if !free {
		return errBusy
	}
	defer held.Close()
	if exists(dir, fileStarted) {
		return errors.New("the step was started before")
	}
	if exists(dir, fileTombstone) {
		return os.Remove(filepath.Join(dir, fileTombstone))
	}
	return nil
}

func (e *Executor) remember(attemptID, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loadLocked()
	if !slices.Contains(e.cells[attemptID], name) {
		e.cells[attemptID] = append(e.cells[attemptID], name)
	}
}

// loadLocked reads once what earlier processes left.
func (e *Executor) loadLocked() {
	if e.cells != nil {
		return
	}
	e.cells = map[string][]string{}
	entries, _ := os.ReadDir(e.config.Dir)
	for _, entry := range entries {
		parts := strings.Split(entry.Name(), ".")
		if len(parts) == 4 {
			e.cells[parts[0]] = append(e.cells[parts[0]], entry.Name())
		}
	}
}

// Forget removes what is left of an attempt's commands; one that still runs is kept and
// told as an error.
func (e *Executor) Forget(attemptID string) error {
	e.mu.Lock()
	e.loadLocked()
	names := e.cells[attemptID]
	delete(e.cells, attemptID)
	e.mu.Unlock()
	var errs []error
	for _, name := range names {
		dir := filepath.Join(e.config.Dir, name)
		held, free, err := lock(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !free:
			err = errBusy
		case err == nil:
			err = os.RemoveAll(dir)
			_ = held.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("removing %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Executor) request(c *task.Command, dir string) (*request, error) {
	step := stepName(c.AttemptID, c.Cell)
	r := &request{
		Dir: dir, Step: step, WorkDir: e.config.WorkDir, Masks: c.Masks, Timeout: c.Timeout, Grace: c.Grace,
		Env: append(slices.Concat(e.env, c.Env), "FAIRLEAD_STEP="+step),
	}
	text := c.Text
	if c.Script != nil {
		var err error
		if text, err = e.script(c, r); err != nil {
			return nil, err
		}
	}
	r.Argv = []string{"/bin/sh", "-c", text}
	if simple.MatchString(text) {
		r.Direct = strings.Fields(text)
	}
	return r, nil
}

// simple is a command line of which a shell would make nothing but a program by its
// path and its arguments. Starting it without one saves half of the time.
var simple = regexp.MustCompile(`^/[A-Za-z0-9_./+-]+( +[A-Za-z0-9_./+:,@%=-]+)*$`)

var extension = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

const scriptPlaceholder = "${scriptfile}"

// script fills in the request's script and returns the command line that runs it.
func (e *Executor) script(c *task.Command, r *request) (string, error) {
	s, node := c.Script, c.Node.GetName()
	file := "script"
	if ext := strings.TrimPrefix(s.FileExtension, "."); ext != "" {
		if !extension.MatchString(ext) {
			return "", notStarted("invalid", nil, "node %s: the script's fileExtension %q may have letters, digits, _ and - only", node, ext)
		}
		file += "." + ext
	}
	if missing := missingInterpreter(s); missing != "" {
		return "", notStarted("script_interpreter", nil, "node %s: the script's interpreter %s is not on the runner's host: install it, or set another interpreter in the step", node, missing)
	}
	var name [12]byte
	_, _ = rand.Read(name[:]) // never fails
	r.ScriptPath = filepath.Join(scriptRoot(), "fairlead-"+hex.EncodeToString(name[:]), file)
	r.Script = []byte(strings.ReplaceAll(s.Text, "\r\n", "\n"))
	words := []string{command.Quote(r.ScriptPath)}
	for _, arg := range s.Args {
		words = append(words, command.Quote(arg))
	}
	line := strings.Join(words, " ")
	switch {
	case strings.Contains(s.Interpreter, scriptPlaceholder):
		words[0] = strings.ReplaceAll(s.Interpreter, scriptPlaceholder, words[0])
		return strings.Join(words, " "), nil
	case s.Interpreter != "" && s.ArgsQuoted:
		return s.Interpreter + " " + command.Quote(line), nil
	}
	return strings.TrimSpace(s.Interpreter + " " + line), nil
}

// scriptRoot is a memory-backed file system that lets files be run, else the usual
// place: a script may hold secrets.
func scriptRoot() string {
	var st unix.Statfs_t
	const memory = "/dev/shm"
	if unix.Statfs(memory, &st) == nil && st.Type == unix.TMPFS_MAGIC && st.Flags&unix.ST_NOEXEC == 0 && unix.Access(memory, unix.W_OK) == nil {
		return memory
	}
	return os.TempDir()
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// missingInterpreter names the program without which the script cannot run, as far as
// that can be told.
func missingInterpreter(s *task.Script) string {
	words := strings.Fields(s.Interpreter)
	if len(words) == 0 {
		first, _, _ := strings.Cut(s.Text, "\n")
		if !strings.HasPrefix(first, "#!") {
			return ""
		}
		words = strings.Fields(first[2:])
		if len(words) > 1 && strings.HasSuffix(words[0], "/env") {
			words = words[1:]
			for len(words) > 1 && (words[0] == "-S" || strings.Contains(words[0], "=")) {
				words = words[1:]
			}
		}
	}
	if len(words) == 0 || !plainWord.MatchString(words[0]) {
		return ""
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return words[0]
	}
	return ""
}

func validate(c *task.Command) error {
	texts := append([]string{c.Text}, c.Env...)
	if c.Script != nil {
		texts = append(append(texts, c.Script.Interpreter), c.Script.Args...)
	}
	for _, text := range texts {
		if strings.ContainsRune(text, 0) {
			return notStarted("invalid", nil, "node %s: the command or one of its values holds a NUL byte, which no command line can carry: remove it", c.Node.GetName())
		}
	}
	if strings.ContainsAny(c.AttemptID, "./") || c.AttemptID == "" {
		return notStarted("invalid", nil, "attempt %q cannot name a directory", c.AttemptID)
	}
	return nil
}

func notStarted(reason string, cause error, format string, args ...any) *task.NotStartedError {
	return &task.NotStartedError{Reason: reason, Message: fmt.Sprintf(format, args...), Cause: cause}
}
