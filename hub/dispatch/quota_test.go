package dispatch_test

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
)

// hold makes the organisation hold so much log, of as much as it may.
func (b *bench) hold(used, limit int64) {
	b.t.Helper()
	ctx := b.t.Context()
	q, err := b.st.Quota(ctx, hub.DefaultOrganisationID)
	if err == nil {
		q.LogBytes = limit
		err = b.st.SetQuota(ctx, q)
	}
	if err == nil {
		err = b.st.InTx(ctx, func(st *store.Store) error { return st.NoteUsed(ctx, map[string]int64{q.OrganisationID: used}) })
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// Over the quota nothing new is written; what was accepted before starts and runs to its end.
func TestOverQuota(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		j := b.stored("job")
		first, inLine := b.begin(startOf(j)), b.begin(startOf(j))
		later := startOf(b.stored("later"))
		later.RunAt = b.st.Now().Add(time.Hour)
		scheduled := b.begin(later)
		b.hold(2<<20, 1<<20)
		fire := startOf(j)
		fire.Fire = true
		for what, request := range map[string]dispatch.StartRequest{"a job": startOf(j), "a fire": fire, "a later run": later} {
			if _, err := b.d.Start(t.Context(), request); hub.ErrorCode(err) != hub.CodeQuotaExceeded {
				t.Errorf("%s over the quota: %v", what, err)
			}
		}
		list, err := b.st.ListExecutions(t.Context(), store.ExecutionFilter{OrganisationID: hub.DefaultOrganisationID, Limit: 10})
		if err != nil || len(list) != 3 {
			t.Errorf("%d executions, %v", len(list), err)
		}
		a := r.claimOf(first)
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		a = r.claimOf(inLine)
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.due(scheduled, 0)
		a = r.claimOf(scheduled)
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(scheduled, hub.StatusSucceeded, true)
		b.hold(1<<20-1, 1<<20)
		b.begin(startOf(j))
	})
}

// What one execution may print is that of when it was asked for.
func TestExecutionQuota(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		j := b.stored("job", func(j *hub.Job) { j.LogLimit = hub.LogLimit{Text: "5", Lines: 5} })
		q, err := b.st.Quota(ctx, hub.DefaultOrganisationID)
		if err != nil {
			t.Fatal(err)
		}
		q.ExecutionLogBytes = 3 << 20
		if err := b.st.SetQuota(ctx, q); err != nil {
			t.Fatal(err)
		}
		with := b.begin(startOf(j))
		q.ExecutionLogBytes = 0
		if err := b.st.SetQuota(ctx, q); err != nil {
			t.Fatal(err)
		}
		without := b.begin(startOf(j))
		for e, want := range map[*hub.Execution]int64{with: 3 << 20, without: 0} {
			spec, err := b.st.ExecutionSpec(ctx, e.ID)
			if err != nil || spec.Definition.LogLimit.Quota != want || spec.Definition.LogLimit.Lines != 5 {
				t.Errorf("%+v, %v; want %d", spec.Definition.LogLimit, err, want)
			}
		}
		if again, err := b.st.Job(ctx, j.ProjectID, j.ID); err != nil || again.LogLimit.Quota != 0 {
			t.Errorf("the job itself: %+v, %v", again.LogLimit, err)
		}
	})
}
