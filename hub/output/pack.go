package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/retention"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/failpoint"
)

const (
	// packedAtOnce is how many logs are packed side by side, and lookedAt how many are
	// looked for together.
	packedAtOnce = 4
	lookedAt     = 32
	// lookEvery is how long nothing is looked for when nothing waits.
	lookEvery = 2 * time.Second
	// droppedAtOnce bounds the rows that one transaction deletes: SQLite has one writer.
	droppedAtOnce = 32
	// purgeTime is how long is purged between two packings.
	purgeTime = time.Second
	// A log that failed is tried again after againFirst, doubling to againLast.
	againFirst = 5 * time.Second
	againLast  = 10 * time.Minute
	// When all that were tried failed, nothing is tried for a second, doubling to restLast.
	restFirst = time.Second
	restLast  = time.Minute
	// A try is given up after tryTime and a second for each slowest bytes.
	tryTime = 10 * time.Minute
	slowest = 256 << 10
)

// PackerConfig says what a Packer packs and where.
type PackerConfig struct {
	MemberID string
	// Archives: logs are packed into the current one.
	Archives *archive.Archives
	Path     *archive.Path
	// Purger works between two packings, under the same lease; nil: nothing is purged.
	Purger *retention.Purger
}

// Packer puts the logs of ended executions into the archive: docs/archive.md.
type Packer struct {
	st             *store.Store
	cfg            PackerConfig
	log            *slog.Logger
	packed, failed atomic.Int64
}

// NewPacker makes a Packer.
func NewPacker(st *store.Store, cfg PackerConfig, log *slog.Logger) *Packer {
	return &Packer{st: st, cfg: cfg, log: log}
}

// Counts returns how many logs this member packed since it started, and how many tries
// failed.
func (p *Packer) Counts() (packed, failed int64) { return p.packed.Load(), p.failed.Load() }

// Backlog tells what waits to be packed.
func (p *Packer) Backlog(ctx context.Context) (store.ArchiveBacklog, error) {
	return p.st.ArchiveBacklog(ctx, p.rule())
}

func (p *Packer) rule() store.WaitingRule {
	return store.WaitingRule{GivenUp: p.st.Now().Add(-hub.MinRetention)}
}

// Lead packs under a term of hub.LeaseArchive until ctx or the term ends.
func (p *Packer) Lead(ctx context.Context, term int64) error {
	for rest, until := time.Duration(0), (time.Time{}); ; {
		packed, failed, err := 0, 0, error(nil)
		if !time.Now().Before(until) {
			packed, failed, err = p.Pack(ctx, term)
		}
		purged, purgeErr := p.purge(ctx, term)
		err = errors.Join(err, purgeErr)
		wait := lookEvery
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // ending is what the caller asked for
		case errors.Is(err, retention.ErrTerm):
			return err
		case err != nil:
			p.log.WarnContext(ctx, "logs not archived, or nothing purged; trying again", "error", err)
		case packed > 0:
			rest, wait = 0, 0
		case failed > 0:
			rest = min(max(2*rest, restFirst), restLast)
			wait, until = rest, time.Now().Add(rest)
		}
		if purged {
			wait = 0
		}
		if err := pause(ctx, wait); err != nil {
			return nil //nolint:nilerr // as above
		}
	}
}

// purge takes executions away for a moment; false: there is nothing to be done now. What
// waits to be packed must not wait long, and no log is packed while it is deleted.
func (p *Packer) purge(ctx context.Context, term int64) (bool, error) {
	if p.cfg.Purger == nil {
		return false, nil
	}
	for began := time.Now(); time.Since(began) < purgeTime; {
		if idle, err := p.cfg.Purger.Step(ctx, term); idle || err != nil {
			return false, err
		}
	}
	return true, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return ctx.Err()
	}
}

// Pack packs some of the logs that wait; it returns how many were packed and how many failed.
// What stands in the way of one log is no error.
func (p *Packer) Pack(ctx context.Context, term int64) (packed, failed int, err error) {
	if p.cfg.Archives.Current == nil {
		return 0, 0, nil
	}
	list, err := p.st.WaitingLogs(ctx, p.rule(), lookedAt)
	if err != nil {
		return 0, 0, err
	}
	t := &packing{Packer: p, term: term}
	if list, err = t.plan(ctx, list); err != nil {
		return 0, 0, err
	}
	var done, not atomic.Int64
	g, all := errgroup.WithContext(ctx)
	g.SetLimit(packedAtOnce)
	for _, w := range list {
		g.Go(func() error {
			if done.Load() == 0 && not.Load() >= packedAtOnce {
				return nil // the archive is down: no need to ask it for each
			}
			err := t.pack(all, w)
			if err == nil {
				done.Add(1)
				return nil
			}
			if all.Err() != nil || errors.Is(err, retention.ErrTerm) {
				return err
			}
			not.Add(1)
			return t.fail(all, w, err)
		})
	}
	err = g.Wait()
	return int(done.Load()), int(not.Load()), err
}

// packing is a Packer during one term.
type packing struct {
	*Packer

	term int64
}

// inTx runs a transaction that holds only under this term.
func (p *packing) inTx(ctx context.Context, fn func(st *store.Store) error) error {
	return p.st.InBackgroundTx(ctx, func(st *store.Store) error {
		if err := st.HoldLeaderLease(ctx, hub.LeaseArchive, p.cfg.MemberID, p.term); err != nil {
			return errors.Join(err, retention.ErrTerm)
		}
		return fn(st)
	})
}

// plan writes down where objects are to lie, and leaves out logs that have nothing to pack.
func (p *packing) plan(ctx context.Context, list []*store.WaitingLog) (left []*store.WaitingLog, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	current := p.cfg.Archives.Current.Name()
	err = p.inTx(ctx, func(st *store.Store) error {
		left = left[:0]
		for _, w := range list {
			if w.Next == 0 {
				if err := st.NothingToArchive(ctx, w.AttemptID); err != nil {
					return err
				}
				continue
			}
			left = append(left, w)
			if w.Archived || w.Archive == current {
				continue
			}
			w.Archive = current
			w.Path = p.cfg.Path.Key(archive.Subject{
				Organisation: w.Organisation, Project: w.Project, Job: w.Job, Execution: w.ExecutionID, Attempt: w.AttemptID, Number: w.Number, CreatedAt: w.CreatedAt,
			})
			if err := st.PlanArchive(ctx, &w.LogArchive); err != nil {
				return err
			}
		}
		return nil
	})
	return left, err
}

// pack packs one log, or goes on with what a member before left.
func (p *packing) pack(ctx context.Context, w *store.WaitingLog) error {
	if w.Archived {
		return p.dropRows(ctx, w.AttemptID)
	}
	l, err := p.heads(ctx, w)
	if err != nil {
		return err
	}
	if len(l.Chunks) == 0 {
		return p.inTx(ctx, func(st *store.Store) error { return st.NothingToArchive(ctx, w.AttemptID) })
	}
	if err := p.put(ctx, w, l); err != nil {
		return err
	}
	failpoint.Hit("hub.archive.before-mark")
	more := false
	err = p.inTx(ctx, func(st *store.Store) error {
		if err := st.ArchiveLog(ctx, &w.LogArchive, w.Hash); err != nil {
			return err
		}
		more, err = st.DropArchivedChunks(ctx, w.AttemptID, droppedAtOnce)
		return err
	})
	if err != nil {
		return err
	}
	failpoint.Hit("hub.archive.after-mark")
	p.packed.Add(1)
	if more {
		return p.dropRows(ctx, w.AttemptID)
	}
	return nil
}

// dropRows deletes the rows of an archived log, some at a time.
func (p *packing) dropRows(ctx context.Context, attemptID string) error {
	for more := true; more; {
		err := p.inTx(ctx, func(st *store.Store) (err error) {
			more, err = st.DropArchivedChunks(ctx, attemptID, droppedAtOnce)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// heads reads all of a log but its data. It has no chunks when retention took them.
func (p *packing) heads(ctx context.Context, w *store.WaitingLog) (*archive.Log, error) {
	l := &archive.Log{AttemptID: w.AttemptID, ExecutionID: w.ExecutionID}
	for n := int64(0); n < w.Next; n = int64(len(l.Chunks)) {
		heads, err := p.st.ChunkHeads(ctx, w.AttemptID, n, min(n+headsAtOnce, w.Next))
		if err != nil {
			return nil, err
		}
		if n == 0 && len(heads) == 0 {
			return l, nil
		}
		if len(heads) == 0 || heads[0].Seq != n || heads[len(heads)-1].Seq != n+int64(len(heads))-1 {
			return nil, hub.Errorf(hub.CodeInternal, "The database lacks chunks of attempt %s from number %d on, of %d. Restore the database from a backup, or let retention take the rest.", w.AttemptID, n, w.Next)
		}
		for i := range heads {
			h := &heads[i]
			l.Chunks = append(l.Chunks, archive.Chunk{Lines: h.Lines, TextBytes: h.TextBytes, Nodes: h.Nodes, Hash: h.Hash, Size: h.Size})
		}
	}
	if int64(len(l.Chunks)) != w.Next || l.Chunks[w.Next-1].Hash != w.Hash {
		return nil, errors.New("the log grew while it was looked at")
	}
	return l, nil
}

// put puts an object and reads it back, so that what its archive forgot, cut or could not
// take is found while the rows are there.
func (p *packing) put(ctx context.Context, w *store.WaitingLog, l *archive.Log) error {
	in := p.cfg.Archives.Current
	object, err := archive.Pack(l, p.data(ctx, w.AttemptID))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime+time.Duration(object.Size()/slowest)*time.Second)
	defer cancel()
	if err := in.Put(ctx, w.Path, object.Size(), object); err != nil {
		return err
	}
	if n, err := object.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("the archive %s did not take all of %s", in.Name(), w.Path)
	}
	w.Chunks, w.Size, w.SHA256 = w.Next, object.Size(), object.Sum()
	return archive.Compare(ctx, in, w.Path, w.Size, w.SHA256)
}

// data reads the data of a log's chunks, some at a time.
func (p *packing) data(ctx context.Context, attemptID string) func() ([]byte, error) {
	var rows []store.ChunkRow
	next := int64(0)
	return func() ([]byte, error) {
		if len(rows) == 0 {
			var err error
			if rows, err = p.st.Chunks(ctx, attemptID, next, math.MaxInt64, chunksAtOnce); err != nil {
				return nil, err
			}
		}
		if len(rows) == 0 || rows[0].Seq != next {
			return nil, fmt.Errorf("chunk %d of attempt %s is gone", next, attemptID)
		}
		data := rows[0].Data
		rows = rows[1:]
		next++
		return data, nil
	}
}

// fail notes why a log was not packed, for people, and when it is tried again.
func (p *packing) fail(ctx context.Context, w *store.WaitingLog, why error) error {
	p.failed.Add(1)
	again := againLast
	if w.Tries < 8 { // 5 s doubled so often are more than the last
		again = min(againFirst<<w.Tries, againLast)
	}
	p.log.WarnContext(ctx, "log not archived", "execution", w.Number, "attempt", w.AttemptID, "archive", w.Archive, "path", w.Path, "again_in", again, "error", why)
	return p.st.ArchiveFailed(ctx, w.AttemptID, told(why), p.st.Now().Add(again))
}

// told is an error for the administrators of a hub, who may see its cause.
func told(err error) string {
	const most = 500
	text := err.Error()
	if coded, ok := errors.AsType[*hub.Error](err); ok {
		text = coded.Message
	}
	if len(text) > most {
		text = text[:most]
	}
	// Cut within a letter, or with bytes of a path or an answer that are no text, no database
	// would take it: and then this log would be tried first for ever, and none behind it.
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
