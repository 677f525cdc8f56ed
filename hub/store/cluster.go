package store

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/hub"
)

// Cluster returns the one row about the installation; the first call makes it.
func (s *Store) Cluster(ctx context.Context) (*hub.Cluster, error) {
	c, err := s.readCluster(ctx)
	if !missing(err) {
		return c, err
	}
	// Members that start together each make an id; one of them stays.
	_, err = s.exec(ctx, `INSERT INTO cluster (singleton, id, incarnation, created_at) VALUES (1, $1, 1, $2) ON CONFLICT (singleton) DO NOTHING`,
		NewID(), at(s.Now()))
	if err == nil {
		c, err = s.readCluster(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("making the cluster's row: %w", err)
	}
	return c, nil
}

func (s *Store) readCluster(ctx context.Context) (*hub.Cluster, error) {
	c := &hub.Cluster{}
	err := s.queryRow(ctx, `SELECT id, incarnation, execution_mode, created_at FROM cluster WHERE singleton = 1`).Scan(&c.ID, &c.Incarnation, &c.ExecutionMode, timeInto(&c.CreatedAt))
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's row: %w", err)
	}
	return c, nil
}

// ClusterCA returns the CA's certificate (DER) and its key's envelope, nil before
// there is one.
func (s *Store) ClusterCA(ctx context.Context) (certificate, sealedKey []byte, err error) {
	err = s.queryRow(ctx, `SELECT ca, ca_key FROM cluster WHERE singleton = 1`).Scan(&certificate, &sealedKey)
	if err != nil && !missing(err) {
		return nil, nil, fmt.Errorf("reading the CA: %w", err)
	}
	return certificate, sealedKey, nil
}

// SetClusterCA stores the CA if there is none yet, and reports whether it was this
// one: a member that lost reads the other's. Cluster must have been called before.
func (s *Store) SetClusterCA(ctx context.Context, certificate, sealedKey []byte) (bool, error) {
	n, err := s.exec(ctx, `UPDATE cluster SET ca = $1, ca_key = $2 WHERE singleton = 1 AND ca IS NULL`, certificate, sealedKey)
	if err != nil {
		return false, fmt.Errorf("storing the CA: %w", err)
	}
	return n == 1, nil
}

// SetExecutionMode says for the whole cluster whether schedules fire.
func (s *Store) SetExecutionMode(ctx context.Context, mode hub.ExecutionMode) error {
	if _, err := s.exec(ctx, `UPDATE cluster SET execution_mode = $1 WHERE singleton = 1`, mode); err != nil {
		return fmt.Errorf("setting the execution mode: %w", err)
	}
	return nil
}
