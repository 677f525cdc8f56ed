package retention

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

const (
	// countEvery is the least time from the end of a count to the next one, which also waits
	// share times as long as the last one took.
	countEvery = time.Minute
	// countedAtOnce is how many logs are added up together.
	countedAtOnce = 5000
)

// tally counts what organisations hold, for their quotas.
type tally struct {
	count     *count // nil between two
	nextCount time.Time
	// over: by the last count an organisation holds as much as it may.
	over bool
}

// count looks once at all logs.
type count struct {
	term  int64
	began time.Time
	last  string
	bytes map[string]int64 // by organisation
}

// stepCount does a small piece of a count; idle: there is nothing to do now.
func (p *Purger) stepCount(ctx context.Context, term int64) (idle bool, err error) {
	if p.count == nil || p.count.term != term {
		if time.Now().Before(p.nextCount) {
			return true, nil
		}
		p.count = &count{term: term, began: time.Now(), bytes: map[string]int64{}}
	}
	done, err := p.add(ctx)
	if err != nil {
		err = fmt.Errorf("counting what the logs hold: %w", err)
	}
	if done || err != nil {
		p.nextCount = time.Now().Add(max(countEvery, share*time.Since(p.count.began)))
		p.count = nil
	}
	return false, err
}

// add adds up some logs, and stores the sums behind the last of them.
func (p *Purger) add(ctx context.Context) (done bool, err error) {
	began := time.Now()
	sum, err := p.st.SumLogs(ctx, p.count.last, countedAtOnce)
	if err != nil {
		return false, err
	}
	for id, n := range sum.Bytes {
		p.count.bytes[id] += n
	}
	if p.count.last = sum.Last; sum.Logs == countedAtOnce {
		return false, rest(ctx, began)
	}
	return true, p.noteCount(ctx)
}

// noteCount stores what was counted. Whoever is over the quota from now on need not wait for
// a pass.
func (p *Purger) noteCount(ctx context.Context) error {
	err := p.under(ctx, p.count.term, func(st *store.Store) error { return st.NoteUsed(ctx, p.count.bytes) })
	if err != nil {
		return err
	}
	quotas, err := p.st.Quotas(ctx)
	if err != nil {
		return err
	}
	over := slices.ContainsFunc(quotas, func(q hub.Quota) bool { return q.Over() })
	if over && !p.over {
		p.next = time.Time{}
	}
	p.over = over
	return nil
}
