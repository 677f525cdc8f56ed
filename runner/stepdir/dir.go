package stepdir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Names in a command's directory. OutPrefix begins those of its output.
const (
	FileLock    = "run.lock"
	FileControl = "ctl"
	OutPrefix   = "out."
)

// LookAgain is how long a keeper may take between its lock and its first word.
const LookAgain = 5 * time.Second

// State is what a command's directory says about it.
type State int

// States of a directory.
const (
	Running  State = iota // a keeper holds the lock
	Never                 // not started; we hold the lock
	Finished              // exit is there
	Dead                  // started, no exit: the keeper died; we hold the lock
)

// Inspect reads a directory by the table of docs/executors.md, and what its keeper wrote
// into started and exit. It waits up to wait for a keeper that holds the lock and has not
// said that it starts. held is the lock, to be closed; nil: another has it, or the
// directory cannot be looked into.
func Inspect(dir string, wait time.Duration, started, exit any) (held *os.File, st State) {
	deadline := time.Now().Add(wait)
	for {
		f, free, err := Lock(dir)
		r, rerr := ReadRecord(dir)
		hasStarted := r.Started != nil && json.Unmarshal(r.Started, started) == nil
		if err == nil && !free {
			if hasStarted || time.Now().After(deadline) {
				return nil, Running
			}
			<-time.After(5 * time.Millisecond)
			continue
		}
		if r.Exit != nil && json.Unmarshal(r.Exit, exit) == nil {
			return f, Finished
		}
		if r.Begun() || rerr != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, Dead
		}
		return f, Never
	}
}

// Lock takes a directory's run.lock without waiting. free is false when another holds
// it. The lock goes with the file, or with the process.
func Lock(dir string) (f *os.File, free bool, err error) {
	f, err = OpenLock(dir)
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close()
		return nil, false, nil
	}
	if err == nil {
		err = inPlace(f)
	}
	if err != nil {
		_ = f.Close()
		return nil, false, fmt.Errorf("locking a step: %w", err)
	}
	return f, true, nil
}

// OpenLock opens a directory's run.lock without taking it.
func OpenLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, FileLock), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a step's lock: %w", err)
	}
	return f, nil
}

// inPlace refuses a file that was removed or became another step's between its opening
// and its lock: to hold it would exclude nobody, or that step.
func inPlace(f *os.File) error {
	var opened, there unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &opened)
	if err == nil {
		err = unix.Stat(f.Name(), &there)
	}
	if err == nil && (opened.Dev != there.Dev || opened.Ino != there.Ino) {
		err = fs.ErrNotExist
	}
	return err
}

// Exists reports whether the directory has such an entry.
func Exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// Entry is a line of run.lock. Only who holds the lock writes them: in files of their own
// they would cost a step as much as its process. One field is set.
type Entry struct {
	// Script is where a script lies, to be removed; written before it is.
	Script string `json:"script,omitempty"`
	// Started is written before the command is started, and once more when its process
	// is known.
	Started any `json:"started,omitempty"`
	Exit    any `json:"exit,omitempty"`
}

// Append adds the entry to run.lock, which the caller holds: whole, or not at all.
func (e Entry) Append(held *os.File) error {
	if err := e.append(held); err != nil {
		return fmt.Errorf("writing a step's state: %w", err)
	}
	return nil
}

func (e Entry) append(held *os.File) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	before, err := held.Stat()
	if err != nil {
		return err
	}
	if _, err := held.Write(append(line, '\n')); err != nil {
		return errors.Join(err, held.Truncate(before.Size()))
	}
	return nil
}

// AppendExit is Append of a command's end, which waits for room on a full disk: how the
// command ended is known here alone.
func AppendExit(held *os.File, exit any) error {
	for {
		err := Entry{Exit: exit}.Append(held)
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
		<-time.After(fullPause)
	}
}

// Sync has the disk keep what run.lock in dir says.
func Sync(held *os.File, dir string) error {
	if err := errors.Join(held.Sync(), SyncDir(dir)); err != nil {
		return fmt.Errorf("writing a step's state: %w", err)
	}
	return nil
}

// Record is what run.lock says: the newest of each kind of entry.
type Record struct {
	Script  string          `json:"script"`
	Started json.RawMessage `json:"started"`
	Exit    json.RawMessage `json:"exit"`
	// torn: an entry was not written whole, so whoever wrote it died.
	torn bool
}

// Begun reports whether the command may have been started.
func (r *Record) Begun() bool { return r.Started != nil || r.torn }

// ReadRecord reads a directory's run.lock; without one the record is empty.
func ReadRecord(dir string) (Record, error) {
	data, err := os.ReadFile(filepath.Join(dir, FileLock))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("reading a step's state: %w", err)
	}
	// Builds before the first release wrote "started" and "exit" in files of their own.
	r := Record{torn: Exists(dir, "started")}
	for line := range bytes.Lines(data) {
		// Fields that are not in the line stay as they were.
		if line[len(line)-1] != '\n' || json.Unmarshal(line, &r) != nil {
			r.torn = true
		}
	}
	return r, nil
}

// SyncDir has the disk keep the names in a directory.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// BootID is the kernel's name for this boot.
func BootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
