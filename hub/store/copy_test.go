package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// What a hub on SQLite has is the same behind a copy, in every table and every row,
// and goes on from there.
func TestCopy(t *testing.T) {
	t.Parallel()
	ctx, from, to := t.Context(), storetest.Config(t), ownDatabase(t)
	past := fillEverything(t, from)
	before := content(t, dirOf(from.Path))
	told := map[string]int64{}
	copied := must(store.Copy(ctx, from.Path, to, func(p store.CopyProgress) {
		if p.Rows == p.Total {
			told[fmt.Sprint(p.Verifying, p.Table)] = p.Rows
		}
	}))(t)
	after := content(t, dirOf(from.Path))
	delete(after, "hub.db.lock") // the copy's process is in it
	delete(before, "hub.db.lock")
	same(t, after, before)

	lite, post := everyRow(t, "sqlite", from.Path, tablesOf(t, from.Path)), everyRow(t, "pgx", to.URL, tablesOf(t, from.Path))
	same(t, post, lite)
	same(t, len(copied), len(lite))
	for _, c := range copied {
		if n := int64(len(lite[c.Table])); c.Rows != n || n == 0 || told["false"+c.Table] != n || told["true"+c.Table] != n {
			t.Errorf("table %s has %d rows, told are %d, in the end %d", c.Table, n, told["false"+c.Table], c.Rows)
		}
	}
	goesOn(t, to, past)

	_, err := store.Copy(ctx, from.Path, to, func(store.CopyProgress) {})
	wantCode(t, err, hub.CodeConflict)
	for _, part := range []string{"not empty", "execution (", "it is complete: start the hub on it"} {
		if msg := hub.ErrorMessage(err); !strings.Contains(msg, part) {
			t.Errorf("a second copy is refused with %q, without %q", msg, part)
		}
	}
}

// ownDatabase makes an empty database that an ordinary role owns: who may make triggers
// but is no superuser.
func ownDatabase(t *testing.T) store.Config {
	t.Helper()
	server := storetest.StartServer(t)
	db, err := sql.Open("pgx", server.URL("postgres"))
	ok(t, err)
	defer db.Close()
	must(db.Exec(`CREATE ROLE fairlead LOGIN`))(t)
	// Names sort as people of some language expect, unlike in SQLite.
	must(db.Exec(`CREATE DATABASE moved OWNER fairlead TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`))(t)
	u, err := url.Parse(server.URL("moved"))
	ok(t, err)
	q := u.Query()
	q.Set("user", "fairlead")
	u.RawQuery = q.Encode()
	return store.Config{URL: u.String(), PoolSize: 4, Log: storetest.Logger(t)}
}

func dirOf(path string) string { return path[:strings.LastIndex(path, "/")] }

// past is what a test remembers of a hub on SQLite.
type past struct {
	user   *hub.User
	number int64 // the highest ever, of an execution that is gone
	open   *store.AssignmentRow
	runner string
}

// fillEverything makes a past with rows in every table, executions in every state of
// their life among them.
func fillEverything(t *testing.T, cfg store.Config) past {
	t.Helper()
	ctx := t.Context()
	st, err := store.Open(ctx, cfg)
	ok(t, err)
	p := past{user: makeUser(ctx, t, st, "ann")}
	fillInstallation(ctx, t, st, p.user)
	p.runner = session(t, st, "east", 1)
	for _, result := range []hub.AttemptState{hub.AttemptSucceeded, hub.AttemptFailed, hub.AttemptUnknown, hub.AttemptRunning} {
		liveThrough(ctx, t, st, p.runner, result)
	}
	_, p.open = work(t, st)
	gone, a := work(t, st)
	p.number = gone.Number
	must(store.Exec(ctx, st, `DELETE FROM assignment WHERE id = $1`, a.ID))(t)
	must(store.Exec(ctx, st, `DELETE FROM execution WHERE id = $1`, gone.ID))(t)
	ok(t, st.Close())
	fillRest(t, cfg.Path)
	return p
}

// fillInstallation makes what is there beside executions.
func fillInstallation(ctx context.Context, t *testing.T, st *store.Store, u *hub.User) {
	t.Helper()
	must(st.Cluster(ctx))(t)
	must(st.SetClusterCA(ctx, []byte("der\x00"), []byte("sealed")))(t)
	ok(t, st.JoinMember(ctx, &hub.Member{ID: "m", Name: "m", Nonce: []byte("n")}))
	_, _, err := st.AdvanceTick(ctx, 0, []byte("nonce"))
	ok(t, err)
	p := makeProject(ctx, t, st, "Größe ☃ 'a' \"b\" \\ \t\n")
	must(st.ReplaceNodes(ctx, p.ID, []hub.Node{{Name: "b"}, {Name: "A"}, {Name: "ä"}}))(t)
	must(st.RecordHostKey(ctx, p.ID, "b", "ssh-ed25519 AAAA", "r"))(t)
	put(ctx, t, st, newJob(p, "ops", "backup", "true"), store.JobCreated)
	putCalendar(ctx, t, st, p, "holidays", "12-24..01-01")
	j := scheduledJob(p, "nightly", "0 0 2 * * ?")
	j.Calendars = []string{"holidays"}
	put(ctx, t, st, j, store.JobCreated)
	parked(ctx, t, st, j, later(st, 3.6e12), []byte{0, 1, 255})
	// An empty value is not the same as none.
	ok(t, st.SetKey(ctx, &hub.Key{OrganisationID: org, Path: "keys/empty", Type: "password"}, func(int64) ([]byte, error) { return []byte{}, nil }))
	ok(t, st.CreateAPIToken(ctx, &hub.APIToken{OrganisationID: org, UserID: u.ID, SecretHash: hash("token")}))
	ok(t, st.CreateUserSession(ctx, &hub.UserSession{IDHash: hash("cookie"), OrganisationID: org, UserID: u.ID, ExpiresAt: later(st, 1e12)}))
	ok(t, st.CreateSignInLink(ctx, &hub.SignInLink{SecretHash: hash("link"), UserID: u.ID, ExpiresAt: later(st, 1e12)}))
	ok(t, st.CreateEnrolmentToken(ctx, &hub.EnrolmentToken{OrganisationID: org, SecretHash: hash("enrol"), ExpiresAt: later(st, 1e12)}))
	r := makeRunner(ctx, t, st, "west")
	ok(t, st.AddRunnerCertificate(ctx, &hub.RunnerCertificate{Serial: "1", RunnerID: r.ID, PublicKey: hash("key"), DER: []byte{0, 1, 255}}))
	must(st.KeepIdempotent(ctx, store.IdempotentResponse{Principal: "ann", Key: "k", RequestHash: hash("r"), Status: 201, Response: "{}"}))(t)
	must(st.EnsureSetting(ctx, "a", []byte("x")))(t)
	ok(t, st.Audit(ctx, hub.AuditEvent{OrganisationID: org, Actor: "user:ann", Action: "job.import", Result: "done"}))
}

// liveThrough takes an execution from its start to a state of its attempt, with a node
// step and two chunks of output.
func liveThrough(ctx context.Context, t *testing.T, st *store.Store, runner string, state hub.AttemptState) {
	t.Helper()
	e, a := work(t, st)
	at := must(offer(ctx, st, a, runner))(t)
	if got := must(store.Claim(ctx, st, []store.ClaimAsk{{AttemptID: at.AttemptID, RunnerID: runner, Session: 1}}))(t); !got[at.AttemptID] {
		t.Fatal("the claim was refused")
	}
	must(st.RenewLeases(ctx, []string{at.AttemptID}, []string{runner}, 7))(t)
	step := hub.NodeStep{ExecutionID: e.ID, AttemptID: at.AttemptID, Try: 1, Status: hub.StatusRunning, Data: map[string]string{"k": "v"}, StartedAt: st.Now()}
	steps := []store.AttemptStep{{ID: at.AttemptID, NextN: 1, Hash: [32]byte{1}, State: hub.AttemptRunning, Event: "steps", StepsTotal: -1}}
	if state != hub.AttemptRunning {
		step.Status, step.Exited, step.EndedAt = hub.Status(state), true, st.Now()
		steps = append(steps, store.AttemptStep{
			ID: at.AttemptID, FirstN: 1, PrevHash: [32]byte{1}, NextN: 2, Hash: [32]byte{2}, State: state, Event: "result",
			StepsTotal: 2, LogTotal: 2, LogHash: [32]byte{3}, Signature: []byte("signed"),
		})
	}
	ok(t, st.InTx(ctx, func(st *store.Store) error {
		_, err := st.AppendChunks(ctx, []store.LogAppend{{AttemptID: at.AttemptID, ExecutionID: e.ID, To: 2, Hash: [32]byte{3}, Lines: 2, TextBytes: 8, Chunks: []store.ChunkRow{
			{AttemptID: at.AttemptID, Lines: 1, TextBytes: 4, Nodes: []int{0}, Data: []byte{0, 0xff, 0x28, 0xb5}},
			{AttemptID: at.AttemptID, Seq: 1, FirstLine: 1, Lines: 1, FirstByte: 4, TextBytes: 4, Nodes: []int{0}, Data: []byte{}},
		}}}, 7, "m")
		return errors.Join(err, st.MarkRunning(ctx, []string{e.ID}), st.PutNodeSteps(ctx, []hub.NodeStep{step}))
	}))
	for _, s := range steps {
		ok(t, st.InTx(ctx, func(st *store.Store) error {
			moved, err := st.StepAttempts(ctx, []store.AttemptStep{s})
			if err == nil && !moved[at.AttemptID] {
				return fmt.Errorf("the attempt did not become %s", s.State)
			}
			return err
		}))
	}
	if state != hub.AttemptRunning {
		ok(t, st.InTx(ctx, func(st *store.Store) error {
			return st.EndExecutions(ctx, []store.Ending{{ID: e.ID, Outcome: hub.Status(state), EndedAt: st.Now(), Sealed: true, NodeCounts: hub.NodeCounts{hub.Status(state): 1}}})
		}))
	}
}

// fillRest gives a row to each table that the above knows nothing of.
func fillRest(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	ok(t, err)
	defer db.Close()
	for table, columns := range tablesOf(t, path) {
		var n int
		ok(t, db.QueryRow(`SELECT COUNT(*) FROM `+table).Scan(&n))
		if n > 0 {
			continue
		}
		values := make([]string, len(columns))
		for i, c := range columns {
			values[i] = map[string]string{"TEXT": "'x'", "BLOB": "x'00ff'", "BOOLEAN": "TRUE"}[c.Type]
			if values[i] == "" {
				values[i] = "1"
			}
			var parent, key sql.NullString
			err := db.QueryRow(`SELECT "table", "to" FROM pragma_foreign_key_list($1) WHERE "from" = $2`, table, c.Name).Scan(&parent, &key)
			if err == nil {
				values[i] = `(SELECT ` + key.String + ` FROM ` + parent.String + ` LIMIT 1)`
			}
		}
		if _, err := db.Exec(`INSERT INTO ` + table + ` VALUES (` + strings.Join(values, ", ") + `)`); err != nil {
			t.Errorf("the table %s has no row and cannot be given one blindly (%v): write some in fillInstallation, so that their copy is tried", table, err)
		}
	}
}

// tablesOf reads the tables of a file with their columns.
func tablesOf(t *testing.T, path string) map[string][]column {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	ok(t, err)
	defer db.Close()
	rows, err := db.Query(`SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'schema_migration' ORDER BY c.cid`)
	ok(t, err)
	defer rows.Close()
	tables := map[string][]column{}
	for rows.Next() {
		var c column
		ok(t, rows.Scan(&c.Table, &c.Name, &c.Type))
		tables[c.Table] = append(tables[c.Table], c)
	}
	ok(t, rows.Err())
	return tables
}

// everyRow reads all rows as text that the databases themselves make.
func everyRow(t *testing.T, driver, source string, tables map[string][]column) map[string][]string {
	t.Helper()
	db, err := sql.Open(driver, source)
	ok(t, err)
	defer db.Close()
	hex := map[string]string{"sqlite": "lower(hex(%s))", "pgx": "encode(%s, 'hex')"}[driver]
	all := map[string][]string{}
	for table, columns := range tables {
		list := make([]string, len(columns))
		for i, c := range columns {
			form := map[string]string{"BLOB": hex, "BOOLEAN": "CASE WHEN %s THEN 'true' ELSE 'false' END"}[c.Type]
			if form == "" {
				form = "CAST(%s AS TEXT)"
			}
			list[i] = "CASE WHEN " + c.Name + " IS NULL THEN 'none' ELSE " + fmt.Sprintf(form, c.Name) + " END"
		}
		all[table] = texts(t, db, `SELECT `+strings.Join(list, " || '|' || ")+` FROM `+table)
		slices.Sort(all[table])
	}
	return all
}

func texts(t *testing.T, db *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.Query(query)
	ok(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		ok(t, rows.Scan(&text))
		list = append(list, text)
	}
	ok(t, rows.Err())
	return list
}

// goesOn runs a hub's store on the copy: the past is there, numbers are never given
// twice, and the rules of the state machines hold again.
func goesOn(t *testing.T, cfg store.Config, p past) {
	t.Helper()
	ctx := t.Context()
	st, err := store.Open(ctx, cfg)
	ok(t, err)
	defer st.Close()
	ok(t, st.Migrate(ctx))
	same(t, must(st.UserByName(ctx, org, "ann"))(t), p.user)
	if e, _ := work(t, st); e.Number != p.number+1 {
		t.Errorf("the next execution has number %d after %d", e.Number, p.number)
	}
	at := must(offer(ctx, st, p.open, p.runner))(t)
	if got := must(store.Claim(ctx, st, []store.ClaimAsk{{AttemptID: at.AttemptID, RunnerID: p.runner, Session: 1}}))(t); !got[at.AttemptID] {
		t.Error("what waited on SQLite cannot be claimed")
	}
	same(t, must(store.Events(ctx, st, at.AttemptID))(t), []string{" offer offered", "offered claim claimed"})
	if _, err := store.Exec(ctx, st, `UPDATE attempt SET state = 'offered', event = 'offer' WHERE id = $1`, at.AttemptID); err == nil {
		t.Error("an attempt may go back: the triggers are off")
	}
	if _, err := store.Exec(ctx, st, `INSERT INTO api_token (id, organisation_id, user_id, secret_hash, created_at) VALUES ('t', $1, 'nobody', $2, 1)`, org, []byte{}); err == nil {
		t.Error("a token of nobody is taken: the foreign keys are off")
	}
}

// A table that a migration adds is copied without being listed anywhere; one that only
// the file has is not left behind in silence.
func TestCopyFindsTablesByItself(t *testing.T) {
	t.Parallel()
	from, to := storetest.Config(t), storetest.PostgresConfig(t)
	do := func(driver, source, statement string) {
		db, err := sql.Open(driver, source)
		ok(t, err)
		defer db.Close()
		must(db.Exec(statement))(t)
	}
	do("sqlite", from.Path, `CREATE TABLE a_later_one (id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES zoo (id)); CREATE TABLE zoo (id TEXT PRIMARY KEY);
		INSERT INTO zoo VALUES ('z'); INSERT INTO a_later_one VALUES ('x', 'z')`)
	_, err := store.Copy(t.Context(), from.Path, to, func(store.CopyProgress) {})
	wantCode(t, err, hub.CodeConflict)
	if msg := hub.ErrorMessage(err); !strings.Contains(msg, "a_later_one.id is only in the file") {
		t.Errorf("message %q", msg)
	}
	do("pgx", to.URL, `CREATE TABLE zoo (id TEXT PRIMARY KEY); CREATE TABLE a_later_one (id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES zoo (id))`)
	must(store.Copy(t.Context(), from.Path, to, func(store.CopyProgress) {}))(t)
	same(t, everyRow(t, "pgx", to.URL, map[string][]column{"a_later_one": {{Name: "id"}, {Name: "project_id"}}}),
		map[string][]string{"a_later_one": {"x|z"}})
}

// A copy that is cut off leaves nothing, and the next one does it all.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	from, to := storetest.Config(t), storetest.PostgresConfig(t)
	fillEverything(t, from)
	for _, verifying := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := store.Copy(ctx, from.Path, to, func(p store.CopyProgress) {
			if p.Table == "runner_session" && p.Verifying == verifying {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cut off, it ends with %v", err)
		}
		same(t, len(everyRow(t, "pgx", to.URL, map[string][]column{"project": {{Name: "id"}}})["project"]), 0)
	}
	must(store.Copy(t.Context(), from.Path, to, func(store.CopyProgress) {}))(t)
}

// A row that arrived changed, one that is missing and one too many are noticed.
func TestCopyIsCompared(t *testing.T) {
	t.Parallel()
	from := storetest.Config(t)
	fillEverything(t, from)
	ok(t, store.CopyThenChange(t.Context(), from.Path, storetest.PostgresConfig(t), `SELECT 1`))
	for _, change := range []string{
		`UPDATE output_chunk SET data = data || '\x00'::bytea WHERE seq = 1 AND attempt_id = (SELECT MIN(attempt_id) FROM output_chunk)`,
		`UPDATE enrolment_token SET used_key = ''`,
		`UPDATE user_account SET admin = NOT admin`,
		`UPDATE lease_clock SET tick = tick + 1`,
		`UPDATE project SET name = description, description = name`,
		`DELETE FROM idempotency_key`,
		`INSERT INTO setting VALUES ('b', 'x', 1, 1)`,
	} {
		err := store.CopyThenChange(t.Context(), from.Path, storetest.PostgresConfig(t), change)
		if msg := hub.ErrorMessage(err); !strings.Contains(msg, "is not what the file has") {
			t.Errorf("after %s it says %q", change, msg)
		}
	}
}

// A hub that was killed leaves its last commits in the log beside the file. They are found
// there also when the data directory has a link to the file alone.
func TestCopyByALink(t *testing.T) {
	t.Parallel()
	ctx, dir, from, to := t.Context(), t.TempDir(), storetest.Config(t), storetest.PostgresConfig(t)
	st, err := store.Open(ctx, from)
	ok(t, err)
	makeProject(ctx, t, st, "web")
	for _, suffix := range []string{"", "-wal"} {
		content := must(os.ReadFile(from.Path + suffix))(t)
		ok(t, os.WriteFile(filepath.Join(dir, "hub.db"+suffix), content, 0o600))
	}
	ok(t, st.Close())
	link := filepath.Join(t.TempDir(), "fairlead.db")
	ok(t, os.Symlink(filepath.Join(dir, "hub.db"), link))
	for _, table := range must(store.Copy(ctx, link, to, func(store.CopyProgress) {}))(t) {
		if table.Table == "project" {
			same(t, table.Rows, int64(1))
		}
	}
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	ctx, nothing := t.Context(), func(store.CopyProgress) {}
	copyTo := func(t *testing.T, from string, to store.Config, code hub.Code, says string) {
		t.Helper()
		_, err := store.Copy(ctx, from, to, nothing)
		wantCode(t, err, code)
		if msg := hub.ErrorMessage(err); !strings.Contains(msg, says) {
			t.Errorf("message %q does not say %q", msg, says)
		}
	}
	t.Run("a hub that runs", func(t *testing.T) {
		t.Parallel()
		from, to := storetest.Config(t), storetest.PostgresConfig(t)
		st, err := store.Open(ctx, from)
		ok(t, err)
		copyTo(t, from.Path, to, hub.CodeConflict, "stop its hub first")
		ok(t, st.Close())
		must(store.Copy(ctx, from.Path, to, nothing))(t)
	})
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		copyTo(t, dir+"/hub.db", storetest.PostgresConfig(t), hub.CodeNotFound, "no SQLite file")
		same(t, content(t, dir), map[string]string{})
	})
	t.Run("an older file", func(t *testing.T) {
		t.Parallel()
		from := storetest.Config(t)
		forget(t, "sqlite", from.Path)
		copyTo(t, from.Path, storetest.PostgresConfig(t), hub.CodeConflict, "Bring it there with `fairlead-hub migrate`")
	})
	t.Run("a newer file", func(t *testing.T) {
		t.Parallel()
		from := storetest.Config(t)
		db, err := sql.Open("sqlite", from.Path)
		ok(t, err)
		must(db.Exec(`INSERT INTO schema_migration (version_id, is_applied) VALUES (9999, TRUE)`))(t)
		ok(t, db.Close())
		copyTo(t, from.Path, storetest.PostgresConfig(t), hub.CodeConflict, "of a newer fairlead-hub")
	})
	t.Run("a database of something else", func(t *testing.T) {
		t.Parallel()
		to := store.Config{URL: storetest.StartServer(t).URL("postgres")}
		db, err := sql.Open("pgx", to.URL)
		ok(t, err)
		defer db.Close()
		must(db.Exec(`CREATE TABLE invoice (id TEXT)`))(t)
		copyTo(t, storetest.Config(t).Path, to, hub.CodeConflict, "it has invoice, which is not Fairlead's")
		c := must(store.LookAtSchema(ctx, to))(t)
		same(t, c.Database, int64(0))
	})
	t.Run("a database in use", func(t *testing.T) {
		t.Parallel()
		to := storetest.PostgresConfig(t)
		st, err := store.Open(ctx, to)
		ok(t, err)
		defer st.Close()
		makeProject(ctx, t, st, "web")
		copyTo(t, storetest.Config(t).Path, to, hub.CodeConflict, "it has rows in project (1)")
	})
}
