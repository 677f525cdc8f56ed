package output_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/archive/archivetest"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// move moves all to an archive and returns what became of each.
func move(t *testing.T, p *output.Packer, to string) (list []output.Moved) {
	t.Helper()
	if err := p.Move(t.Context(), to, func(m output.Moved) { list = append(list, m) }); err != nil {
		t.Fatal(err)
	}
	return list
}

// verify verifies all, and returns what is told.
func verify(t *testing.T, p *output.Packer, checked int) (told []string) {
	t.Helper()
	n, err := p.Verify(t.Context(), "", func(a *store.LogArchive, why error) { told = append(told, a.Path+": "+why.Error()) })
	if err != nil || n != checked {
		t.Errorf("%d checked, %v; want %d", n, err, checked)
	}
	return told
}

func TestMove(t *testing.T) {
	both(t, func(t *testing.T, st *store.Store) {
		r := busy(t, st)
		r.finish(0)
		old, oldDir := archivetest.OpenDirectory(t)
		next, nextDir := archivetest.OpenDirectory(t)
		term := lead(t, st, "m")
		pack(t, packer(t, st, "m", old), term, 2, 0)
		r.archives = archive.Archives{Current: next, Other: old}
		p := output.NewPacker(st, output.PackerConfig{MemberID: "m", Archives: &r.archives}, storetest.Logger(t))
		want := r.views()

		// Who reads while a log is moved goes on in the new place.
		lines := 0
		for b, err := range r.o.Read(t.Context(), output.Query{OrganisationID: org, ExecutionID: r.e.ID}) {
			if err != nil {
				t.Fatal(err)
			}
			if lines == 0 {
				for _, m := range move(t, p, next.Name()+"/") {
					if m.Err != nil || m.Left != nil {
						t.Fatalf("%+v", m)
					}
				}
			}
			lines += len(b.Lines)
		}
		if lines != 200 {
			t.Errorf("%d lines of 200 across the move", lines)
		}
		if a, b := files(t, oldDir), files(t, nextDir); len(a) != 0 || len(b) != 2 {
			t.Fatalf("old place: %v, new place: %v", a, b)
		}
		for name, now := range r.views() {
			if now != want[name] {
				t.Errorf("%s: %q, want %q", name, now, want[name])
			}
		}
		if told := verify(t, p, 2); told != nil {
			t.Error(told)
		}
		if list := move(t, p, next.Name()); list != nil {
			t.Errorf("moved again: %+v", list)
		}
	})
}

// A place that was given another name has its logs called by that one, and keeps them: the
// old object of each is the new one.
func TestMoveToTheSamePlace(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	r := busy(t, st)
	r.finish(0)
	old, dir := archivetest.OpenDirectory(t)
	pack(t, packer(t, st, "m", old), lead(t, st, "m"), 2, 0)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	next := archivetest.Open(t, archive.Options{URL: "file://" + link})
	r.archives = archive.Archives{Current: next, Other: old}
	p := output.NewPacker(st, output.PackerConfig{MemberID: "m", Archives: &r.archives}, storetest.Logger(t))
	for _, m := range move(t, p, next.Name()) {
		if m.Err != nil || m.Left != nil {
			t.Errorf("%+v", m)
		}
	}
	if told := verify(t, p, 2); told != nil || r.object(0).Archive != next.Name() {
		t.Errorf("told %q, in %s", told, r.object(0).Archive)
	}
	if list := files(t, dir); len(list) != 2 {
		t.Errorf("files: %v", list)
	}
}

// What was copied by other means is compared and taken, without the old archive.
func TestMoveOfWhatIsThere(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	r := busy(t, st)
	r.finish(0)
	old, oldDir := archivetest.OpenDirectory(t)
	_, nextDir := archivetest.OpenDirectory(t)
	pack(t, packer(t, st, "m", old), lead(t, st, "m"), 2, 0)
	if err := os.CopyFS(nextDir, os.DirFS(oldDir)); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(nextDir, r.object(1).Path)
	if err := os.Truncate(broken, 100); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(oldDir); err != nil {
		t.Fatal(err)
	}
	next := archivetest.Open(t, archive.Options{URL: "file://" + nextDir})
	p := packer(t, st, "m", next)
	var failed, moved int
	for _, m := range move(t, p, next.Name()) {
		if m.Err != nil {
			failed++
		} else if moved++; m.Left == nil {
			t.Error("nobody says that the old object may be there")
		}
	}
	if failed != 1 || moved != 1 || r.object(0).Archive != next.Name() || r.object(1).Archive != old.Name() {
		t.Errorf("%d failed, %d moved", failed, moved)
	}
	if told := verify(t, p, 2); len(told) != 1 || !strings.Contains(told[0], old.Name()) {
		t.Errorf("told %q", told)
	}
	for _, to := range []string{"s3://elsewhere", "nonsense"} {
		if err := p.Move(t.Context(), to, nil); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("to %s: %v", to, err)
		}
	}
}
