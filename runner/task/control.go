package task

import (
	"slices"
	"time"

	"github.com/fairlead/fairlead/proto/failpoint"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// deadlineCheck bounds how long a timer runs without a look at the boot clock, since
// timers stand still while the machine sleeps.
const deadlineCheck = 10 * time.Second

// Granted records the grant and lets Run begin. The record asks for no sync: the first
// start carries it along. It tells the end of the job's time, too, so that a process
// that comes after this one keeps it without a hub.
func (t *Attempt) Granted(g *runnerv1.Granted, s *runnerv1.Secrets, timeLeft time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.setTimeLeft(timeLeft)
	g.DeadlineUs = t.deadline.Microseconds()
	r := record(&runnerv1.Record{Record: &runnerv1.Record_Granted{Granted: g}})
	if _, _, err := t.disk.Append(false, r); err != nil {
		t.freeze()
		return err
	}
	t.state.Apply(r)
	t.vault = newVault(s)
	return nil
}

// Resumed lets an attempt of an earlier process go on. The stop that came with it is
// taken like any other.
func (t *Attempt) Resumed(s *runnerv1.Secrets, timeLeft time.Duration, stop *runnerv1.StopScope) error {
	t.mu.Lock()
	if t.mode == Waiting {
		t.mode = Working
	}
	t.vault = newVault(s)
	t.setTimeLeft(timeLeft)
	if !t.state.closed {
		t.clean(stop.GetAsked() || timeLeft < 0)
	}
	t.mu.Unlock()
	var err error
	if stop.GetAsked() {
		_, _, err = t.Stop(stop)
	}
	t.afterResumed() // whatever became of the stop: no other Resumed comes
	t.poke()
	return err
}

// Refuse says that the attempt may not go on here: because the hub gave it up, or with
// otherHost since another disk, or this one before it lost something, may have gone on
// with it. What runs is let run.
func (t *Attempt) Refuse(otherHost bool) {
	t.mu.Lock()
	if t.mode == Waiting || t.mode == Working {
		t.mode = GivenUp
		if otherHost {
			t.mode = Unproven
		}
	}
	t.mu.Unlock()
	t.afterResumed()
	t.poke()
}

// Stop records a stop and returns its number when the disk has it, or closed if the
// attempt had closed before. A repeat is answered with the number of the first.
func (t *Attempt) Stop(scope *runnerv1.StopScope) (n uint64, closed bool, err error) {
	t.mu.Lock()
	if t.mode == Waiting && !t.state.closed {
		t.mu.Unlock()
		return 0, false, ErrNotCurrent
	}
	return t.stopLocked(scope)
}

// HubLost is Stop{all} on the runner's own account, for onHubLoss: stop-after.
func (t *Attempt) HubLost() error {
	t.mu.Lock()
	_, _, err := t.stopLocked(&runnerv1.StopScope{Asked: true, All: true})
	return err
}

// stopLocked unlocks mu.
func (t *Attempt) stopLocked(scope *runnerv1.StopScope) (n uint64, closed bool, err error) {
	if t.state.closed {
		t.mu.Unlock()
		return 0, true, nil
	}
	if t.state.covers(scope) {
		n = t.lastStop
		t.mu.Unlock()
		return n, false, nil
	}
	if failpoint.Mutant("NM12") {
		t.state.addStop(scope)
		t.cancel(scope)
		t.mu.Unlock()
		return 0, false, nil
	}
	n, wait, err := t.disk.Append(true, record(&runnerv1.Record{Record: &runnerv1.Record_Stopped{Stopped: &runnerv1.Stopped{Scope: scope}}}))
	if err != nil {
		t.freeze()
		t.mu.Unlock()
		return 0, false, err
	}
	t.state.addStop(scope)
	t.lastStop = n
	t.cancel(scope)
	t.mu.Unlock()
	t.poke()
	return n, false, wait()
}

// cancel ends what runs and is covered; the caller holds mu.
func (t *Attempt) cancel(scope *runnerv1.StopScope) {
	for _, h := range t.hand {
		if scope.GetAll() || slices.Contains(scope.GetNodes(), h.cell.Node) {
			h.cancel(ErrStopped)
		}
	}
}

// setTimeLeft sets the end of the job's time; 0 is no limit, less is over already.
func (t *Attempt) setTimeLeft(d time.Duration) {
	t.deadline = 0
	if d != 0 {
		t.deadline = max(time.Microsecond, t.host.Boottime()+d)
	}
	t.poke()
}

// deadlineTimer returns a timer for the next look at the deadline; the caller holds mu.
func (t *Attempt) deadlineTimer() *time.Timer {
	if t.deadline == 0 || t.mode != Working && t.mode != Waiting {
		timer := time.NewTimer(time.Hour)
		timer.Stop()
		return timer
	}
	return time.NewTimer(min(deadlineCheck, max(0, t.deadline-t.host.Boottime())))
}

// checkDeadline ends what runs when the job's time is over. What did not start is timed
// out, too, under a current grant; while the attempt waits for one, the hub has to say
// first that this host may speak for it. The caller holds mu.
func (t *Attempt) checkDeadline() {
	if t.deadline == 0 || t.host.Boottime() < t.deadline {
		return
	}
	switch t.mode {
	case Working:
		t.mode = Expired
	case Waiting:
		t.deadline = 0 // comes anew with Resumed
	default:
		return
	}
	for _, h := range t.hand {
		h.cancel(ErrTimedOut)
	}
}

// ChunksAcked says that the hub has the chunks before next, and whether somebody
// watches the output.
func (t *Attempt) ChunksAcked(next uint64, followed bool) {
	t.disk.AckChunks(next)
	t.cutter.acked(next, followed)
}

// Result returns what closes the attempt: outcome and totals. ok is false until the
// disk has all records and chunks.
func (t *Attempt) Result() (r wire.Result, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.state.closed || !t.disk.Closed() {
		return wire.Result{}, false
	}
	// Only behind closed do totals not grow any more.
	steps, stepsHash, stepsSynced := t.disk.Totals()
	logTotal, logHash, _, logSynced := t.disk.ChunkTotals()
	if !stepsSynced || !logSynced {
		return wire.Result{}, false
	}
	f := t.disk.Fence()
	return wire.Result{
		Incarnation: f.GetIncarnation(), AttemptID: f.GetAttemptId(), Epoch: f.GetEpoch(),
		Outcome:    int32(Fold(t.plan, t.state)),
		StepsTotal: steps, StepsHash: stepsHash, LogTotal: logTotal, LogHash: logHash,
	}, true
}

// Working reports whether the attempt is under a current grant.
func (t *Attempt) Working() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mode == Working || t.mode == Expired
}

// Waits reports whether the attempt waits for Resumed.
func (t *Attempt) Waits() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mode == Waiting && !t.state.closed
}

// Running returns how many commands are in hand that end with this process.
func (t *Attempt) Running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := 0
	for _, h := range t.hand {
		if h.kept == nil && t.reattacher(h.cell) == nil {
			count++
		}
	}
	return count
}
