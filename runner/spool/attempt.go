package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// ErrClosed is returned for a record behind the closed record or behind Decline:
// nothing is ever written there.
var ErrClosed = errors.New("the attempt is closed")

// Attempt is what the disk holds of one attempt. It is safe for concurrent use.
type Attempt struct {
	store *Store
	id    string
	fence *runnerv1.Fence
	spec  *runnerv1.Spec

	// stalled is since when a chunk waits to be written, in Unix nanoseconds; 0: none does.
	stalled atomic.Int64

	mu       sync.Mutex // guards the following fields; taken before the log's
	records  []record
	hash     wire.Hash // of the chain behind the last record
	closed   bool
	declined bool
	settled  bool
	frozen   string // why nothing of it may start any more; "" if it may
	gap      bool   // while reading: a record is missing, those behind do not count
	offered  ticket
	decline  ticket
	chunks   chunks
}

type record struct {
	data   []byte
	before wire.Hash // of the chain before it
	ticket ticket
}

// Fence returns the attempt's fence.
func (a *Attempt) Fence() *runnerv1.Fence { return a.fence }

// ID returns the attempt's id.
func (a *Attempt) ID() string { return a.id }

// Spec returns what the attempt does. It must not be changed.
func (a *Attempt) Spec() *runnerv1.Spec { return a.spec }

// Closed reports whether the closed record is written.
func (a *Attempt) Closed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// Declined reports whether the attempt was closed without a start.
func (a *Attempt) Declined() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.declined
}

// Settled reports whether Settle was called.
func (a *Attempt) Settled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settled
}

// Frozen returns why the disk cannot vouch for the attempt; "" if it can. Nothing of
// a frozen attempt may start, and what had not ended is unknown.
func (a *Attempt) Frozen() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.frozen
}

// Append writes records behind the others and returns the number of the first and a
// function that waits until the disk has them all. Only records with a sync wanted
// make the disk sync; others are carried along by the next.
func (a *Attempt) Append(wantSync bool, records ...*runnerv1.Record) (first uint64, wait func() error, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first = uint64(len(a.records))
	if a.closed || a.declined {
		return first, nil, ErrClosed
	}
	var last ticket
	for i, r := range records {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
		if err != nil {
			return first, nil, fmt.Errorf("encoding a journal record: %w", err)
		}
		payload := append(binary.AppendUvarint(nil, uint64(len(a.records))), data...)
		want := wantSync && i == len(records)-1
		last, _, _, err = a.store.journal.append(frame{kindRecord, a.id, payload}, want)
		if err != nil {
			if a.frozen == "" {
				a.freeze("the journal could not be written")
			}
			return first, nil, fmt.Errorf("writing the journal of attempt %s: %w", a.id, err)
		}
		a.push(data, last)
		a.closed = a.closed || r.GetClosed() != nil
	}
	upTo := uint64(len(a.records))
	return first, func() error { return a.waitFor(last, upTo) }, nil
}

// waitFor returns when the disk has the first upTo records, of which t is the last.
func (a *Attempt) waitFor(t ticket, upTo uint64) error {
	if err := a.store.journal.wait(t); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if uint64(len(a.records)) < upTo {
		return ErrBroken // one before it went with a failed sync
	}
	return nil
}

// Wait returns when the disk has all records; an error says that it lost some.
func (a *Attempt) Wait() error {
	a.mu.Lock()
	upTo, last := uint64(len(a.records)), ticket(0)
	if upTo > 0 {
		last = a.records[upTo-1].ticket
	}
	a.mu.Unlock()
	return a.waitFor(last, upTo)
}

// push takes a record into memory.
func (a *Attempt) push(data []byte, t ticket) {
	a.records = append(a.records, record{data: data, before: a.hash, ticket: t})
	a.hash = wire.NextRecordHash(a.hash, data)
}

// Decline closes the attempt without a start and returns when the disk has it.
func (a *Attempt) Decline() error {
	a.mu.Lock()
	if len(a.records) > 0 {
		a.mu.Unlock()
		return fmt.Errorf("attempt %s was granted and cannot be declined", a.id)
	}
	if !a.declined {
		t, _, _, err := a.store.journal.append(frame{kindDeclined, a.id, nil}, true)
		if err != nil {
			a.mu.Unlock()
			return fmt.Errorf("declining attempt %s: %w", a.id, err)
		}
		a.declined, a.decline = true, t
	}
	t := a.decline
	a.mu.Unlock()
	return a.store.journal.wait(t)
}

// Settle says that the hub has all: the attempt is dropped from memory, and its
// segments go when nothing else needs them and their retention is over.
func (a *Attempt) Settle() {
	a.mu.Lock()
	if a.settled {
		a.mu.Unlock()
		return
	}
	a.settled = true
	pending := a.chunks.pending()
	a.mu.Unlock()
	// Not synced: if it is lost, the hub is asked once more.
	if _, _, _, err := a.store.journal.append(frame{kindSettled, a.id, nil}, false); err != nil {
		a.store.log.Warn("writing that an attempt is settled", "attempt", a.id, "error", err)
	}
	a.store.drop(a, pending)
}

// Records returns the records from n on that the disk has, within the limits, and the
// chain's hash before them. total is how many there are, synced or not.
func (a *Attempt) Records(n uint64, maxRecords, maxBytes int) (records [][]byte, before wire.Hash, total uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	total = uint64(len(a.records))
	if n >= total {
		return nil, a.hash, total
	}
	before = a.records[n].before
	size := 0
	for _, r := range a.records[n:] {
		if len(records) == maxRecords || size+len(r.data) > maxBytes || !a.store.journal.has(r.ticket) {
			break
		}
		records = append(records, r.data)
		size += len(r.data) + 8
	}
	return records, before, total
}

// Replay calls visit for every record in order, synced or not.
func (a *Attempt) Replay(visit func(n uint64, r *runnerv1.Record)) error {
	a.mu.Lock()
	records := a.records
	a.mu.Unlock()
	for n, rec := range records {
		r := &runnerv1.Record{}
		if err := proto.Unmarshal(rec.data, r); err != nil {
			return fmt.Errorf("reading record %d of attempt %s: %w", n, a.id, err)
		}
		visit(uint64(n), r)
	}
	return nil
}

// Totals returns number and hash of the records, and whether the disk has all.
func (a *Attempt) Totals() (total uint64, hash wire.Hash, synced bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.records)
	return uint64(n), a.hash, n == 0 || a.store.journal.has(a.records[n-1].ticket)
}

// GrantProof returns the hub's proof of the grant and the boot that it was made to; nil
// without one.
func (a *Attempt) GrantProof() (mac, boot []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.records) == 0 {
		return nil, nil
	}
	r := &runnerv1.Record{}
	if proto.Unmarshal(a.records[0].data, r) != nil {
		return nil, nil
	}
	return r.GetGranted().GetMac(), r.GetGranted().GetBootId()
}

// Granted reports whether there is any record: the first one is the grant's.
func (a *Attempt) Granted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.records) > 0
}

// freeze makes what is in memory what the disk can vouch for: records that a failed
// sync took are void. That may happen again, to what was written since: void ones left
// standing would neither be told nor written anew before a restart. The caller holds mu.
func (a *Attempt) freeze(why string) {
	// Later cuts go to disk with the records behind them: each would else have a disk that
	// fails every sync asked for the next one at once.
	first := a.frozen == ""
	if first {
		a.frozen = why
	}
	for n, r := range a.records {
		if !a.vouched(r) {
			a.hash, a.records = r.before, a.records[:n:n]
			a.closed = false
			break
		}
	}
	payload := binary.AppendUvarint(nil, uint64(len(a.records)))
	if _, _, _, err := a.store.journal.append(frame{kindCut, a.id, payload}, first); err != nil {
		a.store.log.Error("an attempt could not be cut off on disk", "attempt", a.id, "error", err)
	}
}

// vouched reports whether no failed sync took the record.
func (a *Attempt) vouched(r record) bool {
	a.store.journal.mu.Lock()
	defer a.store.journal.mu.Unlock()
	return a.store.journal.failureOf(r.ticket) == nil
}
