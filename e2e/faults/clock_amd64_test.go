package faults

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// The wall clocks of two members are an hour off, one each way: nobody notices. They
// trust each other's certificates and the runner's, agree on who lives, and what they
// write bears the database's time.
func TestClockOfMembersOff(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, clusterSetup{starter: map[string]lab.Starter{
		"a": lab.AtClock(time.Hour), "b": lab.AtClock(-time.Hour),
	}})
	begun := time.Now()
	w.job(4, true, "node-first", w.witnessStep(150, "0.1"))
	for _, m := range w.cluster.Members {
		state, err := m.Cluster(w.ctx)
		w.must(err)
		for _, s := range state.Members {
			if s.State != "active" {
				t.Errorf("member %s sees %s as %s", m.Name, s.Name, s.State)
			}
		}
	}
	first := w.holder()
	w.speak(w.others(first)[0])
	id := w.run()
	followed := w.follow(w.hub.API, id, lab.BySocket)
	w.printing(10)
	first.Process.Kill()
	second := w.movedFrom(first, 10*time.Second)
	w.must(w.cluster.Start(w.ctx, first))
	w.speak(first)
	w.must(second.SetDraining(w.ctx, second.Name, true))
	w.movedFrom(second, 20*time.Second)
	w.finished(id, 60*time.Second)
	w.followedAll(followed)
	for _, m := range w.cluster.Members {
		var e struct{ CreatedAt, StartedAt, EndedAt time.Time }
		w.must(m.Do(w.ctx, "GET", "/executions/"+id, nil, &e))
		if e.CreatedAt.Before(begun.Add(-time.Second)) || e.StartedAt.Before(e.CreatedAt) || e.EndedAt.Before(e.StartedAt) || e.EndedAt.After(time.Now().Add(time.Second)) {
			t.Errorf("member %s tells times that are not of the database: %+v, begun at %v", m.Name, e, begun)
		}
	}
}
