package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

func TestProjectRoundTrip(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := &hub.Project{
			OrganisationID: org, Name: "web", Description: "the \"web\"\nof Zürich",
			Settings: map[string]string{"a": "b"},
			Routes:   []hub.Route{{Filter: "tags: x", Tags: []string{"dc2"}}, {}},
		}
		ok(t, st.CreateProject(ctx, p))
		same(t, must(st.Project(ctx, org, "web"))(t), p)
		same(t, must(st.Project(ctx, org, p.ID))(t), p)
		_, err := st.Project(ctx, org, "other")
		wantCode(t, err, hub.CodeNotFound)
		_, err = st.Project(ctx, "another-organisation", "web")
		wantCode(t, err, hub.CodeNotFound)
		wantCode(t, st.CreateProject(ctx, &hub.Project{OrganisationID: org, Name: "web"}), hub.CodeConflict)
	})
}

func TestProjectIsChangedByOneEditor(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		one, two := *p, *p
		one.Description = "one"
		ok(t, st.UpdateProject(ctx, &one))
		two.Description = "two"
		wantCode(t, st.UpdateProject(ctx, &two), hub.CodeConflict)
		same(t, must(st.Project(ctx, org, "web"))(t), &one)
		if one.Revision != 2 {
			t.Errorf("revision is %d, want 2", one.Revision)
		}
		wantCode(t, st.DeleteProject(ctx, org, p.ID, 1), hub.CodeConflict)
		ok(t, st.DeleteProject(ctx, org, p.ID, 2))
		wantCode(t, st.DeleteProject(ctx, org, p.ID, 0), hub.CodeNotFound)
		wantCode(t, st.UpdateProject(ctx, &one), hub.CodeNotFound)
	})
}

func TestProjectWithARunningExecutionStays(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		e := &store.ExecutionRow{}
		e.ID, e.OrganisationID, e.ProjectID, e.CreatedAt = store.NewID(), org, p.ID, st.Now()
		ok(t, st.InTx(ctx, func(st *store.Store) error {
			return st.InsertExecutions(ctx, []*store.ExecutionRow{e}, []*store.ExecutionSpec{{Definition: &hub.Job{}}})
		}))
		wantCode(t, st.DeleteProject(ctx, org, p.ID, 0), hub.CodeConflict)
		must(st.Project(ctx, org, "web"))(t)
	})
}

func TestProjectsArePagedByName(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		// Byte order, whatever the locale of the database.
		want := []string{"B", "_c", "a", "a b", "é"}
		for _, n := range []string{"a", "é", "B", "a b", "_c"} {
			makeProject(ctx, t, st, n)
		}
		var got []string
		page := store.Page{Limit: 2}
		for {
			list, next, err := st.Projects(ctx, org, page)
			ok(t, err)
			for _, p := range list {
				got = append(got, p.Name)
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		same(t, got, want)
		_, _, err := st.Projects(ctx, org, store.Page{Cursor: "nonsense"})
		wantCode(t, err, hub.CodeInvalid)
	})
}

func TestTextThatCannotBeStoredIsRefused(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		for _, name := range []string{"a\x00b", "a\xffb"} {
			wantCode(t, st.CreateProject(ctx, &hub.Project{OrganisationID: org, Name: name}), hub.CodeInvalid)
			_, err := st.Project(ctx, org, name)
			wantCode(t, err, hub.CodeInvalid)
			_, _, err = st.Jobs(ctx, "p", store.JobQuery{Search: name})
			wantCode(t, err, hub.CodeInvalid)
		}
	})
}

func TestNodesAreReplacedAsAWhole(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		var nodes []hub.Node
		for i := range 1201 {
			nodes = append(nodes, hub.Node{
				Name: fmt.Sprintf("n%04d", i), Hostname: "h:22", Username: "u", Description: "d",
				Tags: []string{"x", "y"}, Attributes: map[string]string{"osFamily": "unix"},
			})
		}
		if rev := must(st.ReplaceNodes(ctx, p.ID, nodes))(t); rev != 1 {
			t.Errorf("revision is %d, want 1", rev)
		}
		same(t, must(st.Nodes(ctx, p.ID))(t), nodes)
		same(t, *must(st.Node(ctx, p.ID, "n0007"))(t), nodes[7])
		_, err := st.ReplaceNodes(ctx, p.ID, []hub.Node{{Name: "a"}, {Name: "a"}})
		wantCode(t, err, hub.CodeInvalid)
		same(t, len(must(st.Nodes(ctx, p.ID))(t)), 1201)
		must(st.ReplaceNodes(ctx, p.ID, nodes[:1]))(t)
		same(t, must(st.Nodes(ctx, p.ID))(t), nodes[:1])
		_, err = st.Node(ctx, p.ID, "n0007")
		wantCode(t, err, hub.CodeNotFound)
		_, err = st.ReplaceNodes(ctx, "nowhere", nodes)
		wantCode(t, err, hub.CodeNotFound)
		same(t, must(st.Project(ctx, org, "web"))(t).NodesRevision, int64(2))
	})
}

func TestHostKeys(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		record := func(node, key string, want hub.HostKeyState) {
			t.Helper()
			same(t, must(st.RecordHostKey(ctx, p.ID, node, key, "runner"))(t), want)
		}
		record("n1", "ssh-ed25519 AAAA", hub.HostKeyAccepted)
		record("n1", "ssh-ed25519 AAAA", hub.HostKeyAccepted)
		record("n1", "ssh-ed25519 BBBB", hub.HostKeyConflict)
		record("n1", "ssh-ed25519 BBBB", hub.HostKeyConflict)
		record("n2", "ssh-ed25519 CCCC", hub.HostKeyAccepted)
		states := func(nodes ...string) map[string]hub.HostKeyState {
			m := map[string]hub.HostKeyState{}
			for _, k := range must(st.HostKeys(ctx, p.ID, nodes...))(t) {
				m[k.Node+" "+k.Key[len(k.Key)-4:]] = k.State
			}
			return m
		}
		same(t, states(), map[string]hub.HostKeyState{"n1 AAAA": "accepted", "n1 BBBB": "conflict", "n2 CCCC": "accepted"})
		ok(t, st.AcceptHostKey(ctx, p.ID, "n1", "ssh-ed25519 BBBB"))
		same(t, states("n1"), map[string]hub.HostKeyState{"n1 BBBB": "accepted"})
		ok(t, st.AcceptHostKey(ctx, p.ID, "n3", "ssh-ed25519 DDDD"))
		many := []string{"n3"}
		for i := range 1200 {
			many = append(many, fmt.Sprintf("x%d", i))
		}
		same(t, states(many...), map[string]hub.HostKeyState{"n3 DDDD": "accepted"})
		same(t, must(st.ForgetHostKeys(ctx, p.ID, "n1"))(t), int64(1))
		record("n1", "ssh-ed25519 AAAA", hub.HostKeyAccepted)
		_, err := st.RecordHostKey(ctx, "nowhere", "n", "k", "r")
		wantCode(t, err, hub.CodeNotFound)
	})
}

// Two runners that see a new node at once: one key is accepted, the other a conflict.
func TestHostKeysRaced(t *testing.T) {
	both(t, func(ctx context.Context, t *testing.T, st *store.Store) {
		p := makeProject(ctx, t, st, "web")
		states := make(chan hub.HostKeyState, 16)
		for i := range 16 {
			go func() {
				s, err := st.RecordHostKey(ctx, p.ID, "n", fmt.Sprintf("key %d", i), "r")
				if err != nil {
					t.Error(err)
				}
				states <- s
			}()
		}
		count := map[hub.HostKeyState]int{}
		for range 16 {
			count[<-states]++
		}
		same(t, count, map[hub.HostKeyState]int{hub.HostKeyAccepted: 1, hub.HostKeyConflict: 15})
	})
}
