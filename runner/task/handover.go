package task

import (
	"errors"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/runner/stepdir"
)

// keeping says which process has a command that was handed over.
type keeping struct {
	PID    int    `json:"pid"`
	BootID string `json:"bootId"`
}

// OfferHandOver begins nothing more and makes a place for each command that would end
// with this process. HandOver or TakeBack follows, also after an error.
func (t *Attempt) OfferHandOver() error {
	if t.host.Handover == "" {
		return errors.New("no folder for commands that are handed over is configured")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detached = true
	for _, h := range t.hand {
		if !h.attached {
			continue
		}
		keeper, err := stepdir.Keep(t.host.handoverDir(t.disk.ID(), h.cell), keeping{os.Getpid(), stepdir.BootID()}, func(s stepdir.Stop) {
			if s.Cause == stepdir.CauseTimedOut {
				h.cancel(ErrTimedOut)
				return
			}
			h.cancel(ErrStopped)
		})
		if err != nil {
			return err
		}
		h.offered = keeper
	}
	return nil
}

// TakeBack undoes OfferHandOver.
func (t *Attempt) TakeBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detached = false
	for _, h := range t.hand {
		if h.offered != nil {
			h.offered.Drop()
			h.offered = nil
		}
	}
	t.poke()
}

// HandOver has the output and the end of each command that was offered written to its
// place, from a point on that the spool has. These commands outlive the attempt's
// context; the journal gets nothing of them from this process any more. It returns how
// many they are.
func (t *Attempt) HandOver() (commands int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cutter.mu.Lock()
	defer t.cutter.mu.Unlock()
	for _, h := range t.hand {
		switch {
		case h.offered == nil:
			continue
		case !h.attached || !h.unbind(): // it ended meanwhile, and that is recorded here
			h.offered.Drop()
		default:
			h.out.divert(h.offered)
			h.kept = h.offered
			t.host.kept.Add(1)
			h.leave()
			commands++
		}
		h.offered = nil
	}
	t.lost = t.cutter.cut()
	return commands
}

// keptElsewhere reports whether the cell was handed over; from now on it cannot be.
func (h *hand) keptElsewhere(t *Attempt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.attached = false
	return h.kept != nil
}

// endHandedOver writes the end of a command that was handed over. A disk keeps it, so
// its message shows no secret.
func (t *Attempt) endHandedOver(h *hand, end End) {
	defer t.host.kept.Done()
	h.out.close(true)
	end.Message, end.Data = h.masker.Text(end.Message), h.out.data()
	if t.lost != nil {
		end.Message = strings.TrimPrefix(end.Message+"; some of its output could not be kept: "+t.lost.Error(), "; ")
	}
	if err := h.kept.End(end); err != nil {
		t.log.Error("the end of a command that was handed over could not be written: it will be told as unknown", "node", t.plan.Spec.GetNodes()[h.cell.Node].GetName(), "error", err)
	}
}

// WaitHandedOver returns when every command that this process handed over has ended.
func (h *Host) WaitHandedOver() { h.kept.Wait() }

// handoverDir is escaped because the hub chose the attempt's id: whatever that is, it
// names no place outside.
func (h *Host) handoverDir(attemptID string, c Cell) string {
	return filepath.Join(h.Handover, url.PathEscape((&Command{AttemptID: attemptID, Cell: c}).Name()))
}

// Left are the attempts of which an executor has something lie here, or a command that was
// handed over.
func (h *Host) Left() []string {
	found := map[string]bool{}
	for _, e := range h.Executors {
		if x, ok := e.(Leaver); ok {
			for _, id := range x.Left() {
				found[id] = true
			}
		}
	}
	dirs, _ := os.ReadDir(h.Handover) // there is none before the first is handed over
	for _, dir := range dirs {
		name, _, _ := strings.Cut(dir.Name(), ".")
		if id, err := url.PathUnescape(name); err == nil {
			found[id] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// ForgetHandedOver removes what is left of an attempt's commands that were handed over.
func (h *Host) ForgetHandedOver(attemptID string) error {
	if h.Handover == "" {
		return nil
	}
	dirs, err := filepath.Glob(filepath.Join(h.Handover, url.PathEscape(attemptID)+".*"))
	errs := []error{err}
	for _, dir := range dirs {
		held, free, err := stepdir.Lock(dir)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !free:
			errs = append(errs, errors.New(dir+": an earlier process of the runner still has this command"))
		default:
			errs = append(errs, os.RemoveAll(dir), held.Close())
		}
	}
	return errors.Join(errs...)
}
