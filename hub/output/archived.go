package output

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/store"
)

// Archive returns the name of the archive that logs are packed into, "" for none.
func (p *Packer) Archive() string {
	if p.cfg.Archives.Current == nil {
		return ""
	}
	return p.cfg.Archives.Current.Name()
}

// Retry has logs that failed tried at once; how many it were.
func (p *Packer) Retry(ctx context.Context) (int64, error) { return p.st.RetryArchive(ctx) }

// Totals tells what lies in which archive.
func (p *Packer) Totals(ctx context.Context) ([]store.ArchiveTotal, error) {
	return p.st.ArchiveTotals(ctx)
}

// eachArchived calls do with every archived log, or those of one execution, until one call
// fails.
func (p *Packer) eachArchived(ctx context.Context, executionID string, do func(*store.LogArchive) error) error {
	for after := ""; ; {
		list, err := p.st.ArchivedLogs(ctx, executionID, after, headsAtOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, a := range list {
			if err := do(a); err != nil {
				return err
			}
			after = a.AttemptID
		}
	}
}

// Verify reads archived logs, all with "" for the execution, and compares everything. tell
// gets each that is not as it was archived, and why.
func (p *Packer) Verify(ctx context.Context, executionID string, tell func(a *store.LogArchive, why error)) (checked int, err error) {
	err = p.eachArchived(ctx, executionID, func(a *store.LogArchive) error {
		in, err := p.cfg.Archives.Named(a.Archive)
		if err == nil {
			err = archive.Verify(ctx, in, a.Path, a.Size, a.SHA256)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		checked++
		if err != nil {
			tell(a, err)
		}
		return nil
	})
	return checked, err
}

// Moved is what became of one log by Move.
type Moved struct {
	*store.LogArchive

	// Err tells why it is still where it was, Left why its old object is there too.
	Err, Left error
}

// Move brings all logs that lie elsewhere to one of the archives that are known.
func (p *Packer) Move(ctx context.Context, to string, tell func(Moved)) error {
	target, err := p.target(to)
	if err != nil {
		return err
	}
	m := mover{p: p, target: target, same: make(map[string]bool)}
	return p.eachArchived(ctx, "", func(a *store.LogArchive) error {
		if a.Archive == target.Name() {
			return nil
		}
		moved := Moved{LogArchive: a}
		moved.Left, moved.Err = m.move(ctx, a)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		tell(moved)
		return nil
	})
}

// target finds the archive of an address. It must be one that is configured: what lies in
// another nobody could read.
func (p *Packer) target(to string) (archive.Archive, error) {
	for _, one := range []archive.Archive{p.cfg.Archives.Current, p.cfg.Archives.Other} {
		if one != nil && one.Name() == archive.NameOf(to) {
			return one, nil
		}
	}
	known := p.cfg.Archives.Names()
	if known == "" {
		known = "none"
	}
	return nil, hub.Errorf(hub.CodeInvalid, "The archive %s is not configured (known: %s). Configure it on all members as archive.other first, so that each can read what lies there.", to, known)
}

// mover moves logs into one archive.
type mover struct {
	p      *Packer
	target archive.Archive
	// same tells of other archives, by name, whether they are the target under another name.
	same map[string]bool
}

// move copies one object, unless it is there already, and writes down where it lies now.
func (m *mover) move(ctx context.Context, a *store.LogArchive) (left, err error) {
	from, unknown := m.p.cfg.Archives.Named(a.Archive)
	if archive.Compare(ctx, m.target, a.Path, a.Size, a.SHA256) != nil {
		if unknown != nil {
			return nil, unknown
		}
		if err := copyObject(ctx, from, m.target, a); err != nil {
			return nil, err
		}
	}
	moved, err := m.p.st.MoveArchived(ctx, a, m.target.Name())
	if err != nil {
		return nil, err
	}
	if !moved {
		return nil, errors.Join(errors.New("retention or another move took it meanwhile"), m.dropCopy(ctx, a))
	}
	if unknown != nil {
		return unknown, nil
	}
	return m.drop(ctx, from, a), nil
}

// dropCopy deletes the new object of a log that retention took meanwhile: it found the old
// one alone.
func (m *mover) dropCopy(ctx context.Context, a *store.LogArchive) error {
	now, err := m.p.st.ArchivedLog(ctx, a.AttemptID)
	if err == nil && now == nil {
		err = m.target.Delete(ctx, a.Path)
	}
	return err
}

// drop deletes the old object of a log that was moved, unless it is the new one, too.
func (m *mover) drop(ctx context.Context, from archive.Archive, a *store.LogArchive) error {
	same, known := m.same[from.Name()]
	if !known {
		var err error
		if same, err = archive.Same(ctx, m.target, from); err != nil {
			return err
		}
		m.same[from.Name()] = same
	}
	if same {
		return nil
	}
	return from.Delete(ctx, a.Path)
}

func copyObject(ctx context.Context, from, to archive.Archive, a *store.LogArchive) error {
	body, err := from.Get(ctx, a.Path, 0, a.Size)
	if err != nil {
		return err
	}
	err = errors.Join(to.Put(ctx, a.Path, a.Size, body), body.Close())
	if err != nil {
		return fmt.Errorf("copying it: %w", err)
	}
	return archive.Compare(ctx, to, a.Path, a.Size, a.SHA256)
}
