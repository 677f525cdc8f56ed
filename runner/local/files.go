package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/runner/task"
)

// Names in a command's directory.
const (
	fileLock      = "run.lock"
	fileTombstone = "tombstone"
	fileStarted   = "started"
	fileExit      = "exit"
	fileControl   = "ctl"
	fileScript    = "scriptfile" // no script is named so: theirs is "script" or "script.x"
	outPrefix     = "out."
)

// stepName names a cell: its directory, and the value of FAIRLEAD_STEP in the
// environment of all it starts.
func stepName(attemptID string, c task.Cell) string {
	return fmt.Sprintf("%s.%d.%d.%d", attemptID, c.Node, c.Step, c.Try)
}

// started says who may have started a command, and then which process it is.
type started struct {
	Shim      int    `json:"shim"`
	ShimStart uint64 `json:"shimStart"`
	BootID    string `json:"bootId"`
	Step      string `json:"step"`
	// Cgroup holds all of the command; empty: there is none.
	Cgroup string `json:"cgroup,omitempty"`
	// Pid leads the command's session; 0: the shim died before it could write it.
	Pid      int    `json:"pid,omitempty"`
	PidStart uint64 `json:"pidStart,omitempty"`
}

// ended is how a command ended, as its shim saw it.
type ended struct {
	Code   int    `json:"code"`
	Exited bool   `json:"exited"`
	Signal string `json:"signal,omitempty"`
	// Cause is why it was ended: empty (by itself), stopped or timed_out.
	Cause string `json:"cause,omitempty"`
	// Gone: nothing of it is left.
	Gone bool `json:"gone"`
	// NotStarted: the shim did not start it, for the reason in Error.
	NotStarted bool   `json:"notStarted,omitempty"`
	Error      string `json:"error,omitempty"`
	// Out is how many bytes of output there are.
	Out uint64 `json:"out"`
}

const (
	causeStopped  = "stopped"
	causeTimedOut = "timed_out"
)

// lock takes a directory's run.lock without waiting. free is false when another holds
// it. The lock goes with the file, or with the process.
func lock(dir string) (f *os.File, free bool, err error) {
	f, err = os.OpenFile(filepath.Join(dir, fileLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("opening a step's lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close()
		return nil, false, nil
	}
	if err != nil {
		_ = f.Close()
		return nil, false, fmt.Errorf("locking a step: %w", err)
	}
	return f, true, nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// readJSON reads the last whole line of a file; found is false when there is none.
func readJSON(dir, name string, into any) (found bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading a step's state: %w", err)
	}
	lines := strings.Split(string(data), "\n")
	for i := len(lines) - 2; i >= 0; i-- {
		if json.Unmarshal([]byte(lines[i]), into) == nil {
			return true, nil
		}
	}
	return false, nil
}

// writeJSON appends a line to a file.
func writeJSON(dir, name string, v any, sync bool) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing a step's state: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("writing a step's state: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && sync {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("writing a step's state: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// bootID is the kernel's name for this boot.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
