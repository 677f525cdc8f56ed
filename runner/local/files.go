package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fairlead/fairlead/runner/stepdir"
	"github.com/fairlead/fairlead/runner/task"
)

const (
	fileTombstone = "tombstone"
	// sparePrefix begins the name of a directory that no step uses, before what it was called.
	sparePrefix = "spare."
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
	// Data are values that filters captured.
	Data map[string]string `json:"data,omitempty"`
}

// inspect is stepdir.Inspect of a step's directory. An end in another step's record is
// none: the directory was that one's before, and a power cut brought its record back.
func inspect(dir string) (held *os.File, state stepdir.State, s started, x ended) {
	step := filepath.Base(dir)
	s.Step = step // what its shim wrote may be torn
	held, state = stepdir.Inspect(dir, stepdir.LookAgain, &s, &x)
	if s.Step != step && state != stepdir.Running {
		return held, stepdir.Dead, started{BootID: s.BootID, Step: step}, ended{}
	}
	return held, state, s, x
}

// bury writes the tombstone, synced. The caller holds run.lock.
func bury(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, fileTombstone), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), stepdir.SyncDir(dir))
	}
	if err != nil {
		return fmt.Errorf("writing a step's tombstone: %w", err)
	}
	return nil
}
