package schedule_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/schedule"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// A leader that slept through the end of its term starts nothing when it wakes.
func TestOldLeaderStartsNothing(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		p := project(t, st)
		m := join(t, st, "a")
		mine, err := st.TakeLeaderLease(t.Context(), hub.LeaseScheduler, m.cluster.MemberID(), 6, true)
		ok(t, err)
		ok(t, st.EndLeaderLease(t.Context(), hub.LeaseScheduler, m.cluster.MemberID(), mine.Term))
		next, err := st.TakeLeaderLease(t.Context(), hub.LeaseScheduler, "another", 6, true)
		ok(t, err)
		if next == nil || next.Term == mine.Term {
			t.Fatalf("the other's lease: %+v", next)
		}
		j := put(t, st, p, "job", "* * * * * ?")
		dueSince(t, st, j, st.Now())
		if err := schedule.Lead(m.fires, t.Context(), mine.Term); hub.ErrorCode(err) != hub.CodeConflict {
			t.Errorf("the old leader's work ended with %v", err)
		}
		if n := len(executions(t, st)) + len(fires(t, st, j)); n != 0 {
			t.Errorf("the old leader left %d rows", n)
		}
	})
}

var errFault = &hub.Error{Code: hub.CodeUnavailable, Message: "The database does not answer.", Cause: errors.New("fault")}

// The database fails before commits and loses the answers of others: whatever of it, no
// fire is lost and none has two executions.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		var on atomic.Bool
		var failed atomic.Int64
		st := open(t, func(c *store.Config) {
			c.Fault = func(point string) error {
				if !on.Load() || rand.IntN(4) > 0 {
					return nil
				}
				failed.Add(1)
				return errFault
			}
		})
		p := project(t, st)
		var jobs []*hub.Job
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			jobs = append(jobs, put(t, st, p, name, "* * * * * ?"))
		}
		m := join(t, st, "a")
		taken, err := st.TakeLeaderLease(t.Context(), hub.LeaseScheduler, m.cluster.MemberID(), 1000, true)
		ok(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- schedule.Lead(m.fires, ctx, taken.Term) }()
		on.Store(true)
		until(t, "the database fails often", func() bool { return failed.Load() > 40 })
		on.Store(false)
		before := len(fires(t, st, jobs[0]))
		until(t, "it fires again", func() bool { return len(fires(t, st, jobs[0])) > before })
		cancel()
		ok(t, <-done)
		m.end()
		all := executionsOf(t, st, jobs)
		total := 0
		for _, j := range jobs {
			s, err := st.Schedule(t.Context(), j)
			ok(t, err)
			got := fires(t, st, j)
			for at := s.Since.Unix() + 1; at < s.NextFire.Unix(); at++ {
				if f := got[at]; f == nil || f.Status != hub.FireStarted {
					t.Errorf("%s at %d: %+v", j.Name, at, f)
				}
				total++
			}
		}
		if len(all) != total {
			t.Errorf("%d executions for %d fires", len(all), total)
		}
	})
}
