package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Standby makes a streaming standby of the server below the same directory and starts
// it. It has all that is committed until it is stopped.
func (pg *Postgres) Standby(ctx context.Context) (*Postgres, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	twin := &Postgres{dir: pg.dir, data: "standby", bin: pg.bin, port: addr[len("127.0.0.1:"):], cred: pg.cred}
	cmd := exec.CommandContext(ctx, filepath.Join(pg.bin, "pg_basebackup"), "-h", "127.0.0.1", "-p", pg.port, "-U", "fairlead",
		"-D", filepath.Join(pg.dir, twin.data), "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
	cmd.Dir = pg.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return twin, twin.Start(ctx)
}

// CatchUp waits until the standby has all that the primary has committed so far.
func (pg *Postgres) CatchUp(ctx context.Context, primary *Postgres) error {
	var until string
	if err := primary.ask(ctx, &until, "SELECT CAST(pg_current_wal_flush_lsn() AS TEXT)"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return Poll(ctx, 20*time.Millisecond, func() error {
		var has bool
		if err := pg.ask(ctx, &has, "SELECT pg_last_wal_replay_lsn() >= CAST(CAST($1 AS TEXT) AS pg_lsn)", until); err != nil {
			return err
		}
		if !has {
			return fmt.Errorf("the standby has not replayed what came before %s", until)
		}
		return nil
	})
}

// TakeOver starts a stopped standby under the address of the server that it stands by,
// which must have ended, and promotes it.
func (pg *Postgres) TakeOver(ctx context.Context, from *Postgres) error {
	pg.port = from.port
	if err := pg.Start(ctx); err != nil {
		return err
	}
	return pg.Promote(ctx)
}

// Promote makes a running standby a primary, whether or not the one that it stands by
// still lives.
func (pg *Postgres) Promote(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(pg.bin, "pg_ctl"), "-D", filepath.Join(pg.dir, pg.data), "-w", "-s", "promote")
	cmd.Dir = pg.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("promoting the standby: %w\n%s", err, out)
	}
	return nil
}
