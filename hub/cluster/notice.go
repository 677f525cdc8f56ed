package cluster

import (
	"context"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// Waits of notices.
const (
	// noticeWindow is the least time between two notices of a member, for each other one
	// that hears them; together they are no more than some hundred a second.
	noticeWindow    = 8 * time.Millisecond
	minNoticeWindow = 25 * time.Millisecond
	maxNoticeWindow = 250 * time.Millisecond
	// listenAgain is the wait before another try to listen.
	listenAgain = 5 * time.Second
)

// Words of a notice, behind the id of the member that sends it.
const (
	noticeReady  = "ready"
	noticeStops  = "stops"
	noticeOffers = "offers"
)

// Notice tells all other members over the database what could not be told one of them
// directly: the first at once, those that follow within the window together. It does
// not wait, and what gets lost is found by the next poll.
func (c *Cluster) Notice(w hub.Wake) {
	c.mu.Lock()
	c.notice.Ready = c.notice.Ready || w.Ready
	c.notice.Stops = c.notice.Stops || w.Stops
	c.notice.Look = c.notice.Look || w.Look || len(w.Offers) > 0
	c.mu.Unlock()
	select {
	case c.noticed <- struct{}{}:
	default: // it goes with the one that waits
	}
}

// notices sends what Notice was told until ctx ends.
func (c *Cluster) notices(ctx context.Context) error {
	for {
		select {
		case <-c.noticed:
		case <-ctx.Done():
			return nil
		}
		c.mu.Lock()
		w, others := c.notice, len(c.others)
		c.notice = hub.Wake{}
		c.mu.Unlock()
		if err := c.st.Notify(ctx, noticeText(c.cfg.ID, w)); err != nil && ctx.Err() == nil {
			c.log.DebugContext(ctx, "other members could not be notified", "error", err)
		}
		select {
		case <-time.After(min(max(noticeWindow*time.Duration(others), minNoticeWindow), maxNoticeWindow)):
		case <-ctx.Done():
			return nil
		}
	}
}

func noticeText(id string, w hub.Wake) string {
	words := []string{id}
	for word, is := range map[string]bool{noticeReady: w.Ready, noticeStops: w.Stops, noticeOffers: w.Look} {
		if is {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// listen does what other members' notices ask for until ctx ends. A pooler in
// transaction mode, for one, lets nobody listen: then the polls do it.
func (c *Cluster) listen(ctx context.Context) error {
	for told := false; ; {
		err := c.st.Listen(ctx, func(text string) { c.hear(ctx, text) })
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ended because of that
		}
		if !told {
			told = true
			c.log.InfoContext(ctx, "not listening to the database for other members; what they cannot tell directly waits for the next look", "error", err)
		}
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Cluster) hear(ctx context.Context, text string) {
	words := strings.Fields(text)
	if len(words) == 0 || words[0] == c.cfg.ID {
		return
	}
	var w hub.Wake
	for _, word := range words[1:] {
		w.Ready = w.Ready || word == noticeReady
		w.Stops = w.Stops || word == noticeStops
		w.Look = w.Look || word == noticeOffers
	}
	if err := c.cfg.Woken(ctx, w); err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "what another member asked for could not be done and waits for the next look", "error", err)
	}
}
