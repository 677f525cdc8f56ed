// Package retention takes ended executions away when their time is over: docs/retention.md.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/failpoint"
)

const (
	// every is the least time from the end of a pass to the next one, which also waits
	// share times as long as the last one took: looking must not become the main work.
	every = 10 * time.Minute
	share = 10
	// everyOver is in the place of every while an organisation is over its quota: people
	// wait for room.
	everyOver = time.Minute
	// lookedAt is how many executions are looked at together, deletedAtOnce how many are
	// deleted before somebody else may go on.
	lookedAt      = 500
	deletedAtOnce = 10
	// objectsAtOnce is how many objects of an execution are deleted between two commits.
	objectsAtOnce = 100
	// deleteTime bounds what an archive may take to delete one object.
	deleteTime = time.Minute
	// longestError bounds what is told of an error.
	longestError = 500
	// longestRest bounds the pause behind a transaction, which is as long as that took.
	longestRest = 100 * time.Millisecond
)

// ErrTerm is in errors that end the work of a term.
var ErrTerm = errors.New("the term is over")

// Config of a Purger.
type Config struct {
	MemberID string
	// Archives hold logs of executions.
	Archives *archive.Archives
	// Age is how long executions of projects stay that do not say so themselves; 0: for ever.
	Age time.Duration
}

// Purger takes executions away. Step belongs to one goroutine; all else may be called by
// many at once.
type Purger struct {
	st   *store.Store
	cfg  Config
	log  *slog.Logger
	pass *pass // nil between two
	next time.Time
	tally

	executions, bytes, failures atomic.Int64
}

// New makes a Purger; Step makes it work.
func New(st *store.Store, cfg Config, log *slog.Logger) *Purger {
	return &Purger{st: st, cfg: cfg, log: log}
}

// Counts returns how many executions this member took away since it started, the bytes of
// text in their logs, and how often something did not work.
func (p *Purger) Counts() (executions, textBytes, failures int64) {
	return p.executions.Load(), p.bytes.Load(), p.failures.Load()
}

// pass looks once at all executions.
type pass struct {
	*Purger

	term  int64
	began time.Time
	run   hub.PurgeRun
	// deleted is the last of the purged ones that was tried.
	deleted store.PurgedExecution
	// project that is looked at, nil before the next one; seen is behind all that were.
	project *store.RetentionProject
	seen    string
	rule    *rule
	below   int64
	// bad are archives that failed: they are not asked again in this pass.
	bad map[string]error
}

// Step does a small piece of a pass under a term of hub.LeaseArchive, which is that of the
// packer, so that no log is packed while it is deleted. idle: there is nothing to do now.
func (p *Purger) Step(ctx context.Context, term int64) (idle bool, err error) {
	if idle, err := p.stepCount(ctx, term); !idle || err != nil {
		return false, err
	}
	if p.pass == nil || p.pass.term != term {
		if time.Now().Before(p.next) {
			return true, nil
		}
		p.pass = &pass{Purger: p, term: term, began: time.Now(), bad: map[string]error{}}
	}
	done, err := p.pass.step(ctx)
	if err != nil && ctx.Err() == nil {
		p.failures.Add(1)
		err = fmt.Errorf("taking away executions whose retention is over: %w", err)
	}
	if done || err != nil {
		if p.pass.run.Executions > 0 {
			p.nextCount = time.Time{}
		}
		rest := every
		if p.over {
			rest = everyOver
		}
		p.next = time.Now().Add(max(rest, share*time.Since(p.pass.began)))
		p.pass = nil
	}
	return false, err
}

// step deletes before it looks for more: what a member before left goes first.
func (p *pass) step(ctx context.Context) (done bool, err error) {
	list, err := p.st.PurgedExecutions(ctx, p.deleted, deletedAtOnce)
	if err != nil {
		return false, err
	}
	for _, e := range list {
		if err := p.delete(ctx, e.ID); err != nil {
			return false, err
		}
		p.deleted = e
	}
	if len(list) > 0 {
		return false, nil
	}
	if p.project == nil {
		if more, err := p.begin(ctx); err != nil || more {
			return false, err
		}
		p.run.EndedAt = p.st.Now()
		return true, p.inTx(ctx, func(st *store.Store) error { return st.NotePurge(ctx, p.run) })
	}
	return false, p.look(ctx)
}

// begin turns to the next project; false when there is none.
func (p *pass) begin(ctx context.Context) (bool, error) {
	project, err := p.st.NextRetentionProject(ctx, p.seen)
	if err != nil || project == nil {
		return false, err
	}
	p.seen = project.ID
	r, wrong := hub.ReadRetention(project.Settings, p.cfg.Age)
	if len(wrong) > 0 {
		p.fail(ctx, "nothing of a project goes: its settings cannot be read", project.ID,
			fmt.Errorf("the setting %s of project %s %s", wrong[0].Path, project.Name, wrong[0].Message))
		return true, nil
	}
	if r.Age > 0 || r.PerJob > 0 || r.Bytes > 0 {
		p.project, p.rule, p.below = project, newRule(r, project, p.st.Now()), math.MaxInt64
	}
	return true, nil
}

// look decides about the next executions of the project.
func (p *pass) look(ctx context.Context) error {
	began := time.Now()
	list, err := p.st.EndedExecutions(ctx, p.project.ID, p.below, lookedAt)
	if err != nil {
		return err
	}
	bytes := map[string]int64{}
	var ids []string
	for i := range list {
		if p.rule.goes(&list[i]) {
			ids = append(ids, list[i].ID)
			bytes[list[i].ID] = list[i].TextBytes
		}
	}
	if len(ids) > 0 {
		var gone []string
		err := p.inTx(ctx, func(st *store.Store) (err error) {
			gone, err = st.Purge(ctx, ids)
			return err
		})
		if err != nil {
			return err
		}
		for _, id := range gone {
			p.took(bytes[id])
		}
		failpoint.Hit("hub.purge.after-taken")
	}
	if len(list) < lookedAt {
		p.project = nil
		return nil
	}
	p.below = list[len(list)-1].Number
	return rest(ctx, began)
}

func (p *pass) took(textBytes int64) {
	p.run.Executions++
	p.run.TextBytes += textBytes
	p.executions.Add(1)
	p.bytes.Add(textBytes)
}

// delete deletes one execution that nobody sees any more: objects first, then rows. What an
// archive does not delete stays for the next pass.
func (p *pass) delete(ctx context.Context, id string) error {
	gone, err := p.deleteObjects(ctx, id)
	if err != nil || !gone {
		return err
	}
	for more := true; more; {
		began := time.Now()
		err := p.inTx(ctx, func(st *store.Store) (err error) {
			more, err = st.DeletePurged(ctx, id)
			return err
		})
		if err != nil {
			return err
		}
		failpoint.Hit("hub.purge.after-rows")
		if err := rest(ctx, began); err != nil {
			return err
		}
	}
	return nil
}

// deleteObjects deletes all objects of an execution, also one that is moved meanwhile: its
// row then has another place, and is listed again.
func (p *pass) deleteObjects(ctx context.Context, id string) (gone bool, err error) {
	for {
		list, err := p.st.ObjectsOf(ctx, id, objectsAtOnce)
		if err != nil || len(list) == 0 {
			return err == nil, err
		}
		for _, a := range list {
			if err := p.deleteObject(ctx, a); err != nil {
				if ctx.Err() != nil {
					return false, ctx.Err()
				}
				p.fail(ctx, "an archived log stays; trying again", id, err)
				return false, nil
			}
		}
		failpoint.Hit("hub.purge.after-objects")
		err = p.inTx(ctx, func(st *store.Store) error {
			for _, a := range list {
				if err := st.ForgetObject(ctx, a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
}

func (p *pass) deleteObject(ctx context.Context, a *store.LogArchive) error {
	if err := p.bad[a.Archive]; err != nil {
		return err
	}
	in, err := p.cfg.Archives.Named(a.Archive)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, deleteTime)
		defer cancel()
		if err = in.Delete(ctx, a.Path); err != nil {
			err = fmt.Errorf("deleting %s: %w", a.Path, err)
		}
	}
	if err != nil {
		p.bad[a.Archive] = err
		return err
	}
	p.deleteCopies(ctx, a)
	return nil
}

// deleteCopies deletes what the other archive may hold of a log that was to be packed there
// until the configuration changed: no row tells of it. An archive that does not answer, and
// most likely has nothing, keeps no execution.
func (p *pass) deleteCopies(ctx context.Context, a *store.LogArchive) {
	for _, other := range []archive.Archive{p.cfg.Archives.Current, p.cfg.Archives.Other} {
		if other == nil || other.Name() == a.Archive || p.bad[other.Name()] != nil {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, deleteTime)
		err := other.Delete(bounded, a.Path)
		cancel()
		if err != nil {
			p.bad[other.Name()] = err
			p.log.WarnContext(ctx, "what an archive may hold of a purged log was not looked for", "archive", other.Name(), "path", a.Path, "error", err)
		}
	}
}

// fail tells that something stays which should have gone. Each archive is told of once.
func (p *pass) fail(ctx context.Context, what, id string, err error) {
	text := err.Error()
	if len(text) > longestError {
		text = text[:longestError]
	}
	if text = strings.ToValidUTF8(text, ""); p.run.Error != text {
		p.failures.Add(1)
		p.run.Error = text
		p.log.WarnContext(ctx, "retention left something", "what", what, "id", id, "error", err)
	}
}

// inTx runs a transaction that holds only under this term.
func (p *pass) inTx(ctx context.Context, fn func(st *store.Store) error) error {
	return p.under(ctx, p.term, fn)
}

// under runs a transaction that holds only under a term.
func (p *Purger) under(ctx context.Context, term int64, fn func(st *store.Store) error) error {
	return p.st.InBackgroundTx(ctx, func(st *store.Store) error {
		if err := st.HoldLeaderLease(ctx, hub.LeaseArchive, p.cfg.MemberID, term); err != nil {
			return errors.Join(err, ErrTerm)
		}
		return fn(st)
	})
}

// rest waits as long as something took, so that half of the database is everyone else's.
func rest(ctx context.Context, began time.Time) error {
	t := time.NewTimer(min(time.Since(began), longestRest))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
