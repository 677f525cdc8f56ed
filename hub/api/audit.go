package api

import (
	"context"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// audit writes down a change in the transaction that makes it.
func (s *server) audit(ctx context.Context, st *store.Store, action, object string) error {
	return st.Audit(ctx, done(ctx, action, object))
}

// done is the event of a change that the caller makes.
func done(ctx context.Context, action, object string) hub.AuditEvent {
	p := principal(ctx)
	return hub.AuditEvent{OrganisationID: p.OrganisationID, Actor: p.Actor(), Action: action, Object: object, Result: "done"}
}

// maxAuditObject bounds what of a stranger's request is written down, in bytes.
const maxAuditObject = 200

// auditRefused writes down an operation that was asked for without the right to it;
// hub/auth does so for sign-ins. It must not keep the answer from its caller, so its
// own failure is only logged.
func (s *server) auditRefused(ctx context.Context, action, object string, cause error) {
	p := principal(ctx)
	// Who hangs up is written down too.
	err := s.Store.Audit(context.WithoutCancel(ctx), hub.AuditEvent{
		OrganisationID: p.OrganisationID, Actor: p.Actor(), Action: action, Object: object,
		Result: string(hub.ErrorCode(cause)), Detail: hub.ErrorMessage(cause),
	})
	if err != nil {
		s.Log.ErrorContext(ctx, "cannot write the audit", "action", action, "error", err)
	}
}
