package output_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// Output of a runner that comes late, while retention takes its execution away, leaves no
// rows that nobody would find any more.
func TestAppendAcrossPurge(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"first chunk": 0, "behind others": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := storetest.PostgresConfig(t)
			// atCommit is called once, when everything of an append is written and nothing committed.
			var atCommit atomic.Pointer[func()]
			cfg.Fault = func(point string) error {
				if point == store.FaultCommit {
					if f := atCommit.Swap(nil); f != nil {
						(*f)()
					}
				}
				return nil
			}
			st, err := store.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			r := newRig(t, st, []int{0, 1})
			s := r.attempts[0]
			for range before {
				r.send(s.print("0.0 x"))
			}
			if _, err := st.LoseAttempts(t.Context(), []string{s.fence.AttemptID}, 1000, "not heard"); err != nil {
				t.Fatal(err)
			}
			ended := store.Ending{ID: r.e.ID, Outcome: hub.StatusUnknown, EndedAt: st.Now().Add(-25 * time.Hour)}
			if err := st.EndExecutions(t.Context(), []store.Ending{ended}); err != nil {
				t.Fatal(err)
			}
			purged := make(chan struct{})
			purge := func() {
				go func() { defer close(purged); r.purge() }()
				ticker := time.NewTicker(5 * time.Millisecond)
				defer ticker.Stop()
				for {
					select {
					case <-purged:
						return
					case <-ticker.C:
						if storetest.Count(t, cfg, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0 {
							return
						}
					}
				}
			}
			atCommit.Store(&purge)
			r.send(s.print("0.0 late"))
			<-purged
			if n := storetest.Count(t, cfg, `SELECT (SELECT count(*) FROM output_chunk) + (SELECT count(*) FROM attempt_log)`); n != 0 {
				t.Errorf("%d rows are left of an execution that is gone", n)
			}
			if ack := r.send(s.print("0.0 later")); !ack.Lasting {
				t.Errorf("output of what is gone: %+v", ack)
			}
		})
	}
}
