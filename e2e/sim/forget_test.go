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
	w.standStill(func() error {
		w.note("a backup is taken")
		return w.db.Keep()
	})
	if !wait(after, w.ctx.Done()) {
		return
	}
	w.standStill(func() error {
		w.mu.Lock()
		w.putBack = true
		// What was shown may be gone with it.
		clear(w.finals)
		w.mu.Unlock()
		w.note("the database is put back")
		return w.db.PutBack()
	})
}

// standStill ends all hubs, does something to the database, and starts them again.
func (w *world) standStill(do func() error) {
	select {
	case w.changing <- struct{}{}:
		defer func() { <-w.changing }()
	case <-w.ctx.Done():
		return
	}
	for _, s := range w.order {
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
	for _, s := range w.order {
		if err := s.boot(); err != nil {
			w.broke("hub %s cannot start: %v", s.name, err)
		}
	}
}

// notice holds the cluster when this hub is the first on a database that was put back.
func (m *member) notice() error {
	w := m.seat.w
	w.mu.Lock()
	fresh := w.putBack
	w.putBack = false
	w.mu.Unlock()
	if !fresh {
		return nil
	}
	hold, err := m.st.ReadHold(context.Background())
	if err == nil {
		_, err = m.st.HoldCluster(context.Background(), hub.HoldRestore, "put back", hold.Incarnation)
	}
	if err != nil {
		w.mu.Lock()
		w.putBack = true // not noticed yet
		w.mu.Unlock()
	}
	return err
}
