package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// What is remembered of a job and its project never hides a change of either.
func TestJobToRunIsAsStored(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		b := newBench(t, st)
		put := func(group, text string) *hub.Job {
			j := job(text)
			j.OrganisationID, j.ProjectID, j.Group = b.project.OrganisationID, b.project.ID, group
			if _, err := st.PutJob(t.Context(), j, "test"); err != nil {
				t.Fatal(err)
			}
			return j
		}
		read := func(ref string) (*hub.Project, *hub.Job) {
			found, err := b.d.JobToRun(t.Context(), b.project.OrganisationID, "web", ref)
			if err != nil {
				t.Fatal(err)
			}
			return found.Project, found.Job
		}
		refused := func(project, ref, why string) {
			t.Helper()
			if _, err := b.d.JobToRun(t.Context(), b.project.OrganisationID, project, ref); err == nil || !strings.Contains(hub.ErrorMessage(err), why) {
				t.Errorf("%s of %s: %v, want %q", ref, project, err, why)
			}
		}
		refused("nowhere", "test", "no project")
		refused("web", "test", "no job")
		first := put("ops", "one")
		_, known := read("ops/test")
		if _, again := read(first.ID); again != known {
			t.Error("a job that has not changed was read again")
		}
		if put("ops", "two"); known.Workflow.Steps[0].Exec != "one" {
			t.Error("what was read before has changed")
		}
		if _, j := read("test"); j.Revision != 2 || j.Workflow.Steps[0].Exec != "two" {
			t.Errorf("after a change: %+v", j)
		}
		b.routes("a")
		b.nodes("a1")
		if p, _ := read("test"); len(p.Routes) != 1 || p.NodesRevision != 1 {
			t.Errorf("after a change of the project: %+v", p)
		}
		b.hold(2<<20, 1<<20)
		if found, err := b.d.JobToRun(t.Context(), b.project.OrganisationID, "web", "test"); err != nil || !found.Quota.Over() {
			t.Errorf("over the quota: %+v, %v", found.Quota, err)
		}
		put("dev", "three")
		refused("web", "test", "Several jobs")
		if err := st.DeleteJob(t.Context(), b.project.ID, first.ID, 0); err != nil {
			t.Fatal(err)
		}
		refused("web", first.ID, "no job")
		if _, j := read("test"); j.Group != "dev" {
			t.Errorf("after the other was deleted: %+v", j)
		}
	})
}

// A database that was brought back counts revisions anew.
func TestSameRevisionOfAnotherTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.New(t))
	p, j := *b.project, *job("x")
	j.ID, j.Revision, j.UpdatedAt = "j", 2, b.st.Now()
	at := store.FoundJob{
		ProjectID: p.ID, ProjectRevision: p.Revision, ProjectUpdatedAt: p.UpdatedAt, JobID: j.ID, JobRevision: j.Revision, JobUpdatedAt: j.UpdatedAt,
	}
	if known, of := b.d.Remembered(&p, &j, &at); known != &p || of != &j {
		t.Fatal("nothing is remembered")
	}
	at.JobUpdatedAt, at.ProjectUpdatedAt = at.JobUpdatedAt.Add(time.Microsecond), at.ProjectUpdatedAt.Add(time.Microsecond)
	if known, of := b.d.Remembered(&p, &j, &at); known != nil || of != nil {
		t.Error("revisions of another time were taken for those")
	}
}
