package gateway

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
)

// Who has begun goes first, then who came first.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := &turns{free: 1}
		line.enter(false)
		var order []string // written by one goroutine at a time: each waits for its turn
		for _, w := range []struct {
			name  string
			begun bool
		}{{"first", false}, {"second", false}, {"begun", true}} {
			go func() {
				line.enter(w.begun)
				order = append(order, w.name)
			}()
			synctest.Wait()
		}
		for i := range 3 {
			line.leave()
			synctest.Wait()
			if len(order) != i+1 {
				t.Fatalf("%d turns were given to %v", i+1, order)
			}
		}
		if want := []string{"begun", "first", "second"}; !slices.Equal(order, want) {
			t.Errorf("turns went to %v, not %v", order, want)
		}
		line.leave()
		line.enter(false) // it is free again, or the test ends here
	})
}

// Connections that say nothing, however many, keep no runner out.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	_ = r.conn.Close()
	for range 400 {
		conn, err := net.Dial("tcp", h.address)
		h.must(err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	r.conn = h.dial(r.cert)
	h.start(r)
}
