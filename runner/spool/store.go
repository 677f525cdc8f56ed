package spool

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/disk"
)

// Defaults of Config, in bytes but for the retention.
const (
	DefaultJournalSegment    = 8 << 20
	DefaultSpoolSegment      = 32 << 20
	DefaultMaxUnacknowledged = 1 << 30
	DefaultRetention         = 24 * time.Hour
	DefaultRetentionPercent  = 10

	reserveFile = "reserve"
	reserveSize = 1 << 20
	minFree     = 64 << 20 // below it output waits
	retainEvery = 10 * time.Second
)

// Config of a Store. The zero value works.
type Config struct {
	JournalSegment, SpoolSegment int64
	// MaxUnacknowledged output, compressed, before commands block; with Truncate, before
	// their output is dropped.
	MaxUnacknowledged int64
	Truncate          bool
	// Retention of settled attempts: a time, and percent of the disk.
	Retention        time.Duration
	RetentionPercent int
	Log              *slog.Logger
	// Progress is called after each sync, without locks: more can be told.
	Progress func()
	// Broken is called when the disk failed; the runner is to drain.
	Broken func(error)
}

// Store is the journal and the spool of one data directory.
type Store struct {
	fs      disk.FS
	c       Config
	log     *slog.Logger
	journal *segmentLog
	spool   *segmentLog
	room    *room

	mu       sync.Mutex
	attempts map[string]*Attempt // not settled

	hasSpace atomic.Bool
}

// Open reads what is on disk. Run must be running for anything to be synced.
func Open(fs disk.FS, c Config) (*Store, error) {
	c.JournalSegment = cmp.Or(c.JournalSegment, DefaultJournalSegment)
	c.SpoolSegment = cmp.Or(c.SpoolSegment, DefaultSpoolSegment)
	c.MaxUnacknowledged = cmp.Or(c.MaxUnacknowledged, DefaultMaxUnacknowledged)
	c.Retention = cmp.Or(c.Retention, DefaultRetention)
	c.RetentionPercent = cmp.Or(c.RetentionPercent, DefaultRetentionPercent)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	s := &Store{fs: fs, c: c, log: c.Log, attempts: map[string]*Attempt{}}
	s.hasSpace.Store(true)
	s.room = &room{max: c.MaxUnacknowledged, free: s.hasSpace.Load, change: make(chan struct{})}
	s.journal = &segmentLog{fs: fs, dir: "journal", max: c.JournalSegment, log: c.Log, synced: s.progress, failed: s.journalFailed, full: s.giveReserve}
	s.spool = &segmentLog{fs: fs, dir: "spool", max: c.SpoolSegment, log: c.Log, synced: s.progress, failed: s.spoolFailed}
	if err := s.makeReserve(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if err := fs.SyncDir("."); err != nil {
		return nil, fmt.Errorf("syncing the data directory: %w", err)
	}
	return s, nil
}

// Run syncs and cleans up until ctx ends; what is wanted by then is synced first.
func (s *Store) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.journal.run(ctx) })
	wg.Go(func() { s.spool.run(ctx) })
	s.retainLoop(ctx)
	wg.Wait()
	return nil
}

func (s *Store) retainLoop(ctx context.Context) {
	ticker := time.NewTicker(retainEvery)
	defer ticker.Stop()
	for {
		s.retain(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Store) retain(now time.Time) {
	free, total, err := s.fs.Free()
	if err != nil {
		s.log.Warn("asking for free space", "error", err)
		return
	}
	limit := int64(total / 100 * uint64(s.c.RetentionPercent))
	if free < minFree {
		limit = 0
	}
	s.journal.retain(now, s.c.Retention, limit)
	s.spool.retain(now, s.c.Retention, limit)
	s.hasSpace.Store(free >= minFree)
	s.room.wake()
}

// LowOnSpace reports whether the disk has less than 5 % or 512 MiB free, whichever is
// less: then no new work is taken.
func (s *Store) LowOnSpace() bool {
	free, total, err := s.fs.Free()
	return err != nil || free < min(total/20, 512<<20)
}

// Overfill lets output go beyond MaxUnacknowledged, or no longer: a process that hands
// over what it has can wait for no hub to take some. HasSpace reports whether the disk
// could take it.
func (s *Store) Overfill(over bool) { s.room.overfill(over) }

// HasSpace reports whether output is written, and does not wait for space on the disk.
func (s *Store) HasSpace() bool { return s.hasSpace.Load() }

func (s *Store) progress() {
	if s.c.Progress != nil {
		s.c.Progress()
	}
}

// Syncs counts the syncs of journal and spool since Open, for the budget of a job.
func (s *Store) Syncs() (journal, spool int64) {
	s.journal.mu.Lock()
	journal = s.journal.syncs
	s.journal.mu.Unlock()
	s.spool.mu.Lock()
	defer s.spool.mu.Unlock()
	return journal, s.spool.syncs
}

// Attempts returns all that are not settled, by id: UUIDv7 sort by time.
func (s *Store) Attempts() []*Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Attempt, 0, len(s.attempts))
	for _, a := range s.attempts {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *Attempt) int { return cmp.Compare(a.id, b.id) })
	return out
}

// Offer writes an offer with its spec and returns when the disk has it.
func (s *Store) Offer(fence *runnerv1.Fence, specBytes []byte) (*Attempt, error) {
	spec := &runnerv1.Spec{}
	if err := proto.Unmarshal(specBytes, spec); err != nil {
		return nil, fmt.Errorf("reading the spec of attempt %s: %w", fence.GetAttemptId(), err)
	}
	payload, err := offerPayload(fence, specBytes)
	if err != nil {
		return nil, err
	}
	a := &Attempt{store: s, id: fence.GetAttemptId(), fence: fence, spec: spec}
	t, _, _, err := s.journal.append(frame{kindOffer, a.id, payload}, true)
	if err != nil {
		return nil, fmt.Errorf("writing the offer of attempt %s: %w", a.id, err)
	}
	a.offered = t
	s.mu.Lock()
	s.attempts[a.id] = a
	s.mu.Unlock()
	if err := s.journal.wait(t); err != nil {
		return nil, fmt.Errorf("syncing the offer of attempt %s: %w", a.id, err)
	}
	return a, nil
}

func offerPayload(fence *runnerv1.Fence, spec []byte) ([]byte, error) {
	f, err := proto.Marshal(fence)
	if err != nil {
		return nil, fmt.Errorf("encoding a fence: %w", err)
	}
	b := binary.AppendUvarint(nil, uint64(len(f)))
	return append(append(b, f...), spec...), nil
}

func (s *Store) drop(a *Attempt, unacknowledged int64) {
	s.mu.Lock()
	delete(s.attempts, a.id)
	s.mu.Unlock()
	s.room.add(-unacknowledged)
	s.journal.release(a.id, nil, true)
	s.spool.release(a.id, nil, false)
}

// journalFailed freezes the attempts whose records a failed sync took.
func (s *Store) journalFailed(keys []string, err error) {
	s.freezeAll(keys, "the disk failed to sync the journal")
	if s.c.Broken != nil {
		s.c.Broken(err)
	}
}

// spoolFailed: the chunks are lost, so the log of these attempts has a hole. What the
// commands did is still told.
func (s *Store) spoolFailed(keys []string, err error) {
	for _, key := range keys {
		s.log.Error("output was lost by the disk", "attempt", key, "error", err)
	}
	if s.c.Broken != nil {
		s.c.Broken(err)
	}
}

func (s *Store) freezeAll(keys []string, why string) {
	for _, key := range keys {
		s.mu.Lock()
		a := s.attempts[key]
		s.mu.Unlock()
		if a == nil {
			continue
		}
		a.mu.Lock()
		a.freeze(why)
		a.mu.Unlock()
	}
}

func (s *Store) makeReserve() error {
	f, err := s.fs.Append(reserveFile)
	if err != nil {
		return fmt.Errorf("making the reserve: %w", err)
	}
	size, err := f.Size()
	if err == nil && size < reserveSize {
		// Real bytes, since a file with holes reserves nothing.
		if _, err = f.Write(make([]byte, reserveSize-size)); err != nil {
			s.log.Warn("no space for the reserve", "error", err)
			err = nil
		}
	}
	return errors.Join(err, f.Close())
}

// giveReserve frees the reserve so that ends can be written on a full disk.
func (s *Store) giveReserve() bool {
	err := s.fs.Remove(reserveFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Error("giving up the reserve", "error", err)
	}
	if s.c.Broken != nil {
		s.c.Broken(errors.New("the disk is full"))
	}
	return err == nil
}
