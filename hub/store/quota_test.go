package store_test

import (
	"context"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func TestQuotaIsChangedByOneEditor(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		q := must(st.Quota(ctx, org))(t)
		same(t, q, &hub.Quota{OrganisationID: org, Revision: 1})
		one, two := *q, *q
		one.LogBytes, one.ExecutionLogBytes = 1<<40, 1<<30
		ok(t, st.SetQuota(ctx, &one))
		two.LogBytes = 1
		wantCode(t, st.SetQuota(ctx, &two), hub.CodeConflict)
		same(t, must(st.Quota(ctx, org))(t), &hub.Quota{OrganisationID: org, LogBytes: 1 << 40, ExecutionLogBytes: 1 << 30, Revision: 2})
		_, err := st.Quota(ctx, "another-organisation")
		wantCode(t, err, hub.CodeNotFound)
	})
}

// What is counted is kept beside the limits, and neither changes the other.
func TestQuotaKeepsWhatWasCounted(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		before := st.Now()
		ok(t, st.InTx(ctx, func(st *store.Store) error { return st.NoteUsed(ctx, map[string]int64{org: 7 << 40, "gone": 1}) }))
		q := must(st.Quota(ctx, org))(t)
		if q.UsedBytes != 7<<40 || q.CountedAt.Before(before) || q.Revision != 1 {
			t.Errorf("counted: %+v", q)
		}
		q.LogBytes = 1 << 30
		ok(t, st.SetQuota(ctx, q))
		same(t, must(st.Quotas(ctx))(t), []hub.Quota{*q})
		ok(t, st.InTx(ctx, func(st *store.Store) error { return st.NoteUsed(ctx, nil) }))
		if q := must(st.Quota(ctx, org))(t); q.UsedBytes != 0 || q.LogBytes != 1<<30 {
			t.Errorf("nothing is held: %+v", q)
		}
	})
}

// Logs are added up by pages, each of them once, and those of purged executions not at all.
func TestSumLogs(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		var want int64
		for i := range int64(5) {
			e := &store.ExecutionRow{Execution: hub.Execution{ID: store.NewID(), OrganisationID: org, ProjectID: p.ID, CreatedAt: st.Now()}}
			logs := []store.LogAppend{
				{AttemptID: store.NewID(), ExecutionID: e.ID, To: 1, TextBytes: 1000 + i, Chunks: []store.ChunkRow{{TextBytes: 1000 + i, Data: []byte("x")}}},
				{AttemptID: store.NewID(), ExecutionID: e.ID, To: 1, TextBytes: 1 << 33, Chunks: []store.ChunkRow{{TextBytes: 1 << 33, Data: []byte("x")}}},
			}
			for k := range logs {
				logs[k].Chunks[0].AttemptID = logs[k].AttemptID
			}
			ok(t, st.InTx(ctx, func(st *store.Store) error {
				if err := st.InsertExecutions(ctx, []*store.ExecutionRow{e}, []*store.ExecutionSpec{{Definition: &hub.Job{}}}); err != nil {
					return err
				}
				if _, err := st.AppendChunks(ctx, logs, 1, "m"); err != nil || i != 3 {
					return err
				}
				if err := st.EndExecutions(ctx, []store.Ending{{ID: e.ID, Outcome: hub.StatusSucceeded, EndedAt: st.Now()}}); err != nil {
					return err
				}
				_, err := st.Purge(ctx, []string{e.ID})
				return err
			}))
			if i != 3 {
				want += 1000 + i + 1<<33
			}
		}
		for _, limit := range []int{1, 3, 10, 11} {
			var got int64
			var logs int
			for last := ""; ; {
				sum := must(st.SumLogs(ctx, last, limit))(t)
				got, logs, last = got+sum.Bytes[org], logs+sum.Logs, sum.Last
				if sum.Logs < limit {
					break
				}
			}
			if got != want || logs != 10 {
				t.Errorf("by %d: %d bytes in %d logs, want %d in 10", limit, got, logs, want)
			}
		}
	})
}
