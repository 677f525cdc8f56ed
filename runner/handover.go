package runner

import (
	"errors"
	"fmt"

	"github.com/fairlead/fairlead/runner/task"
)

// HandOver prepares that another process takes over: nothing more is begun here, and the
// commands that would end with this process are kept by it in a form in which the next
// one finds them. The caller ends Run's ctx, after which this process touches the data
// directory no more but for those commands; WaitHandedOver waits for them, of
// which there are so many. After an error nothing has changed.
func (r *Runner) HandOver() (commands int, err error) {
	r.leaving.Lock()
	defer r.leaving.Unlock()
	if r.stopping {
		return 0, errors.New("the runner is being stopped")
	}
	if !r.store.HasSpace() {
		return 0, errors.New("the disk has no space for the output of the commands under way: make space")
	}
	r.setHanding(true)
	r.store.Overfill(true)
	for _, t := range r.drivers() {
		if err := t.OfferHandOver(); err != nil {
			r.takeBack()
			return 0, fmt.Errorf("making a place for a command that is under way: %w", err)
		}
	}
	for _, t := range r.drivers() {
		commands += t.HandOver()
	}
	return commands, nil
}

// join has an attempt that was granted behind the look at what there is to hand over begin
// nothing either. It waits for one that is under way: if that fails, nobody would undo it.
func (r *Runner) join(t *task.Attempt) {
	r.leaving.Lock()
	defer r.leaving.Unlock()
	if r.handsOver() {
		t.Drain()
	}
}

func (r *Runner) takeBack() {
	r.setHanding(false)
	r.store.Overfill(false)
	for _, t := range r.drivers() {
		t.TakeBack()
	}
}

func (r *Runner) setHanding(handing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handing = handing
}

// handsOver reports whether another process takes over.
func (r *Runner) handsOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handing
}

// WaitHandedOver returns when every command that this process handed over has ended.
func (r *Runner) WaitHandedOver() { r.host.WaitHandedOver() }
