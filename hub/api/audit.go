package api

import (
	"context"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// audit writes down a change in the transaction that makes it.
func (s *server) audit(ctx context.Context, st *store.Store, action, object string) error {
	p := principal(ctx)
	return st.Audit(ctx, hub.AuditEvent{
		OrganisationID: p.OrganisationID, Actor: actor(p), Action: action, Object: object, Result: "done",
	})
}

// actor is who did it, for the audit.
func actor(p hub.Principal) string {
	if p.TokenID != "" {
		return "token:" + p.Name
	}
	return "user:" + p.Name
}

// auditRefused writes down an operation that was asked for without the right to it;
// hub/auth does so for sign-ins. It must not keep the answer from its caller, so its
// own failure is only logged.
func (s *server) auditRefused(ctx context.Context, action string, cause error) {
	p := principal(ctx)
	err := s.Store.Audit(ctx, hub.AuditEvent{
		OrganisationID: p.OrganisationID, Actor: actor(p), Action: action,
		Result: string(hub.ErrorCode(cause)), Detail: hub.ErrorMessage(cause),
	})
	if err != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "cannot write the audit", "action", action, "error", err)
	}
}
