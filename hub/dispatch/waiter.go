package dispatch

import (
	"sync"

	"github.com/fairlead/fairlead/hub/store"
)

// waiters are those on this member who wait for the end of an execution. They get its
// row as the transaction that ended it left it, and need not read it.
type waiters struct {
	mu   sync.Mutex
	list map[string][]chan *store.ExecutionRow // by id of the execution
}

// wait returns where the row will come if the execution ends by a transaction of this
// member, until the returned function is called.
func (w *waiters) wait(id string) (end <-chan *store.ExecutionRow, cancel func()) {
	c := make(chan *store.ExecutionRow, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = make(map[string][]chan *store.ExecutionRow)
	}
	w.list[id] = append(w.list[id], c)
	return c, func() { w.leave(id, c) }
}

func (w *waiters) leave(id string, c chan *store.ExecutionRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.list[id] {
		if other == c {
			w.list[id] = append(w.list[id][:i:i], w.list[id][i+1:]...)
		}
	}
	if len(w.list[id]) == 0 {
		delete(w.list, id)
	}
}

// ended gives each who waits a row of its own.
func (w *waiters) ended(row *store.ExecutionRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.list[row.ID] {
		mine := *row
		select {
		case c <- &mine:
		default: // an execution ends once; this would be a second end
		}
	}
}
