package local

import (
	"bytes"
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
	fileControl   = "ctl"
	outPrefix     = "out."
	// sparePrefix begins the name of an empty directory, before what it was called.
	sparePrefix = "spare."
)

// stepName names a cell: its directory, and the value of FAIRLEAD_STEP in the
// environment of all it starts.
func stepName(attemptID string, c task.Cell) string {
	return fmt.Sprintf("%s.%d.%d.%d", attemptID, c.Node, c.Step, c.Try)
}

// entry is a line of run.lock. Only who holds the lock writes them: in files of their own
// they would cost a step as much as its process.
type entry struct {
	// Script is where the script lies, to be removed; written before it is.
	Script string `json:"script,omitempty"`
	// Started is written before the command is started, and once more when its process
	// is known.
	Started *started `json:"started,omitempty"`
	Exit    *ended   `json:"exit,omitempty"`
}

// record is what run.lock says: the newest of each kind of entry.
type record struct {
	entry
	// torn: an entry was not written whole, so whoever wrote it died.
	torn bool
}

// begun reports whether the command may have been started.
func (r *record) begun() bool { return r.Started != nil || r.torn }

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
	f, err = openLock(dir)
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close()
		return nil, false, nil
	}
	if err == nil {
		err = linked(f)
	}
	if err != nil {
		_ = f.Close()
		return nil, false, fmt.Errorf("locking a step: %w", err)
	}
	return f, true, nil
}

func openLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, fileLock), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a step's lock: %w", err)
	}
	return f, nil
}

// linked refuses a file that was removed between its opening and its lock: to hold it
// would exclude nobody.
func linked(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Nlink == 0 {
		return fs.ErrNotExist
	}
	return nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// readRecord reads a directory's run.lock; without one it is empty.
func readRecord(dir string) (record, error) {
	data, err := os.ReadFile(filepath.Join(dir, fileLock))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return record{}, fmt.Errorf("reading a step's state: %w", err)
	}
	// Builds before the first release wrote "started" and "exit" in files of their own.
	r := record{torn: exists(dir, "started")}
	for line := range bytes.Lines(data) {
		// Fields that are not in the line stay as they were.
		if line[len(line)-1] != '\n' || json.Unmarshal(line, &r.entry) != nil {
			r.torn = true
		}
	}
	return r, nil
}

// append adds an entry to run.lock, which the caller holds.
func (e entry) append(held *os.File) error {
	line, err := json.Marshal(e)
	if err == nil {
		_, err = held.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing a step's state: %w", err)
	}
	return nil
}

// bury writes the tombstone, synced. The caller holds run.lock.
func bury(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, fileTombstone), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), syncDir(dir))
	}
	if err != nil {
		return fmt.Errorf("writing a step's tombstone: %w", err)
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
