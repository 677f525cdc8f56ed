package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/hub"
)

// lockFile takes the lock that keeps two hubs off one file, for as long as the
// returned file is open. The kernel frees it when the process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &hub.Error{Code: hub.CodeUnavailable, Message: fmt.Sprintf("The lock file %s cannot be made; is its directory there, and writable?", path), Cause: err}
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		return nil, hub.Errorf(hub.CodeConflict,
			"Another hub, process %s, uses the database %s. Stop it, or give this one a data directory of its own.",
			holder(f), strings.TrimSuffix(path, ".lock"))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	// The number is for the message above only; the lock is the truth.
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return f, nil
}

// unlockFile gives the lock back. Closing alone leaves it with a process that is being
// started at that moment, until its program runs: it has the file as well.
func unlockFile(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// holder reads who wrote the lock file.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
