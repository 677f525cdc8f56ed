package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
)

// lockDataDir makes the data directory and keeps a second hub out of it. The kernel
// frees the lock when the process ends, however it ends.
func lockDataDir(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, hub.Errorf(hub.CodeInvalid, "The data directory cannot be made: %v. Choose another with --data-dir.", err)
	}
	path := filepath.Join(dir, "hub.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, hub.Errorf(hub.CodeInvalid, "The data directory cannot be used: %v. Choose another with --data-dir, or let this user write there.", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, 32)) // only to name it
		return nil, errors.Join(hub.Errorf(hub.CodeConflict,
			"Another fairlead-hub (process %s) already runs in %s. Stop it first, or start this one with another --data-dir.", strings.TrimSpace(string(owner)), dir), f.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // for the message above
	}
	return f, nil
}

// memberID is this member's id over its restarts.
func memberID(dir string) (string, error) {
	path := filepath.Join(dir, "member")
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) == 36 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the member's id: %w", err)
	}
	id := store.NewID()
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping the member's id: %w", err)
	}
	return id, nil
}

func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.Store, error) {
	return store.Open(ctx, storeConfig(cfg, log))
}

func storeConfig(cfg *config.Config, log *slog.Logger) store.Config {
	return store.Config{URL: cfg.Database, Path: cfg.DatabaseFile(), Name: cfg.MemberName(), Lossless: cfg.DB.Failover == config.FailoverLossless, Log: log}
}

// loadMaster reads the master key, or makes one for a database that has no secrets yet.
func loadMaster(ctx context.Context, st *store.Store, cfg *config.Config, log *slog.Logger) (*keys.Master, error) {
	ca, _, err := st.ClusterCA(ctx)
	if err != nil {
		return nil, err
	}
	master, created, err := keys.LoadMaster(cfg.MasterKey, cfg.MasterKeyFile(), ca != nil)
	if created && err == nil {
		log.Info("made a master key; keep a copy of it apart from the database's backups", "path", cfg.MasterKeyFile())
	}
	return master, err
}
