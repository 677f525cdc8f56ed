package output

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// appendRequest is what one call of Append brings.
type appendRequest struct {
	chunks []*Prepared
	bytes  int
}

type appendCall = batch.Call[appendRequest, []hub.ChunkAck]

// Append commits chunks of one runner and answers each attempt among them once. It
// returns an error only when nothing was committed.
func (o *Output) Append(ctx context.Context, chunks []hub.Chunk) ([]hub.ChunkAck, error) {
	var request appendRequest
	var bad []hub.ChunkAck
	for _, c := range chunks {
		p, err := Prepare(c)
		if err != nil {
			bad = append(bad, lasting(c.Fence, err.Error()))
			continue
		}
		request.chunks = append(request.chunks, p)
		request.bytes += len(c.Data)
	}
	if len(request.chunks) == 0 {
		return bad, nil
	}
	if failpoint.Mutant("L1") {
		o.later(ctx, request)
		return append(bad, o.promise(request.chunks)...), nil
	}
	acks, err := o.appends.Do(ctx, request)
	if err != nil {
		return nil, err
	}
	return append(bad, acks...), nil
}

// promise and later are mutant L1: the acknowledgement goes out before the commit.
func (o *Output) promise(chunks []*Prepared) []hub.ChunkAck {
	next := make(map[hub.Fence]int64)
	for _, c := range chunks {
		next[c.Fence] = max(next[c.Fence], c.Seq+1)
	}
	var acks []hub.ChunkAck
	for fence, n := range next {
		acks = append(acks, hub.ChunkAck{Fence: fence, NextSeq: n})
	}
	return acks
}

func (o *Output) later(ctx context.Context, request appendRequest) {
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = o.appends.Do(ctx, request)
	}()
}

func lasting(fence hub.Fence, message string) hub.ChunkAck {
	return hub.ChunkAck{Fence: fence, Nack: true, Lasting: true, Message: message}
}

// sender is who sends chunks of an attempt: of those who say so, one at most is the runner
// that has it.
type sender struct {
	fence    hub.Fence
	runnerID string
}

func senderOf(p *Prepared) sender { return sender{p.Fence, p.RunnerID} }

// merged are the chunks of one sender in a batch.
type merged struct {
	sender

	chunks []*Prepared
	ack    hub.ChunkAck
	// stored are those that this batch added.
	stored []store.ChunkRow
	log    *store.LogState
	accuse string
}

// merge gathers a batch by sender.
func merge(calls []*appendCall) (order []*merged) {
	bySender := make(map[sender]*merged)
	for _, c := range calls {
		for _, p := range c.Request.chunks {
			m := bySender[senderOf(p)]
			if m == nil {
				m = &merged{sender: senderOf(p)}
				bySender[m.sender] = m
				order = append(order, m)
			}
			m.chunks = append(m.chunks, p)
		}
	}
	for _, m := range order {
		slices.SortStableFunc(m.chunks, func(a, b *Prepared) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	// One order of rows for every member.
	slices.SortFunc(order, func(a, b *merged) int { return cmp.Compare(a.fence.AttemptID, b.fence.AttemptID) })
	return order
}

// commit stores what came together: one transaction, one compare-and-set per attempt.
func (o *Output) commit(ctx context.Context, calls []*appendCall) error {
	var order []*merged
	var whole []string
	err := o.st.InBackgroundTx(ctx, func(st *store.Store) error {
		order, whole = merge(calls), nil
		var err error
		if whole, err = o.store(ctx, st, order); err != nil {
			return err
		}
		failpoint.Hit("hub.chunks.before-commit")
		return nil
	})
	if err != nil {
		return err
	}
	failpoint.Hit("hub.chunks.after-commit")
	acks := make(map[sender]hub.ChunkAck, len(order))
	for _, m := range order {
		if m.log != nil {
			m.ack.Followed = o.followers.follows(m.log.ExecutionID)
			o.followers.push(m.log.ExecutionID, m.stored, false, false)
		}
		acks[m.sender] = m.ack
		if m.accuse != "" && o.cfg.Accuse != nil {
			o.cfg.Accuse(ctx, m.fence, m.runnerID, m.accuse)
		}
	}
	for _, c := range calls {
		c.Answer = answer(c.Request.chunks, acks)
	}
	if len(whole) > 0 && o.cfg.Whole != nil {
		select {
		case o.whole <- whole:
		default: // the tick looks at them too
		}
	}
	return nil
}

func answer(chunks []*Prepared, acks map[sender]hub.ChunkAck) []hub.ChunkAck {
	var out []hub.ChunkAck
	for _, p := range chunks {
		if !slices.ContainsFunc(out, func(a hub.ChunkAck) bool { return a.Fence == p.Fence }) {
			out = append(out, acks[senderOf(p)])
		}
	}
	return out
}

// store appends to the logs of a batch; it returns the executions of those that became
// whole.
func (o *Output) store(ctx context.Context, st *store.Store, order []*merged) (whole []string, err error) {
	ids := make([]string, len(order))
	for i, m := range order {
		ids[i] = m.fence.AttemptID
	}
	list, err := st.Logs(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	if list, err = stay(ctx, st, list); err != nil {
		return nil, err
	}
	logs := make(map[string]*store.LogState, len(list))
	for _, l := range list {
		logs[l.AttemptID] = l
	}
	var adds []store.LogAppend
	var repeats []string
	byID := make(map[string]*merged, len(order))
	for _, m := range order {
		m.log = logs[m.fence.AttemptID]
		switch add := m.extend(); {
		case add != nil:
			adds = append(adds, *add)
			byID[add.AttemptID] = m
		case m.log != nil && !m.ack.Lasting:
			repeats = append(repeats, m.log.AttemptID)
		}
	}
	tick, _ := o.cfg.Clock()
	won, err := st.AppendChunks(ctx, adds, tick, o.cfg.MemberID)
	if err != nil {
		return nil, err
	}
	for i := range adds {
		m := byID[adds[i].AttemptID]
		end, ok := won[adds[i].AttemptID]
		if !ok {
			// Another member was first; the runner sends again from where that one is.
			m.ack = hub.ChunkAck{Fence: m.fence, NextSeq: m.log.Next, Nack: true}
			continue
		}
		m.stored = adds[i].Chunks
		m.ack.NextSeq = adds[i].To
		if end.Total < 0 || adds[i].To < end.Total {
			continue
		}
		whole = append(whole, m.log.ExecutionID)
		if adds[i].Hash != end.TotalHash || adds[i].To > end.Total {
			m.accuse = "Its output is not what its signed result speaks of."
			if err := st.BreakLog(ctx, m.log.AttemptID); err != nil {
				return nil, err
			}
		}
	}
	return whole, st.TouchLogs(ctx, repeats, tick)
}

// stay keeps the attempts of logs where they are until the transaction ends, and leaves out
// those that are gone. Retention takes only attempts that are over, the attempt first: what
// was added behind its back nobody would find any more.
func stay(ctx context.Context, st *store.Store, list []*store.LogState) ([]*store.LogState, error) {
	var over []string
	for _, l := range list {
		if !l.State.Live() {
			over = append(over, l.AttemptID)
		}
	}
	if len(over) == 0 {
		return list, nil
	}
	rows, err := st.Attempts(ctx, over, true)
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(rows))
	for _, row := range rows {
		there[row.AttemptID] = true
	}
	return slices.DeleteFunc(list, func(l *store.LogState) bool { return !l.State.Live() && !there[l.AttemptID] }), nil
}

// extend works out what an attempt's chunks add and prepares its answer.
func (m *merged) extend() *store.LogAppend {
	m.ack = hub.ChunkAck{Fence: m.fence}
	l := m.log
	if l == nil || l.RunnerID != m.runnerID || l.Incarnation != m.fence.Incarnation || l.Epoch != m.fence.Epoch {
		m.log = nil
		m.ack = lasting(m.fence, "The hub has no such attempt of this runner.")
		return nil
	}
	switch l.State {
	case hub.AttemptOffered, hub.AttemptExpired, hub.AttemptNotStarted:
		m.ack = lasting(m.fence, "The attempt was not granted.")
		return nil
	}
	m.ack.NextSeq = l.Next
	add, gap, err := Extend(l, m.chunks)
	if err != nil {
		m.ack = lasting(m.fence, err.Error())
		m.ack.NextSeq = l.Next
		if IsOtherHistory(err) {
			m.accuse = "It sent other output under the number of what it had sent before; its disk may have been copied."
		}
		return nil
	}
	m.ack.Nack = gap && add == nil
	return add
}
