package faults

import (
	"testing"
	"time"
)

// The hub dies in the middle of a long step and comes back five seconds later.
func TestHubKilled(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]setup{
		"sqlite, one port": {nodes: 20, onePort: true},
		"postgresql":       {nodes: 20, postgres: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, s)
			w.job(20, true, "node-first", w.witnessStep(150, "0.2"))
			id := w.run()
			w.await("all nodes print", 30*time.Second, func() bool {
				for _, n := range w.nodes {
					if len(w.lines(n+".copy")) < 5 {
						return false
					}
				}
				return true
			})
			w.hub.Process.Kill()
			pause(t, 5*time.Second)
			w.must(w.hub.Start(w.ctx))
			e := w.end(id, "succeeded", 120*time.Second)
			if !e.LogComplete {
				t.Error("the execution ended with an incomplete log")
			}
			w.startedOnce()
			w.logEqualsCopies(id)
		})
	}
}

// The hub dies at each point between its commits and its answers; whatever it had
// promised holds after its restart, and what it had not is done again.
func TestHubKilledAtFailpoint(t *testing.T) {
	t.Parallel()
	for _, point := range []string{
		"hub.offer.before-commit", "hub.offer.after-commit",
		"hub.claim.before-commit", "hub.claim.after-commit", "hub.grant.after-send",
		"hub.steps.after-commit", "hub.result.before-commit", "hub.result.after-commit",
		"hub.chunks.before-commit", "hub.chunks.after-commit",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{nodes: 3, local: true, hubEnv: []string{"FAIRLEAD_FAILPOINT=" + point}})
			w.job(3, true, "node-first", w.witnessStep(20, "0.05"), "true")
			e, err := w.hub.Run(w.ctx, "p", "j", nil)
			select {
			case <-w.hub.Process.Done():
			case <-time.After(30 * time.Second):
				t.Fatalf("the hub did not reach %s (run: %+v, %v)", point, e, err)
			}
			w.hub.SetEnv()
			w.must(w.hub.Start(w.ctx))
			if err != nil {
				// The API never answered: whether the run was accepted is what the hub says now.
				var page struct {
					Items []struct{ ID string }
				}
				w.must(w.hub.Do(w.ctx, "GET", "/executions", nil, &page))
				if len(page.Items) == 0 {
					if point != "hub.offer.before-commit" {
						t.Fatalf("the run was lost: %v", err)
					}
					e, err = w.hub.Run(w.ctx, "p", "j", nil)
					w.must(err)
				} else {
					e.ID = page.Items[0].ID
				}
			}
			w.end(e.ID, "succeeded", 60*time.Second)
			w.startedOnce()
			w.logEqualsCopies(e.ID)
		})
	}
}

// pause lets real time pass for programs outside this process.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
