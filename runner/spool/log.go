package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/runner/disk"
)

// ErrBroken is what waits for a failed sync gets: nobody knows what is on disk.
var ErrBroken = errors.New("the disk failed to sync")

// ticket numbers the frames of a log in the order in which they were written.
type ticket uint64

// segmentLog is a log in numbered files with one loop that syncs them.
type segmentLog struct {
	fs  disk.FS
	dir string
	max int64 // size at which a new segment is begun
	log *slog.Logger
	// synced is called after each sync, failed before it with the keys of what a failed
	// sync took. Both without mu.
	synced func()
	failed func(keys []string, err error)
	// full is called without mu when there is no space; it returns whether space was made.
	full func() bool

	mu       sync.Mutex
	cond     *sync.Cond
	segments []*segment // those not done, ascending; the last is written to
	written  ticket
	stored   ticket // synced up to here, but for the failures
	want     ticket // somebody waits for this one
	dirDirty bool
	keys     map[string]struct{} // written since the last sync began
	failures []failure
	stopped  bool
	syncs    int64
	unsynced int64 // bytes
}

// failure is a range of tickets that a failed sync took.
type failure struct {
	after, upTo ticket
	err         error
}

type segment struct {
	number uint64
	file   disk.File
	size   int64
	dirty  bool
	// syncing: the loop uses the file without mu.
	syncing bool
	// refs are the attempts that still need the segment.
	refs map[string]struct{}
}

func segmentName(dir string, number uint64) string {
	return path.Join(dir, fmt.Sprintf("%08d.log", number))
}

// parseSegment returns the number of a file "00000001.log" or ".done".
func parseSegment(name string) (number uint64, done, ok bool) {
	base, ext, _ := strings.Cut(name, ".")
	number, err := strconv.ParseUint(base, 10, 64)
	return number, ext == "done", err == nil && (ext == "log" || ext == "done")
}

// open reads all segments that are not done, calls visit for each frame and harm
// for each damage, cuts torn tails and syncs what it read.
func (l *segmentLog) open(visit func(s *segment, f frame, offset int), harm func(s *segment, d damage)) error {
	l.cond = sync.NewCond(&l.mu)
	l.keys = map[string]struct{}{}
	if err := l.fs.MkdirAll(l.dir); err != nil {
		return fmt.Errorf("making %s: %w", l.dir, err)
	}
	infos, err := l.fs.List(l.dir)
	if err != nil {
		return fmt.Errorf("listing %s: %w", l.dir, err)
	}
	last := uint64(0)
	for _, info := range infos {
		number, done, ok := parseSegment(info.Name)
		if !ok {
			continue
		}
		last = max(last, number)
		if done {
			continue
		}
		s, err := l.read(number, visit, harm)
		if err != nil {
			return err
		}
		l.segments = append(l.segments, s)
	}
	// It may have died before a segment's name was on disk, too: what is told from now on
	// must be there after a power cut.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("syncing %s: %w", l.dir, err)
	}
	// Old segments are never appended to: a failed sync may lie behind them.
	return l.begin(last + 1)
}

func (l *segmentLog) read(number uint64, visit func(*segment, frame, int), harm func(*segment, damage)) (*segment, error) {
	name := segmentName(l.dir, number)
	data, err := l.fs.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	f, err := l.fs.Append(name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	s := &segment{number: number, file: f, refs: map[string]struct{}{}}
	damages, keep := scan(data, func(fr frame, offset int) { visit(s, fr, offset) })
	if keep < len(data) {
		l.log.Warn("cutting a torn tail", "file", name, "offset", keep, "bytes", len(data)-keep)
		if err := f.Truncate(int64(keep)); err != nil {
			return nil, fmt.Errorf("cutting the torn tail of %s: %w", name, err)
		}
	}
	s.size = int64(keep)
	// The process before this one may have died between write and sync.
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("syncing %s: %w", name, err)
	}
	for _, d := range damages {
		l.log.Error("a frame that had been stored is damaged", "file", name, "offset", d.offset, "attempt", d.key)
		harm(s, d)
	}
	return s, nil
}

// begin makes a new segment. The caller holds mu or is alone.
func (l *segmentLog) begin(number uint64) error {
	name := segmentName(l.dir, number)
	f, err := l.fs.Append(name)
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	l.segments = append(l.segments, &segment{number: number, file: f, refs: map[string]struct{}{}})
	l.dirDirty = true
	return nil
}

func (l *segmentLog) active() *segment { return l.segments[len(l.segments)-1] }

// append writes a frame, so that it survives the process, and asks for a sync if
// wanted. It returns where the frame lies.
func (l *segmentLog) append(f frame, wantSync bool) (ticket, *segment, int64, error) {
	t, s, off, err := l.tryAppend(f, wantSync)
	if errors.Is(err, syscall.ENOSPC) && l.full != nil && l.full() {
		return l.tryAppend(f, wantSync)
	}
	return t, s, off, err
}

func (l *segmentLog) tryAppend(f frame, wantSync bool) (ticket, *segment, int64, error) {
	data := appendFrame(make([]byte, 0, minFrameLen+len(f.key)+len(f.payload)), f)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.active()
	if s.size >= l.max {
		if err := l.begin(s.number + 1); err != nil {
			return 0, nil, 0, err
		}
		s = l.active()
	}
	if _, err := s.file.Write(data); err != nil {
		// A part may have been written: cut it, or begin a new segment behind it.
		if cut := s.file.Truncate(s.size); cut != nil {
			err = errors.Join(err, cut, l.begin(s.number+1))
		}
		return 0, nil, 0, fmt.Errorf("writing to %s: %w", l.dir, err)
	}
	offset := s.size
	s.size += int64(len(data))
	s.dirty = true
	s.refs[f.key] = struct{}{}
	l.keys[f.key] = struct{}{}
	l.unsynced += int64(len(data))
	l.written++
	if wantSync {
		l.want = l.written
		l.cond.Broadcast()
	}
	return l.written, s, offset, nil
}

// wait returns when the disk has the frame, asking for a sync if nobody has.
func (l *segmentLog) wait(t ticket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.want < t {
		l.want = t
		l.cond.Broadcast()
	}
	for l.stored < t && !l.stopped {
		l.cond.Wait()
	}
	if l.stored < t {
		return context.Canceled
	}
	return l.failureOf(t)
}

// has reports whether the disk has the frame.
func (l *segmentLog) has(t ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored >= t && l.failureOf(t) == nil
}

// passed reports whether the frame was in a sync, also in one that failed.
func (l *segmentLog) passed(t ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored >= t
}

func (l *segmentLog) failureOf(t ticket) error {
	for _, f := range l.failures {
		if f.after < t && t <= f.upTo {
			return f.err
		}
	}
	return nil
}

// run syncs whatever came while the last sync ran. There is no timer.
func (l *segmentLog) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.stopped = true
		l.cond.Broadcast()
	})
	defer stop()
	for l.syncOnce() {
	}
}

// syncOnce waits until somebody wants a sync and does it; false when the loop is to
// end, for which what is wanted is synced first.
func (l *segmentLog) syncOnce() bool {
	l.mu.Lock()
	for l.want <= l.stored && !l.stopped {
		l.cond.Wait()
	}
	if l.want <= l.stored {
		l.mu.Unlock()
		return false
	}
	upTo, after := l.written, l.stored
	keys := l.keys
	l.keys = map[string]struct{}{}
	var dirty []*segment
	for _, s := range l.segments {
		if s.dirty {
			dirty = append(dirty, s)
			s.dirty, s.syncing = false, true
		}
	}
	dirDirty := l.dirDirty
	l.dirDirty = false
	l.unsynced = 0
	l.syncs++
	l.mu.Unlock()

	err := l.sync(dirty, dirDirty)
	if err != nil {
		l.fail(after, upTo, keys, err)
	}
	l.mu.Lock()
	l.stored = upTo
	for _, s := range dirty {
		s.syncing = false
	}
	l.cond.Broadcast()
	l.mu.Unlock()
	l.synced()
	return true
}

// fail tells what a failed sync took, before anybody who waited for it goes on: what they
// look at then must be what the disk can vouch for.
func (l *segmentLog) fail(after, upTo ticket, keys map[string]struct{}, err error) {
	l.mu.Lock()
	l.failures = append(l.failures, failure{after, upTo, fmt.Errorf("%w: %w", ErrBroken, err)})
	if begin := l.begin(l.active().number + 1); begin != nil {
		l.log.Error("no new segment after a failed sync", "dir", l.dir, "error", begin)
	}
	l.mu.Unlock()
	l.log.Error("sync failed", "dir", l.dir, "error", err)
	l.failed(slices.Sorted(maps.Keys(keys)), err)
}

func (l *segmentLog) sync(dirty []*segment, dirDirty bool) error {
	for _, s := range dirty {
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("syncing %s: %w", segmentName(l.dir, s.number), err)
		}
	}
	if !dirDirty {
		return nil
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("syncing %s: %w", l.dir, err)
	}
	return nil
}

// release takes an attempt's claim off the segments that it names and puts away those
// that nothing needs any more. In order: a segment goes only after all before it, if
// inOrder is set, so that what settles an attempt never goes before what opened it.
func (l *segmentLog) release(key string, which func(*segment) bool, inOrder bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if which == nil || which(s) {
			delete(s.refs, key)
		}
	}
	kept := l.segments[:0]
	blocked := false
	for i, s := range l.segments {
		active := i == len(l.segments)-1
		if active || blocked || len(s.refs) > 0 || s.dirty || s.syncing {
			kept = append(kept, s)
			blocked = blocked || inOrder
			continue
		}
		l.putAway(s)
	}
	l.segments = kept
}

func (l *segmentLog) putAway(s *segment) {
	name := segmentName(l.dir, s.number)
	err := errors.Join(s.file.Close(), l.fs.Rename(name, strings.TrimSuffix(name, ".log")+".done"))
	if err != nil {
		l.log.Warn("putting a segment away", "file", name, "error", err)
	}
}

// retain removes put-away segments that are older than age, and the oldest ones while
// all of them take more than limit bytes.
func (l *segmentLog) retain(now time.Time, age time.Duration, limit int64) {
	infos, err := l.fs.List(l.dir)
	if err != nil {
		l.log.Warn("listing segments", "dir", l.dir, "error", err)
		return
	}
	total := int64(0)
	for _, info := range infos {
		if _, done, ok := parseSegment(info.Name); ok && done {
			total += info.Size
		}
	}
	for _, info := range infos {
		_, done, ok := parseSegment(info.Name)
		if !ok || !done || (now.Sub(info.ModTime) < age && total <= limit) {
			continue
		}
		if err := l.fs.Remove(path.Join(l.dir, info.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			l.log.Warn("removing a segment", "file", info.Name, "error", err)
			continue
		}
		total -= info.Size
	}
}

// at reads size bytes of a segment.
func (l *segmentLog) at(number uint64, offset int64, size int) ([]byte, error) {
	l.mu.Lock()
	var f disk.File
	for _, s := range l.segments {
		if s.number == number {
			f = s.file
		}
	}
	l.mu.Unlock()
	name := segmentName(l.dir, number)
	if f == nil {
		var err error
		if f, err = l.fs.Append(strings.TrimSuffix(name, ".log") + ".done"); err != nil {
			return nil, fmt.Errorf("opening a segment that was put away: %w", err)
		}
		defer func() { _ = f.Close() }()
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, offset); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return b, nil
}
