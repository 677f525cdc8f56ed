package faults

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/fairlead/fairlead/e2e/lab"
)

// belongings are rows of executions, by what tells whose they are.
var belongings = map[string]string{
	"execution": "id", "execution_spec": "execution_id", "assignment": "execution_id", "attempt": "execution_id",
	"attempt_log": "execution_id", "node_step": "execution_id", "log_archive": "execution_id",
}

// purged is a world whose hub stands still, with old executions that need not stay.
type purged struct {
	*world

	old   []lab.Execution
	young lab.Execution
	log   string // of young
}

// command runs one on the first node to its end; its log is whole and, with an archive, in it.
func (w *world) command(text string, archive string, objects int) lab.Execution {
	w.Helper()
	var e lab.Execution
	w.must(w.hub.Do(w.ctx, "POST", "/projects/p/executions", map[string]any{"command": text, "nodeFilter": w.nodes[0]}, &e))
	e = w.end(e.ID, "succeeded", 60*time.Second)
	if archive != "" {
		w.await("its log is archived", 60*time.Second, func() bool { return len(archived(w.T, archive)) == objects })
	}
	return e
}

// inDatabase does something to the file of a hub that stands still.
func (w *world) inDatabase(do func(*sql.DB)) {
	w.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.hub.DataDir, "fairlead.db"))
	w.must(err)
	do(db)
	w.must(db.Close())
}

func newPurged(t *testing.T, command, archive string, env ...string) *purged {
	t.Helper()
	world, _ := newWorld(t, setup{nodes: 1, local: true, hubEnv: env})
	w := &purged{world: world}
	for i := range 3 {
		e := w.command(command, archive, i+1)
		if i < 2 {
			w.old = append(w.old, e)
		} else {
			w.young = e
		}
	}
	var err error
	w.log, err = w.hub.Log(w.ctx, w.young.ID, "format=text")
	w.must(err)
	w.hub.Process.Kill()
	w.inDatabase(func(db *sql.DB) {
		for _, e := range w.old {
			_, err := db.ExecContext(w.ctx, `UPDATE execution SET ended_at = ended_at - $1 WHERE id = $2`, (100 * 24 * time.Hour).Microseconds(), e.ID)
			w.must(err)
		}
	})
	return w
}

// rows counts what the database has of an execution.
func (w *purged) rows(e lab.Execution) (n int) {
	w.Helper()
	w.inDatabase(func(db *sql.DB) {
		for table, id := range belongings {
			var some int
			w.must(db.QueryRowContext(w.ctx, `SELECT COUNT(*) FROM `+table+` WHERE `+id+` = $1`, e.ID).Scan(&some))
			n += some
		}
	})
	return n
}

// chunks counts those of the young execution, and all others: also such as no log claims.
func (w *purged) chunks() (young, others int) {
	w.Helper()
	w.inDatabase(func(db *sql.DB) {
		w.must(db.QueryRowContext(w.ctx, `SELECT COUNT(l.attempt_id), COUNT(*) - COUNT(l.attempt_id) FROM output_chunk c
			LEFT JOIN attempt_log l ON l.attempt_id = c.attempt_id AND l.execution_id = $1`, w.young.ID).Scan(&young, &others))
	})
	return young, others
}

// gone checks that nobody sees the old executions, and everyone the young one, whole.
func (w *purged) gone() {
	w.Helper()
	for _, e := range w.old {
		for _, path := range []string{"", "/nodes", "/log?format=text"} {
			err := w.hub.Do(w.ctx, "GET", "/executions/"+e.ID+path, nil, nil)
			if is, ok := errors.AsType[*lab.Error](err); !ok || is.Status != 404 {
				w.Errorf("execution %d%s of which a part may be left: %v", e.Number, path, err)
			}
		}
	}
	var list struct{ Items []lab.Execution }
	w.must(w.hub.Do(w.ctx, "GET", "/executions", nil, &list))
	if len(list.Items) != 1 || list.Items[0].ID != w.young.ID || !list.Items[0].LogComplete {
		w.Errorf("the list has %+v", list.Items)
	}
	if log, err := w.hub.Log(w.ctx, w.young.ID, "format=text"); err != nil || log != w.log {
		w.Errorf("the log of the other has %d bytes, want %d: %v", len(log), len(w.log), err)
	}
}

// The hub dies in the midst of a purge: once executions are taken out of view, between their
// objects and the rows of these, and between the rows. Nothing half is shown, the next start
// ends it, and what need not go is whole.
func TestHubKilledWhilePurging(t *testing.T) {
	t.Parallel()
	for point, with := range map[string]struct {
		archive bool
		command string // of the last point one with more chunks than go at once
	}{
		"hub.purge.after-taken":   {true, "echo hello"},
		"hub.purge.after-objects": {true, "echo hello"},
		"hub.purge.after-rows":    {false, "yes $(printf %01000d 1) | head -n 10000"},
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			var archive string
			var env []string
			if with.archive {
				archive = tempDir(t)
				env = append(env, "FAIRLEAD_HUB_ARCHIVE_URL=file://"+archive)
			}
			w := newPurged(t, with.command, archive, env...)
			young, before := w.chunks()
			w.hub.SetEnv(append(env, "FAIRLEAD_FAILPOINT="+point)...)
			w.must(w.hub.Launch())
			select {
			case <-w.hub.Process.Done():
			case <-time.After(60 * time.Second):
				t.Fatalf("the hub did not reach %s", point)
			}
			left := w.rows(w.old[0]) + w.rows(w.old[1])
			if _, between := w.chunks(); left == 0 || point == "hub.purge.after-rows" && (between == 0 || between >= before) {
				t.Fatalf("it was not in the midst: %d rows, %d chunks of %d", left, between, before)
			}
			w.hub.SetEnv(env...)
			w.must(w.hub.Start(w.ctx))
			w.gone()
			w.await("all is deleted", 60*time.Second, func() bool {
				var cluster struct{ Retention struct{ Deleting int } }
				err := w.hub.Do(w.ctx, "GET", "/cluster", nil, &cluster)
				return err == nil && cluster.Retention.Deleting == 0
			})
			w.gone()
			w.hub.Process.Kill()
			now, others := w.chunks()
			if n := w.rows(w.old[0]) + w.rows(w.old[1]); n != 0 || others != 0 || now != young {
				t.Errorf("%d rows and %d chunks are left; the other has %d chunks of %d", n, others, now, young)
			}
			if n := w.rows(w.young); n < len(belongings)-1 {
				t.Errorf("%d rows of the other", n)
			}
			if with.archive && len(archived(t, archive)) != 1 {
				t.Errorf("the archive holds %q", archived(t, archive))
			}
		})
	}
}
