package sim

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// grantMAC is the hub's proof of a grant; runners have no way to its key.
func grantMAC(p hub.GrantProof) []byte {
	h := hmac.New(sha256.New, []byte("the master key of the simulation"))
	_, _ = fmt.Fprintf(h, "%v %x %s %s %s %s", p.Fence, p.Boot, p.RunnerID, p.ProjectID, p.ExecutionID, p.AssignmentID)
	return h.Sum(nil)
}

// learnHold reads whether the cluster is held.
func (m *member) learnHold() error {
	if _, err := m.st.Cluster(context.Background()); err != nil {
		return err
	}
	if err := m.notice(); err != nil {
		return err
	}
	hold, err := m.st.ReadHold(context.Background())
	if err == nil {
		m.hold.Store(&hold)
	}
	return err
}

// followHold learns of it each second, as a member does with its ticks.
func (m *member) followHold(ctx context.Context) {
	for wait(time.Second, ctx.Done()) {
		if hold, err := m.st.ReadHold(ctx); err == nil {
			m.hold.Store(&hold)
		}
	}
}

// forget takes a backup of the database, and puts it back some time later: all that was
// committed between is gone. As with another timeline, the first hub that connects
// notices.
func (w *world) forget(after time.Duration) {
	w.standStill(w.order, func() error {
		w.note("a backup is taken")
		return w.db.Keep()
	})
	if !wait(after, w.ctx.Done()) {
		return
	}
	w.standStill(w.order, func() error {
		w.mu.Lock()
		w.putBack = hub.HoldRestore
		// What was shown may be gone with it.
		clear(w.finals)
		w.mu.Unlock()
		w.note("the database is put back")
		return w.db.PutBack()
	})
}

// fork promotes a standby that lags while the primary lives on: the second hub goes with it,
// the first one stays until it is pointed to the promoted one too.
func (w *world) fork(lag, after time.Duration) {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.split = false
	}()
	image, err := w.db.Copy()
	if err != nil {
		w.broke("the standby: %v", err)
		return
	}
	if !wait(lag, w.ctx.Done()) {
		return
	}
	w.standStill(w.order[1:], func() error {
		w.mu.Lock()
		w.putBack, w.promoted = hub.HoldPromotion, true
		w.mu.Unlock()
		w.note("the standby is promoted")
		w.order[1].db = w.other
		return w.other.BeginWith(image)
	})
	if !wait(after, w.ctx.Done()) {
		return
	}
	w.standStill(w.order[:1], func() error {
		w.mu.Lock()
		clear(w.finals) // what the old primary alone had is not there, or not yet
		w.mu.Unlock()
		w.note("the old primary is put away")
		w.order[0].db = w.other
		return nil
	})
}

// standStill ends hubs, does something to the database, and starts them again.
func (w *world) standStill(seats []*seat, do func() error) {
	select {
	case w.changing <- struct{}{}:
		defer func() { <-w.changing }()
	case <-w.ctx.Done():
		return
	}
	for _, s := range seats {
		if m := w.memberAt(s.index); m != nil {
			m.kill(-1)
		}
		w.mu.Lock()
		last := s.last
		w.mu.Unlock()
		<-last.gone
	}
	if err := do(); err != nil {
		w.broke("the database: %v", err)
	}
	for _, s := range seats {
		if err := s.boot(); err != nil {
			w.broke("hub %s cannot start: %v", s.name, err)
		}
	}
}

// notice holds the cluster when this hub is the first on a database that was put back.
func (m *member) notice() error {
	w := m.seat.w
	w.mu.Lock()
	kind := w.putBack
	w.putBack = ""
	w.mu.Unlock()
	if kind == "" {
		return nil
	}
	hold, err := m.st.ReadHold(context.Background())
	if err == nil {
		_, err = m.st.HoldCluster(context.Background(), kind, "another database than before", hold.Incarnation)
	}
	if err != nil {
		w.mu.Lock()
		w.putBack = kind // not noticed yet
		w.mu.Unlock()
	}
	return err
}
