package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

const leaderLeaseColumns = `name, holder, term, until_tick, wanted, taken_at`

func scanLeaderLease(r scanner) (*hub.LeaderLease, error) {
	l := &hub.LeaderLease{}
	err := r.Scan(&l.Name, &l.Holder, &l.Term, &l.UntilTick, &l.Wanted, timeInto(&l.TakenAt))
	return l, err
}

// LeaderLease returns one lease, nil when nobody ever held it.
func (s *Store) LeaderLease(ctx context.Context, name string) (*hub.LeaderLease, error) {
	l, err := scanLeaderLease(s.queryRow(ctx, `SELECT `+leaderLeaseColumns+` FROM leader_lease WHERE name = $1`, name))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lease %s: %w", name, err)
	}
	return l, nil
}

// tickNow is the lease clock inside of a statement.
const tickNow = `(SELECT tick FROM lease_clock WHERE singleton = 1)`

// LeaderLeases returns all leases by name, also those that are over.
func (s *Store) LeaderLeases(ctx context.Context) ([]*hub.LeaderLease, error) {
	list, err := collect(ctx, s, scanLeaderLease, `SELECT `+leaderLeaseColumns+` FROM leader_lease ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("listing leases: %w", err)
	}
	return list, nil
}

// TakeLeaderLease gives a lease that is over, given back or never was to a member, with
// a new term, for so many ticks; nil when another has it. The member that a person named
// comes first, and for as many ticks alone. Without mayInherit a member takes only what
// it was given, had before, or nobody ever had.
func (s *Store) TakeLeaderLease(ctx context.Context, name, member string, ticks int64, mayInherit bool) (*hub.LeaderLease, error) {
	var taken *hub.LeaderLease
	err := s.InTx(ctx, func(s *Store) error {
		taken = nil
		_, err := s.exec(ctx, `INSERT INTO leader_lease (name, holder, term, until_tick, taken_at) VALUES ($1, '', 0, -1000, $2)
			ON CONFLICT (name) DO NOTHING`, name, at(s.Now()))
		if err != nil {
			return err
		}
		l, err := scanLeaderLease(s.queryRow(ctx, `UPDATE leader_lease SET holder = $2, term = term + 1,
				until_tick = `+tickNow+` + $3, taken_at = $4, wanted = ''
			WHERE name = $1 AND until_tick < `+tickNow+` AND (wanted = $2
				OR (wanted = '' OR until_tick < `+tickNow+` - $3) AND ($5 OR holder IN ('', $2)))
			RETURNING `+leaderLeaseColumns, name, member, ticks, at(s.Now()), mayInherit))
		if missing(err) {
			return nil
		}
		taken = l
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("taking the lease %s: %w", name, err)
	}
	return taken, nil
}

// RenewLeaderLease keeps a lease for so many more ticks. false: it is another's, or a
// person gave it to another. That a person gave it to this member is done with: nobody
// waits for it when it dies.
func (s *Store) RenewLeaderLease(ctx context.Context, name, member string, term, ticks int64) (bool, error) {
	n, err := s.exec(ctx, `UPDATE leader_lease SET until_tick = `+tickNow+` + $4, wanted = ''
		WHERE name = $1 AND holder = $2 AND term = $3 AND wanted IN ('', $2)`, name, member, term, ticks)
	if err != nil {
		return false, fmt.Errorf("renewing the lease %s: %w", name, err)
	}
	return n == 1, nil
}

// EndLeaderLease gives a lease back, so that nobody waits for its end; one that a person
// gave to another member is that one's first.
func (s *Store) EndLeaderLease(ctx context.Context, name, member string, term int64) error {
	_, err := s.exec(ctx, `UPDATE leader_lease SET until_tick = CASE WHEN wanted IN ('', holder) THEN -1000 ELSE `+tickNow+` - 1 END WHERE name = $1 AND holder = $2 AND term = $3`, name, member, term)
	if err != nil {
		return fmt.Errorf("giving the lease %s back: %w", name, err)
	}
	return nil
}

// GiveLeaderLease names the member that is to have a lease next; its holder gives it back at its
// next renewal. not_found when nobody ever held it.
func (s *Store) GiveLeaderLease(ctx context.Context, name, member string) error {
	n, err := s.exec(ctx, `UPDATE leader_lease SET wanted = $2 WHERE name = $1`, name, member)
	if err != nil {
		return fmt.Errorf("giving the lease %s to another: %w", name, err)
	}
	if n == 0 {
		return hub.Errorf(hub.CodeNotFound, "No member has ever held the lease %s.", name)
	}
	return nil
}

// HoldLeaderLease makes sure within a transaction that the lease is still of that term and stays so
// until the transaction ends: a leader that slept through its own end must write
// nothing. A conflict says that another leads.
func (s *Store) HoldLeaderLease(ctx context.Context, name, member string, term int64) error {
	var one int
	err := s.queryRow(ctx, `SELECT 1 FROM leader_lease WHERE name = $1 AND holder = $2 AND term = $3`+s.dialect.forUpdate, name, member, term).Scan(&one)
	if missing(err) {
		return hub.Errorf(hub.CodeConflict, "Another member leads %s by now; this one's term %d is over.", name, term)
	}
	if err != nil {
		return fmt.Errorf("looking at the lease %s: %w", name, err)
	}
	return nil
}
