package stepdir

import (
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
	FileStarted = "started"
	FileExit    = "exit"
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

// Inspect reads a directory by the table of docs/executors.md, and what is in its files
// into started and exit. It waits up to wait for a keeper that holds the lock and has not
// said that it starts. held is the lock, to be closed; nil: another has it, or the
// directory cannot be looked into.
func Inspect(dir string, wait time.Duration, started, exit any) (held *os.File, st State) {
	deadline := time.Now().Add(wait)
	for {
		f, free, err := Lock(dir)
		hasStarted, _ := ReadJSON(dir, FileStarted, started)
		if err == nil && !free {
			if hasStarted || time.Now().After(deadline) {
				return nil, Running
			}
			<-time.After(5 * time.Millisecond)
			continue
		}
		if hasExit, _ := ReadJSON(dir, FileExit, exit); hasExit {
			return f, Finished
		}
		if hasStarted || Exists(dir, FileStarted) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, Dead
		}
		return f, Never
	}
}

// Lock takes a directory's run.lock without waiting. free is false when another holds
// it. The lock goes with the file, or with the process.
func Lock(dir string) (f *os.File, free bool, err error) {
	f, err = os.OpenFile(filepath.Join(dir, FileLock), os.O_CREATE|os.O_RDWR, 0o600)
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

// Exists reports whether the directory has such an entry.
func Exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// ReadJSON reads the last whole line of a file; found is false when there is none.
func ReadJSON(dir, name string, into any) (found bool, err error) {
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

// WriteJSON appends a line to a file; with sync the disk has it when it returns.
func WriteJSON(dir, name string, v any, sync bool) error {
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

// BootID is the kernel's name for this boot.
func BootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
