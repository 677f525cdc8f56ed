package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Lock is a file that one process holds. It is released by the kernel when the
// process ends, however it ends.
type Lock struct {
	f *os.File
	// Ident is the file's inode and birth time: a copied directory has another.
	Ident string
}

// LockedError tells that another process holds the lock.
type LockedError struct {
	Path string
	// PID of the holder; 0 if it cannot be told.
	PID int
}

// Error says who holds what, and what to do.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID > 0 {
		holder = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("%s already runs a runner on the data directory %s; stop it first, or give this one a --data-dir of its own",
		holder, filepath.Dir(e.Path))
}

// TakeLock takes dir/name without waiting. The file is made once and never replaced,
// since its inode is part of the host's identity.
func TakeLock(dir, name string) (*Lock, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(&LockedError{Path: path, PID: holder(f)}, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	// flock is what excludes; this second lock is what Holder can ask for.
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	ident, err := fileIdent(f)
	if err == nil {
		err = errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n"), f.Sync())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f: f, Ident: ident}, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// Release gives the lock up.
func (l *Lock) Release() error { return l.f.Close() }

// fileIdent is inode and birth time. A file system that knows no birth time gives 0,
// and the inode has to do.
func fileIdent(f *os.File) (string, error) {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st)
	if err != nil {
		return "", fmt.Errorf("asking for the lock's inode: %w", err)
	}
	return fmt.Sprintf("%d:%d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec), nil
}

// Holder returns the process that holds dir/name; 0 if none does or there is no such
// file. It only looks: taking the lock to see would stand in the way of a runner that
// starts at that moment.
func Holder(dir, name string) (int, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("opening the lock: %w", err)
	}
	defer func() { _ = f.Close() }()
	l := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return 0, fmt.Errorf("asking for the holder of %s: %w", f.Name(), err)
	}
	if l.Type == unix.F_UNLCK {
		return 0, nil
	}
	return max(holder(f), 1), nil
}

// holder reads the process id that the holder wrote; 0 if it cannot be told.
func holder(f *os.File) int {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
