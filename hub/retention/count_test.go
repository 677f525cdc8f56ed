package retention_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/retention"
)

func (r *rig) held() *hub.Quota {
	r.t.Helper()
	q, err := r.st.Quota(r.t.Context(), org)
	r.ok(err)
	return q
}

// What the logs hold is counted with those that still run, and anew as soon as a pass took
// something away.
func TestHeldBytes(t *testing.T) {
	both(t, nil, func(t *testing.T, r *rig) {
		old := r.run("", hub.StatusSucceeded, 91*day, 7)
		r.run("", hub.StatusFailed, 2*day, 3)
		r.run("", hub.StatusSucceeded, 0, 2)
		if q := r.held(); !q.CountedAt.IsZero() {
			t.Errorf("before anyone counted: %+v", q)
		}
		p := r.purger("m")
		idle, err := p.Step(t.Context(), r.term)
		if q := r.held(); idle || err != nil || q.UsedBytes != 12*chunkText || time.Since(q.CountedAt).Abs() > time.Hour {
			t.Errorf("first: %+v, %v", q, err)
		}
		r.pass(p)
		if q := r.held(); q.UsedBytes != 5*chunkText {
			t.Errorf("after the pass: %+v", q)
		}
		r.want("the old one", []ran{old})
		r.run("", hub.StatusSucceeded, 0, 1)
		r.pass(p)
		if q := r.held(); q.UsedBytes != 5*chunkText {
			t.Errorf("nothing was due: %+v", q)
		}
	})
}

// Whoever is over the quota does not wait for the next pass, and a member whose term is over
// counts for nobody.
func TestOverQuota(t *testing.T) {
	both(t, map[string]string{hub.SettingRetentionDays: "0"}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.run("", hub.StatusSucceeded, 2*day, 1100)
		p := r.purger("m")
		r.pass(p)
		first, err := r.st.LastPurge(ctx)
		r.ok(err)
		q := r.held()
		q.LogBytes = hub.MinQuota
		r.ok(r.st.SetQuota(ctx, q))
		if err := q.Admit(); hub.ErrorCode(err) != hub.CodeQuotaExceeded {
			t.Errorf("admitted: %v", err)
		}
		r.project.Settings = map[string]string{hub.SettingRetentionDays: "1"}
		r.ok(r.st.UpdateProject(ctx, r.project))
		retention.CountNow(p)
		r.pass(p)
		second, err := r.st.LastPurge(ctx)
		if err != nil || !second.EndedAt.After(first.EndedAt) || second.Executions != 1 {
			t.Errorf("the pass was %+v, then %+v, %v", first, second, err)
		}
		if q := r.held(); q.Over() || q.UsedBytes != 0 {
			t.Errorf("there is room again: %+v", q)
		}
		old := r.term
		r.ok(r.st.EndLeaderLease(ctx, hub.LeaseArchive, "m", old))
		r.lead("n")
		r.run("", hub.StatusSucceeded, 0, 1)
		retention.CountNow(p)
		if _, err := p.Step(ctx, old); !errors.Is(err, retention.ErrTerm) || r.held().UsedBytes != 0 {
			t.Errorf("the old leader: %+v, %v", r.held(), err)
		}
	})
}
