package storetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

var errUndo = errors.New("undo this")

func TestSerial(t *testing.T) {
	t.Parallel()
	db := storetest.NewSerial(t)
	for range 2 { // a second history finds nothing of the first, or the name were taken
		if err := db.Begin(); err != nil {
			t.Fatal(err)
		}
		a, b := openSerial(t, db), openSerial(t, db)
		if err := a.CreateProject(t.Context(), project("kept")); err != nil {
			t.Fatal(err)
		}
		err := a.InTx(t.Context(), func(st *store.Store) error {
			if err := st.CreateProject(t.Context(), project("undone")); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := b.Project(ctx, hub.DefaultOrganisationID, "kept"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("while a transaction runs another store reads: %v", err)
			}
			return errUndo
		})
		if !errors.Is(err, errUndo) {
			t.Fatal(err)
		}
		if _, err := b.Project(t.Context(), hub.DefaultOrganisationID, "kept"); err != nil {
			t.Errorf("what one store has committed another does not find: %v", err)
		}
		if _, err := b.Project(t.Context(), hub.DefaultOrganisationID, "undone"); hub.ErrorCode(err) != hub.CodeNotFound {
			t.Errorf("a transaction that failed left a project: %v", err)
		}
		if err := errors.Join(a.Close(), b.Close(), db.Undo()); err != nil {
			t.Fatal(err)
		}
	}
}

func openSerial(t *testing.T, db *storetest.Serial) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Serial: db})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func project(name string) *hub.Project {
	return &hub.Project{OrganisationID: hub.DefaultOrganisationID, Name: name}
}
