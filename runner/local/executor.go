package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/runner/stepdir"
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
	memory string // where scripts are put, if it is backed by memory

	mu sync.Mutex
	// cells are the directories' names by attempt; nil until they are first asked for.
	cells map[string][]string
	// spares are names of directories with nothing but an empty run.lock. Some file systems
	// take longer to find room for new ones, where many were removed lately, than the
	// command takes.
	spares []string
}

var (
	_ task.Executor   = (*Executor)(nil)
	_ task.Reattacher = (*Executor)(nil)
	_ task.Leaver     = (*Executor)(nil)
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
	e := &Executor{config: config, memory: "/dev/shm"}
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
	err := e.newDir(dir)
	if errors.Is(err, fs.ErrExist) {
		err = reuseDir(dir)
	}
	if err != nil {
		return "", notStarted("shim_failed", err, "node %s: the step's directory could not be made on the runner: %v", c.Node.GetName(), err)
	}
	e.remember(c.AttemptID, name)
	return dir, nil
}

// newDir gives a spare directory its name, or makes one.
func (e *Executor) newDir(dir string) error {
	e.mu.Lock()
	e.loadLocked()
	spare := ""
	if n := len(e.spares); n > 0 {
		spare, e.spares = e.spares[n-1], e.spares[:n-1]
	}
	e.mu.Unlock()
	if spare != "" {
		// Over an empty directory of that name it is the same as using that; one with a
		// step's files in it stays.
		err := os.Rename(filepath.Join(e.config.Dir, spare), dir)
		if err == nil {
			return nil
		}
		if errors.Is(err, fs.ErrExist) {
			e.keepSpare(spare)
			return err
		}
	}
	return os.Mkdir(dir, 0o700)
}

// maxSpares bounds the directories that are kept; so many steps start at once at most.
const maxSpares = 64

// remove removes a step's directory, or keeps it for another step. held is its run.lock.
func (e *Executor) remove(name string, held *os.File) error {
	dir := filepath.Join(e.config.Dir, name)
	e.mu.Lock()
	full := len(e.spares) >= maxSpares
	e.mu.Unlock()
	if full {
		return os.RemoveAll(dir)
	}
	if err := empty(dir, held); err != nil {
		return err
	}
	spare := sparePrefix + name
	if err := os.Rename(dir, filepath.Join(e.config.Dir, spare)); err != nil {
		return err
	}
	e.keepSpare(spare)
	return nil
}

func (e *Executor) keepSpare(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.spares = append(e.spares, name)
}

// empty leaves nothing in a step's directory but its run.lock, and nothing in that.
func empty(dir string, held *os.File) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == stepdir.FileLock {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return held.Truncate(0) // last: until then it tells that the command is over
}

func reuseDir(dir string) error {
	held, free, err := stepdir.Lock(dir)
	if err != nil {
		return err
	}
	if !free {
		return errBusy
	}
	defer held.Close()
	if r, err := stepdir.ReadRecord(dir); err != nil || r.Begun() {
		return errors.Join(err, errStartedBefore)
	}
	removeScript(dir)
	if stepdir.Exists(dir, fileTombstone) {
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

// loadLocked reads once what earlier processes left. Their spares go: the power may have
// been cut since, and what a record said then may be in them again.
func (e *Executor) loadLocked() {
	if e.cells != nil {
		return
	}
	e.cells = map[string][]string{}
	entries, _ := os.ReadDir(e.config.Dir)
	for _, entry := range entries {
		parts := strings.Split(entry.Name(), ".")
		switch {
		case strings.HasPrefix(entry.Name(), sparePrefix): // which makes them five
			if err := os.RemoveAll(filepath.Join(e.config.Dir, entry.Name())); err != nil {
				e.config.Log.Warn("a directory that no step uses cannot be removed", "error", err)
			}
		case len(parts) == 4:
			e.cells[parts[0]] = append(e.cells[parts[0]], entry.Name())
		}
	}
}

// Left implements task.Leaver.
func (e *Executor) Left() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loadLocked()
	return slices.Collect(maps.Keys(e.cells))
}

// Forget removes what is left of an attempt's commands; one that still runs is kept and
// told as an error.
func (e *Executor) Forget(_ context.Context, attemptID string) error {
	e.mu.Lock()
	e.loadLocked()
	names := e.cells[attemptID]
	delete(e.cells, attemptID)
	e.mu.Unlock()
	var errs []error
	for _, name := range names {
		dir := filepath.Join(e.config.Dir, name)
		held, free, err := stepdir.Lock(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !free:
			err = errBusy
		case err == nil:
			removeScript(dir)
			err = e.remove(name, held)
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
		Filters: c.Filters, LogLevel: c.LogLevel,
		Env: append(slices.Concat(e.env, c.Env), "FAIRLEAD_STEP="+step),
	}
	text := c.Text
	if c.Script != nil {
		var err error
		if text, err = e.script(c, r); err != nil {
			return nil, err
		}
	}
	switch {
	case c.LineHoldsSecret():
		r.Argv, r.Text = []string{"/bin/sh", "-c", readText}, "unset fairlead_text\n"+text
	case simple.MatchString(text):
		r.Direct = strings.Fields(text)
		fallthrough
	default:
		r.Argv = []string{"/bin/sh", "-c", text}
	}
	return r, nil
}

// readText runs the command that the shim hands over as an open file: everybody on the
// host can read command lines. What the command starts gets no such file.
const readText = `fairlead_text=$(cat <&3 && echo .) || exit 126; exec 3<&-; eval "${fairlead_text%.}"`

// simple is a command line of which a shell would make nothing but a program by its
// path and its arguments. Starting it without one saves half of the time.
var simple = regexp.MustCompile(`^/[A-Za-z0-9_./+-]+( +[A-Za-z0-9_./+:,@%=-]+)*$`)

// script fills in the request's script and returns the command line that runs it.
func (e *Executor) script(c *task.Command, r *request) (string, error) {
	s, node := c.Script, c.Node.GetName()
	name, ok := s.FileName()
	if !ok {
		return "", notStarted("invalid", nil, "node %s: the script's fileExtension %q may have letters, digits, _ and - only", node, s.FileExtension)
	}
	if program := s.Program(); program != "" {
		if _, err := exec.LookPath(program); err != nil {
			return "", notStarted("script_interpreter", nil, "node %s: the script's interpreter %s is not on the runner's host: install it, or set another interpreter in the step", node, program)
		}
	}
	r.Script, r.ScriptMode = []byte(s.Content()), 0o700
	if memoryBacked(e.memory, s.Interpreter == "") {
		var random [12]byte
		_, _ = rand.Read(random[:]) // never fails
		r.ScriptPath = filepath.Join(e.memory, scriptPrefix+hex.EncodeToString(random[:]), name)
	} else {
		r.ScriptPath, r.ScriptLink = filepath.Join(r.Dir, name), true
	}
	if s.OtherAccount() {
		r.ScriptMode = 0o755 // its directory stays private
		return s.LineByDescriptor(r.ScriptPath), nil
	}
	return s.Line(r.ScriptPath), nil
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
