package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
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

// TakeOver starts a stopped standby under the address of the server that it stands by,
// which must have ended, and promotes it.
func (pg *Postgres) TakeOver(ctx context.Context, from *Postgres) error {
	pg.port = from.port
	if err := pg.Start(ctx); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(pg.bin, "pg_ctl"), "-D", filepath.Join(pg.dir, pg.data), "-w", "-s", "promote")
	cmd.Dir = pg.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("promoting the standby: %w\n%s", err, out)
	}
	return nil
}
