package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func newJob(p *hub.Project, group, name, exec string) *hub.Job {
	return &hub.Job{
		OrganisationID: org, ProjectID: p.ID, Group: group, Name: name, LogLevel: "INFO",
		Options: []hub.Option{{Name: "o", Value: "v", Required: true}},
		Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{{
			Exec: exec, Timeout: 3 * time.Second, ErrorHandler: &hub.Step{Script: &hub.Script{Text: "#!/bin/sh\nexit 1\n"}},
		}}},
		Dispatch: hub.Dispatch{Nodes: true, Filter: ".*", Threadcount: "3"},
		Source:   "- name: " + name + "\n",
	}
}

func put(ctx context.Context, t *testing.T, st *store.Store, j *hub.Job, want store.JobChange) *hub.Job {
	t.Helper()
	same(t, must(st.PutJob(ctx, j, "ann"))(t), want)
	return j
}

func TestJobRevisions(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		j := put(ctx, t, st, newJob(p, "ops", "backup", "true"), store.JobCreated)
		same(t, must(st.Job(ctx, p.ID, j.ID))(t), j)
		again := put(ctx, t, st, newJob(p, "ops", "backup", "true"), store.JobUnchanged)
		same(t, again, j)
		changed := put(ctx, t, st, newJob(p, "ops", "backup", "false"), store.JobUpdated)
		if changed.ID != j.ID || changed.UUID != j.UUID || changed.Revision != 2 {
			t.Errorf("got %s %s %d, want the same job at 2", changed.ID, changed.UUID, changed.Revision)
		}
		same(t, must(st.Job(ctx, p.ID, "ops/backup"))(t), changed)
		old := must(st.JobRevision(ctx, org, j.ID, 1))(t)
		same(t, old.Workflow.Steps[0].Exec, "true")
		same(t, old.FullName(), "ops/backup")
		_, err := st.JobRevision(ctx, org, j.ID, 3)
		wantCode(t, err, hub.CodeNotFound)
		_, err = st.JobRevision(ctx, "other", j.ID, 1)
		wantCode(t, err, hub.CodeNotFound)
	})
}

func TestJobIsMatchedByUUIDThenName(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		a := newJob(p, "", "a", "true")
		a.UUID = "11111111-0000-0000-0000-000000000000"
		put(ctx, t, st, a, store.JobCreated)
		renamed := newJob(p, "g", "b", "true")
		renamed.UUID = a.UUID
		put(ctx, t, st, renamed, store.JobUpdated)
		same(t, renamed.ID, a.ID)
		_, err := st.Job(ctx, p.ID, "a")
		wantCode(t, err, hub.CodeNotFound)
		// A file without uuid changes the job of its name and leaves the uuid.
		bare := put(ctx, t, st, newJob(p, "g", "b", "false"), store.JobUpdated)
		same(t, bare.UUID, a.UUID)
		other := newJob(p, "g", "b", "true")
		other.UUID = "22222222-0000-0000-0000-000000000000"
		_, err = st.PutJob(ctx, other, "ann")
		wantCode(t, err, hub.CodeConflict)
		// The uuid of one job and the name of another.
		put(ctx, t, st, newJob(p, "", "c", "true"), store.JobCreated)
		mixed := newJob(p, "", "c", "true")
		mixed.UUID = a.UUID
		_, err = st.PutJob(ctx, mixed, "ann")
		wantCode(t, err, hub.CodeConflict)
		_, err = st.PutJob(ctx, newJob(&hub.Project{ID: "nowhere"}, "", "c", "true"), "ann")
		wantCode(t, err, hub.CodeNotFound)
	})
}

func TestJobIsFoundByName(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		for _, full := range []string{"a/x", "b/x", "/x", "b/y", "b/c/z"} {
			i := strings.LastIndex(full, "/")
			put(ctx, t, st, newJob(p, full[:i], full[i+1:], "true"), store.JobCreated)
		}
		for ref, want := range map[string]string{"a/x": "a/x", "x": "x", "y": "b/y", "z": "b/c/z", "b/c/z": "b/c/z"} {
			same(t, must(st.Job(ctx, p.ID, ref))(t).FullName(), want)
		}
		_, err := st.Job(ctx, p.ID, "c/z")
		wantCode(t, err, hub.CodeNotFound)
		ok(t, st.DeleteJob(ctx, p.ID, "/x", 0))
		_, err = st.Job(ctx, p.ID, "x")
		wantCode(t, err, hub.CodeInvalid)
		if msg := hub.ErrorMessage(err); !strings.Contains(msg, "a/x, b/x") {
			t.Errorf("message %q does not list the candidates", msg)
		}
	})
}

func TestJobsAreListed(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		for _, full := range []string{"ops/Nightly", "ops/deep/b", "ops2/c", "/100%_d", "/1000"} {
			i := strings.LastIndex(full, "/")
			put(ctx, t, st, newJob(p, full[:i], full[i+1:], "true"), store.JobCreated)
		}
		list := func(q store.JobQuery) []string {
			t.Helper()
			var names []string
			for {
				jobs, next, err := st.Jobs(ctx, p.ID, q)
				ok(t, err)
				for _, j := range jobs {
					names = append(names, j.FullName())
				}
				if q.Cursor = next; next == "" {
					return names
				}
			}
		}
		all := []string{"100%_d", "1000", "ops/Nightly", "ops/deep/b", "ops2/c"}
		same(t, list(store.JobQuery{}), all)
		same(t, list(store.JobQuery{Page: store.Page{Limit: 1}}), all)
		same(t, list(store.JobQuery{Group: "ops"}), all[2:4])
		same(t, list(store.JobQuery{Search: "S/nIGHT"}), all[2:3])
		same(t, list(store.JobQuery{Search: "%_"}), all[:1])
		same(t, list(store.JobQuery{Group: "OPS"}), []string(nil))
	})
}

func TestDeleteJob(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		j := put(ctx, t, st, newJob(p, "", "a", "true"), store.JobCreated)
		wantCode(t, st.DeleteJob(ctx, p.ID, j.ID, 7), hub.CodeConflict)
		ok(t, st.DeleteJob(ctx, p.ID, j.ID, 1))
		wantCode(t, st.DeleteJob(ctx, p.ID, j.ID, 0), hub.CodeNotFound)
		put(ctx, t, st, newJob(p, "", "a", "true"), store.JobCreated)
		ok(t, st.DeleteProject(ctx, org, p.ID, 0))
		_, err := st.Job(ctx, p.ID, "a")
		wantCode(t, err, hub.CodeNotFound)
	})
}

// Importers of the same file at once make one job.
func TestPutJobRaced(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		changes := make(chan store.JobChange, 12)
		for range 12 {
			go func() {
				c, err := st.PutJob(ctx, newJob(p, "", "a", "true"), "ann")
				if err != nil {
					t.Error(err)
				}
				changes <- c
			}()
		}
		count := map[store.JobChange]int{}
		for range 12 {
			count[<-changes]++
		}
		same(t, count, map[store.JobChange]int{store.JobCreated: 1, store.JobUnchanged: 11})
	})
}
