package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const auditColumns = `id, organisation_id, happened_at, actor, action, object, result, detail`

func scanAudit(r scanner) (hub.AuditEvent, error) {
	var e hub.AuditEvent
	err := r.Scan(&e.ID, &e.OrganisationID, timeInto(&e.Time), &e.Actor, &e.Action, &e.Object, &e.Result, &e.Detail)
	return e, err
}

// Audit appends events, best in the transaction of what they tell, and gives them ids
// and time.
func (s *Store) Audit(ctx context.Context, events ...hub.AuditEvent) error {
	now := at(s.Now())
	err := inPieces(len(events), func(from, to int) error {
		var args []any
		for _, e := range events[from:to] {
			args = append(args, NewID(), e.OrganisationID, now, e.Actor, e.Action, e.Object, e.Result, e.Detail)
		}
		return s.later(ctx, `INSERT INTO audit_event (`+auditColumns+`) VALUES `+tuples(1, to-from, 8), args...)
	})
	if err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	return nil
}

// AuditEvents lists the events of an organisation, newest first.
func (s *Store) AuditEvents(ctx context.Context, organisationID string, page Page) ([]hub.AuditEvent, string, error) {
	before, err := decodeNewest(page.Cursor)
	if err != nil {
		return nil, "", err
	}
	list, err := collect(ctx, s, scanAudit, `SELECT `+auditColumns+` FROM audit_event
		WHERE organisation_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, organisationID, before, page.limit()+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing the audit: %w", err)
	}
	list, next := cut(list, page.limit(), func(e hub.AuditEvent) []string { return []string{e.ID} })
	return list, next, nil
}
