package auth

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// hubActor is who did what was done on the hub's own machine: whoever may run its
// commands there could write to its database.
const hubActor = "hub"

// done writes down a change in the transaction that makes it.
func done(ctx context.Context, st *store.Store, organisationID, actor, action, object, detail string) error {
	return st.Audit(ctx, hub.AuditEvent{
		OrganisationID: organisationID, Actor: actor, Action: action, Object: object, Result: "done", Detail: detail,
	})
}

// auditRefusal writes down a sign-in that was refused. Strangers cause these, so they are
// bounded, and what was left out is counted. That one could not be written is logged:
// its caller must hear why it was refused, not this.
func (a *Auth) auditRefusal(ctx context.Context, how, name string, cause error) {
	left, ok := a.refused.take(a.st.Now())
	if !ok {
		return
	}
	detail := "by " + how
	if left > 0 {
		detail += fmt.Sprintf("; %d more before it were refused and are not listed", left)
	}
	// Who hangs up is written down too.
	err := a.st.Audit(context.WithoutCancel(ctx), hub.AuditEvent{
		OrganisationID: hub.DefaultOrganisationID, Actor: "user:" + printable(name), Action: "session.create",
		Object: printable(name), Result: string(hub.ErrorCode(cause)), Detail: detail,
	})
	if err != nil {
		a.log.ErrorContext(ctx, "audit event not written", "action", "session.create", "error", err)
	}
}

// maxAuditName bounds what a stranger gave for a name, in bytes.
const maxAuditName = 128

// printable is a name as it may be stored and shown, whatever was typed for one.
func printable(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
	return strings.ToValidUTF8(clean[:min(len(clean), maxAuditName)], "?")
}

// refusalsEach is how many refused sign-ins a member writes down in a minute: a row for
// each would let strangers fill the database.
const refusalsEach = 100

// refusals counts those of the minute that runs.
type refusals struct {
	mu            sync.Mutex // guards what follows
	since         time.Time
	written, left int
}

// take reports whether one more may be written, and how many were left out before it.
func (r *refusals) take(now time.Time) (left int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.since) >= time.Minute {
		r.since, r.written = now, 0
	}
	if r.written == refusalsEach {
		r.left++
		return 0, false
	}
	r.written++
	left, r.left = r.left, 0
	return left, true
}
