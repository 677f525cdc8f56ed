package retention_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/retention"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

const (
	org = hub.DefaultOrganisationID
	day = 24 * time.Hour
)

// rig is a project with executions.
type rig struct {
	t        *testing.T
	st       *store.Store
	project  *hub.Project
	archives archive.Archives
	term     int64
}

func both(t *testing.T, settings map[string]string, test func(t *testing.T, r *rig)) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		r := &rig{t: t, st: open(t), project: &hub.Project{OrganisationID: org, Name: "web", Settings: settings}}
		r.ok(r.st.CreateProject(t.Context(), r.project))
		r.lead("m")
		test(t, r)
	})
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// lead gives the lease to a member.
func (r *rig) lead(member string) {
	r.t.Helper()
	l, err := r.st.TakeLeaderLease(r.t.Context(), hub.LeaseArchive, member, 6, true)
	r.ok(err)
	r.term = l.Term
}

func (r *rig) job(name string) string {
	r.t.Helper()
	j := &hub.Job{OrganisationID: org, ProjectID: r.project.ID, Name: name, Source: "- name: " + name + "\n", Workflow: hub.Workflow{Steps: []hub.Step{{Exec: "true"}}}}
	_, err := r.st.PutJob(r.t.Context(), j, "ann")
	r.ok(err)
	return j.ID
}

// ran is an execution that was made for a test, with its attempt.
type ran struct{ id, attempt string }

const chunkText = 1000

// run makes an execution that ended some time ago, with chunks of chunkText bytes; ago 0: it
// has not ended.
func (r *rig) run(job string, status hub.Status, ago time.Duration, chunks int) ran {
	r.t.Helper()
	ctx := r.t.Context()
	e := &store.ExecutionRow{Execution: hub.Execution{ID: store.NewID(), OrganisationID: org, ProjectID: r.project.ID, JobID: job, CreatedAt: r.st.Now()}, Slices: 1, NodeCount: 1}
	g := &store.AssignmentRow{Assignment: hub.Assignment{ID: store.NewID(), ExecutionID: e.ID, OrganisationID: org, Nodes: []int{0}, Steps: []int{0}, State: hub.AssignmentActive, Attempts: 1}}
	a := &store.AttemptRow{Attempt: hub.Attempt{Fence: hub.Fence{AttemptID: store.NewID(), Epoch: 1}, AssignmentID: g.ID, ExecutionID: e.ID, OrganisationID: org, RunnerID: "r"}}
	log := store.LogAppend{AttemptID: a.AttemptID, ExecutionID: e.ID, To: int64(chunks), Lines: int64(chunks), TextBytes: int64(chunks) * chunkText}
	for i := range chunks {
		log.Hash = [32]byte{byte(i + 1)}
		log.Chunks = append(log.Chunks, store.ChunkRow{AttemptID: a.AttemptID, Seq: int64(i), FirstLine: int64(i), Lines: 1, FirstByte: int64(i) * chunkText, TextBytes: chunkText, Nodes: []int{0}, Hash: log.Hash, Data: []byte("data")})
	}
	r.ok(r.st.InTx(ctx, func(st *store.Store) error {
		err := st.InsertExecutions(ctx, []*store.ExecutionRow{e}, []*store.ExecutionSpec{{Definition: &hub.Job{}, Nodes: []hub.Node{{Name: "a"}}}})
		if err == nil {
			err = st.InsertAssignments(ctx, []*store.AssignmentRow{g})
		}
		if err == nil {
			err = st.InsertAttempts(ctx, []*store.AttemptRow{a})
		}
		if err == nil {
			err = st.PutNodeSteps(ctx, []hub.NodeStep{{ExecutionID: e.ID, Try: 1, AttemptID: a.AttemptID, Status: status}})
		}
		if err == nil && chunks > 0 {
			_, err = st.AppendChunks(ctx, []store.LogAppend{log}, 1, "m")
		}
		if err == nil && chunks > 0 {
			_, _, err = st.ExpectLog(ctx, a.AttemptID, e.ID, log.To, log.Hash, 1)
		}
		if err == nil && ago > 0 {
			err = st.EndExecutions(ctx, []store.Ending{{ID: e.ID, Outcome: status, EndedAt: st.Now().Add(-ago)}})
		}
		return err
	}))
	return ran{e.ID, a.AttemptID}
}

func (r *rig) purger(member string) *retention.Purger {
	return retention.New(r.st, retention.Config{MemberID: member, Archives: &r.archives, Age: 90 * day}, storetest.Logger(r.t))
}

// purge does one pass.
func (r *rig) purge() *retention.Purger {
	r.t.Helper()
	p := r.purger("m")
	r.pass(p)
	return p
}

func (r *rig) pass(p *retention.Purger) {
	r.t.Helper()
	for idle := false; !idle; {
		var err error
		idle, err = p.Step(r.t.Context(), r.term)
		r.ok(err)
	}
}

// there tells which of some executions people see, by their place in the list.
func (r *rig) there(list []ran) (out []int) {
	r.t.Helper()
	for i, e := range list {
		_, err := r.st.ExecutionRow(r.t.Context(), org, e.id)
		switch {
		case err == nil:
			out = append(out, i)
		case hub.ErrorCode(err) != hub.CodeNotFound:
			r.t.Fatal(err)
		}
	}
	return out
}

func (r *rig) want(what string, list []ran, want ...int) {
	r.t.Helper()
	if got := r.there(list); !slices.Equal(got, want) {
		r.t.Errorf("%s: %v are there, want %v", what, got, want)
	}
}

// rows counts what is left in the database of an execution.
func (r *rig) rows(e ran) (n int) {
	r.t.Helper()
	ctx := r.t.Context()
	rows, err := r.st.ExecutionRows(ctx, []string{e.id})
	r.ok(err)
	chunks, err := r.st.ChunkHeads(ctx, e.attempt, 0, 1000)
	r.ok(err)
	logs, err := r.st.Logs(ctx, []string{e.attempt})
	r.ok(err)
	steps, err := r.st.NodeSteps(ctx, e.id)
	r.ok(err)
	objects, err := r.st.ObjectsOf(ctx, e.id, 10)
	r.ok(err)
	return len(rows) + len(chunks) + len(logs) + len(steps) + len(objects)
}

func upTo(from, to int) (out []int) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// Without a word of the project executions go after 90 days, whole; but never the last ten of
// a job, what is kept, or what has not ended.
func TestAge(t *testing.T) {
	both(t, nil, func(t *testing.T, r *rig) {
		job := r.job("backup")
		var list []ran
		for range 13 {
			list = append(list, r.run(job, hub.StatusSucceeded, 100*day, 2))
		}
		list = append(list,
			r.run("", hub.StatusFailed, 91*day, 1), r.run("", hub.StatusFailed, 89*day, 1), r.run("", hub.StatusSucceeded, 0, 1),
			r.run("deleted", hub.StatusSucceeded, 91*day, 1))
		r.ok(r.st.SetKept(t.Context(), list[1].id, true))
		plan, err := r.purger("m").Plan(t.Context(), r.project)
		if err != nil || plan.Executions != 4 || plan.TextBytes != 6*chunkText || plan.Kept != 1 || plan.Ended != 16 || plan.Age != 90*day {
			t.Errorf("plan: %+v, %v", plan, err)
		}
		r.want("a plan takes nothing away", list, upTo(0, 17)...)
		p := r.purge()
		r.want("after a pass", list, append([]int{1}, append(upTo(3, 13), 14, 15)...)...)
		if n := r.rows(list[0]); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		if n := r.rows(list[3]); n != 5 {
			t.Errorf("%d rows of one that stays", n)
		}
		run, err := r.st.LastPurge(t.Context())
		if n, bytes, failures := p.Counts(); err != nil || n != 4 || bytes != 6*chunkText || failures != 0 || run.Executions != 4 || run.TextBytes != bytes || run.Error != "" || run.EndedAt.IsZero() {
			t.Errorf("%d executions, %d bytes, %d failures; %+v, %v", n, bytes, failures, run, err)
		}
		if err := r.st.SetKept(t.Context(), list[0].id, true); hub.ErrorCode(err) != hub.CodeNotFound {
			t.Errorf("keeping what is gone: %v", err)
		}
		r.ok(r.st.SetKept(t.Context(), list[1].id, false))
		r.purge()
		r.want("no longer kept", list, append(upTo(3, 13), 14, 15)...)
	})
}

// lost gives the attempt of an execution to its runner, which is not heard of again.
func (r *rig) lost(e ran) {
	r.t.Helper()
	ctx := r.t.Context()
	r.ok(r.st.AdoptAttempt(ctx, e.attempt, 1, []byte("boot"), nil, 1))
	r.ok(r.st.InTx(ctx, func(st *store.Store) error {
		gone, err := st.LoseAttempts(ctx, []string{e.attempt}, 100, "nothing was heard of its runner")
		if err == nil && !gone[e.attempt] {
			r.t.Error("it is not lost")
		}
		return err
	}))
}

// tells is the late result of an attempt that was lost.
func (r *rig) tells(e ran, chunks int64) {
	r.t.Helper()
	ctx := r.t.Context()
	r.ok(r.st.InTx(ctx, func(st *store.Store) error {
		_, err := st.StepAttempts(ctx, []store.AttemptStep{{ID: e.attempt, State: hub.AttemptUnknown, Event: "late_result", LogTotal: chunks, LateResult: "failed"}})
		return err
	}))
}

// A runner that comes back after weeks shows the grant that it still has. Had its rows gone
// by then, that would prove a database that went back, and hold the whole cluster.
func TestUnresolvedGrantsStay(t *testing.T) {
	both(t, map[string]string{"retention.days": "7"}, func(t *testing.T, r *rig) {
		edge := &hub.Runner{ID: "r", OrganisationID: org, Name: "edge"} // that of all attempts here
		r.ok(r.st.CreateRunner(t.Context(), edge))
		var list []ran
		for i := range 4 {
			e := r.run("", hub.StatusUnknown, 10*day, i)
			r.lost(e)
			list = append(list, e)
		}
		list = append(list, r.run("", hub.StatusSucceeded, 10*day, 1))
		r.tells(list[2], 2)
		r.tells(list[3], 5) // two more chunks than came
		r.purge()
		r.want("while its runner may come back", list, 0, 1, 3)
		r.tells(list[1], 1)
		r.purge()
		r.want("once it has told", list, 0, 3)
		r.ok(r.st.RevokeRunner(t.Context(), org, edge.ID))
		r.purge()
		r.want("once it was revoked", list)
	})
}

// A number that went is not given again, also when it was the highest.
func TestNumbersAreNotReused(t *testing.T) {
	both(t, nil, func(t *testing.T, r *rig) {
		first := r.run("", hub.StatusSucceeded, 91*day, 0)
		old, err := r.st.ExecutionRow(t.Context(), org, first.id)
		r.ok(err)
		r.purge()
		next, err := r.st.ExecutionRow(t.Context(), org, r.run("", hub.StatusSucceeded, day, 0).id)
		r.ok(err)
		if next.Number <= old.Number {
			t.Errorf("number %d after %d", next.Number, old.Number)
		}
	})
}

func TestFailuresStayLonger(t *testing.T) {
	settings := map[string]string{hub.SettingRetentionDays: "10", hub.SettingRetentionFailedDays: "30", hub.SettingRetentionExecutions: "10"}
	both(t, settings, func(t *testing.T, r *rig) {
		var list []ran
		for _, status := range []hub.Status{hub.StatusSucceeded, hub.StatusCancelled, hub.StatusFailed, hub.StatusTimedOut, hub.StatusUnknown} {
			list = append(list, r.run("", status, 11*day, 1))
		}
		list = append(list, r.run("", hub.StatusFailed, 31*day, 1))
		for range 10 {
			r.run("", hub.StatusSucceeded, 2*day, 1)
		}
		r.purge()
		r.want("failures", list, 2, 3, 4)
	})
}

// By count each job has its own, commands together are one, and the last day stays.
func TestCount(t *testing.T) {
	both(t, map[string]string{hub.SettingRetentionDays: "0", hub.SettingRetentionExecutions: "12"}, func(t *testing.T, r *rig) {
		a, b := r.job("a"), r.job("b")
		var ofA, ofB, commands []ran
		for i := range 15 {
			ofA = append(ofA, r.run(a, hub.StatusSucceeded, time.Duration(1000-i)*day, 0))
			commands = append(commands, r.run("", hub.StatusSucceeded, 2*day, 0))
			if i < 11 {
				ofB = append(ofB, r.run(b, hub.StatusSucceeded, 900*day, 0))
			}
		}
		today := []ran{r.run("deleted", hub.StatusSucceeded, time.Hour, 0)}
		for range 13 {
			r.run("deleted", hub.StatusSucceeded, 23*time.Hour, 0)
		}
		r.purge()
		r.want("a", ofA, upTo(3, 15)...)
		r.want("b", ofB, upTo(0, 11)...)
		r.want("commands", commands, upTo(3, 15)...)
		r.want("of today", today, 0)
	})
}

// By size the newest logs stay that fit together, and a failure goes as any other.
func TestBytes(t *testing.T) {
	both(t, map[string]string{hub.SettingRetentionBytes: "1048576", hub.SettingRetentionFailedDays: "100"}, func(t *testing.T, r *rig) {
		var list []ran
		for i := range 6 {
			status := hub.StatusSucceeded
			if i%2 == 0 {
				status = hub.StatusFailed
			}
			list = append(list, r.run("", status, 2*day, 300))
		}
		r.purge()
		r.want("by size", list, 3, 4, 5)
		r.purge()
		r.want("once more", list, 3, 4, 5)
	})
}

// Projects that were deleted leave executions; they go by the hub's own rule.
func TestDeletedProject(t *testing.T) {
	both(t, map[string]string{hub.SettingRetentionDays: "0"}, func(t *testing.T, r *rig) {
		list := []ran{r.run(r.job("a"), hub.StatusSucceeded, 91*day, 1), r.run("", hub.StatusSucceeded, 80*day, 1)}
		r.purge()
		r.want("kept for ever", list, 0, 1)
		r.ok(r.st.DeleteProject(t.Context(), org, r.project.ID, 0))
		r.purge()
		r.want("deleted", list, 1)
	})
}

func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Objects go with their executions. While an archive does not delete, nobody sees the
// execution any more, its rows stay, the others go, and people are told.
func TestArchivedLogs(t *testing.T) {
	both(t, nil, func(t *testing.T, r *rig) {
		in, dir := archivetest.OpenDirectory(t)
		r.archives.Current = in
		path, err := archive.ParsePath(archive.DefaultPath)
		r.ok(err)
		archived := []ran{r.run("", hub.StatusSucceeded, 91*day, 40), r.run("", hub.StatusSucceeded, 2*day, 3)}
		packer := output.NewPacker(r.st, output.PackerConfig{MemberID: "m", Archives: &r.archives, Path: path}, storetest.Logger(t))
		if packed, failed, err := packer.Pack(t.Context(), r.term); err != nil || packed != 2 || failed != 0 {
			t.Fatalf("%d packed, %d failed, %v", packed, failed, err)
		}
		row := r.run("", hub.StatusSucceeded, 91*day, 1)
		r.archives.Current = nil // as if it was not configured
		p := r.purge()
		r.want("without the archive", archived, 1)
		run, err := r.st.LastPurge(t.Context())
		n, since, berr := r.st.PurgeBacklog(t.Context())
		if _, _, failures := p.Counts(); failures != 1 || run.Error == "" || err != nil || n != 1 || since.IsZero() || berr != nil {
			t.Errorf("%d failures, %+v, %v; %d wait, %v", failures, run, err, n, berr)
		}
		if r.rows(archived[0]) == 0 || r.rows(row) != 0 || files(t, dir) != 2 {
			t.Errorf("%d rows of the archived one, %d of the other, %d objects", r.rows(archived[0]), r.rows(row), files(t, dir))
		}
		r.archives.Current = in
		r.purge()
		if n := r.rows(archived[0]); n != 0 || files(t, dir) != 1 {
			t.Errorf("%d rows and %d objects are left", n, files(t, dir))
		}
		r.ok(os.RemoveAll(dir))
		r.want("the other", archived, 1)
	})
}

// offline is an archive that takes an object and does not answer afterwards.
type offline struct{ archive.Archive }

func (o offline) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, errors.New("no answer")
}

// A log was put into an archive, which was not noted before the hub was configured for another
// one: when the execution goes, so does what was left in the first.
func TestObjectThatNoRowTellsOf(t *testing.T) {
	both(t, nil, func(t *testing.T, r *rig) {
		was, wasDir := archivetest.OpenDirectory(t)
		is, isDir := archivetest.OpenDirectory(t)
		path, err := archive.ParsePath(archive.DefaultPath)
		r.ok(err)
		e := r.run("", hub.StatusSucceeded, 91*day, 3)
		for _, test := range []struct {
			in             archive.Archive
			packed, failed int
		}{{offline{was}, 0, 1}, {is, 1, 0}} {
			_, err := r.st.RetryArchive(t.Context())
			r.ok(err)
			packer := output.NewPacker(r.st, output.PackerConfig{MemberID: "m", Archives: &archive.Archives{Current: test.in}, Path: path}, storetest.Logger(t))
			if packed, failed, err := packer.Pack(t.Context(), r.term); err != nil || packed != test.packed || failed != test.failed {
				t.Fatalf("%d packed, %d failed, %v", packed, failed, err)
			}
		}
		if files(t, wasDir) != 1 || files(t, isDir) != 1 {
			t.Fatalf("%d and %d objects", files(t, wasDir), files(t, isDir))
		}
		r.archives = archive.Archives{Current: is, Other: was}
		r.purge()
		if n := r.rows(e); n != 0 || files(t, wasDir) != 0 || files(t, isDir) != 0 {
			t.Errorf("%d rows, %d and %d objects are left", n, files(t, wasDir), files(t, isDir))
		}
	})
}

// beside is an archive at which something else happens meanwhile, once each.
type beside struct {
	archive.Archive

	onDelete, onPut func()
}

func (b *beside) Delete(ctx context.Context, key string) error {
	once(&b.onDelete)
	return b.Archive.Delete(ctx, key)
}

func (b *beside) Put(ctx context.Context, key string, size int64, body io.Reader) error {
	err := b.Archive.Put(ctx, key, size, body)
	once(&b.onPut)
	return err
}

func once(f *func()) {
	if do := *f; do != nil {
		*f = nil
		do()
	}
}

// A log that is moved to another archive while its execution is deleted is left in neither.
func TestMoveBesidePurge(t *testing.T) {
	both(t, nil, func(t *testing.T, r *rig) {
		in, oldDir := archivetest.OpenDirectory(t)
		to, newDir := archivetest.OpenDirectory(t)
		path, err := archive.ParsePath(archive.DefaultPath)
		r.ok(err)
		for name, hook := range map[string]func(from, to *beside, move, purge func()){
			"moved before the object was deleted": func(from, _ *beside, move, purge func()) { from.onDelete = move; purge() },
			"deleted before the move was noted":   func(_, to *beside, move, purge func()) { to.onPut = purge; move() },
		} {
			from, next := &beside{Archive: in}, &beside{Archive: to}
			e := r.run("", hub.StatusSucceeded, 91*day, 3)
			packed := output.PackerConfig{MemberID: "m", Archives: &archive.Archives{Current: in}, Path: path}
			if packed, failed, err := output.NewPacker(r.st, packed, storetest.Logger(t)).Pack(t.Context(), r.term); err != nil || packed != 1 || failed != 0 {
				t.Fatalf("%d packed, %d failed, %v", packed, failed, err)
			}
			r.archives = archive.Archives{Current: next, Other: from}
			mover := output.NewPacker(r.st, output.PackerConfig{Archives: &r.archives}, storetest.Logger(t))
			hook(from, next, func() {
				r.ok(mover.Move(t.Context(), next.Name(), func(output.Moved) {}))
			}, func() { r.purge() })
			if n := r.rows(e); n != 0 || files(t, oldDir) != 0 || files(t, newDir) != 0 {
				t.Errorf("%s: %d rows, %d old objects, %d new ones", name, n, files(t, oldDir), files(t, newDir))
			}
		}
	})
}

// A leader that is killed while it deletes leaves something that nobody sees; the next one
// goes on, and the old one, if it still lives, may do nothing.
func TestKilledLeader(t *testing.T) {
	both(t, nil, func(t *testing.T, r *rig) {
		ctx := t.Context()
		e := r.run("", hub.StatusSucceeded, 91*day, 100)
		first := r.purger("m")
		for n := int64(0); n == 0; {
			_, err := first.Step(ctx, r.term)
			r.ok(err)
			n, _, err = r.st.PurgeBacklog(ctx)
			r.ok(err)
		}
		r.want("while it is deleted", []ran{e})
		whole := r.rows(e)
		r.ok(r.st.InTx(ctx, func(st *store.Store) error {
			more, err := st.DeletePurged(ctx, e.id)
			if err == nil && !more {
				err = fmt.Errorf("all of 100 chunks went at once")
			}
			return err
		}))
		if n := r.rows(e); n == 0 || n >= whole {
			t.Fatalf("%d rows of %d are left in the middle", n, whole)
		}
		old := r.term
		r.ok(r.st.EndLeaderLease(ctx, hub.LeaseArchive, "m", old))
		r.lead("n")
		if _, err := first.Step(ctx, old); !errors.Is(err, retention.ErrTerm) {
			t.Errorf("the old leader: %v", err)
		}
		r.pass(r.purger("n"))
		if n := r.rows(e); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		if n, _, err := r.st.PurgeBacklog(ctx); n != 0 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
	})
}

// A report that comes while its attempt is deleted leaves nothing behind.
func TestLateReportBesidePurge(t *testing.T) {
	t.Parallel()
	cfg, ctx := storetest.PostgresConfig(t), t.Context()
	st, err := store.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	r := &rig{t: t, st: st, project: &hub.Project{OrganisationID: org, Name: "web"}}
	r.ok(st.CreateProject(ctx, r.project))
	e := r.run("", hub.StatusSucceeded, 91*day, 0)
	_, err = st.Purge(ctx, []string{e.id})
	r.ok(err)
	deleted := make(chan error, 1)
	r.ok(st.InTx(ctx, func(in *store.Store) error {
		if _, err := in.WithdrawAttempts(ctx, []string{e.attempt}, "expire", "late"); err != nil {
			return err
		}
		go func() {
			deleted <- st.InTx(ctx, func(in *store.Store) error {
				more, err := in.DeletePurged(ctx, e.id)
				if more {
					err = errors.Join(err, errors.New("not all went at once"))
				}
				return err
			})
		}()
		for storetest.Count(t, cfg, `SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`) == 0 {
			if t.Failed() || ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}))
	r.ok(<-deleted)
	if n := r.rows(e) + storetest.Count(t, cfg, `SELECT count(*) FROM attempt_event`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
