package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/disk"
	"github.com/fairlead/fairlead/runner/enroll"
	"github.com/fairlead/fairlead/runner/session"
	"github.com/fairlead/fairlead/runner/spool"
)

func (p *program) run(c *cobra.Command, _ []string) error {
	cfg, err := p.load()
	if err != nil {
		return err
	}
	log := p.logger(cfg)
	id, err := enroll.Load(cfg.DataDir)
	if err != nil {
		return err
	}
	lock, err := disk.TakeLock(cfg.DataDir, lockFile)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }() // the kernel would
	fs, err := disk.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	executors, err := p.executors(cfg, log)
	if err != nil {
		return err
	}
	defer executors.close()
	r, err := p.runner(cfg, id, lock, fs, executors, log)
	if err != nil {
		return err
	}
	log.Info("starting", "runner", id.Name(), "id", id.RunnerID(), "version", version, "data_dir", cfg.DataDir)
	g, ctx := errgroup.WithContext(c.Context())
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return id.RunRenewal(ctx, p.info(), log) })
	err = g.Wait()
	log.Info("stopped")
	return err
}

func (p *program) runner(cfg *config, id *enroll.Identity, lock *disk.Lock, fs disk.FS, x *executors, log *slog.Logger) (*runner.Runner, error) {
	bootID, hostID, err := runner.Identify(lock.Ident, runner.HostBinding(cfg.Identity.HostBinding))
	if err != nil {
		return nil, err
	}
	sealing, err := id.SealingPublic()
	if err != nil {
		return nil, err
	}
	addresses := id.Gateways
	if len(cfg.Gateways) > 0 {
		addresses = func() []string { return cfg.Gateways }
	}
	status := &statusWriter{path: filepath.Join(cfg.DataDir, statusFile), log: log}
	return runner.New(runner.Config{
		FS: fs, BootID: bootID, HostID: hostID, Info: p.info(), Slots: cfg.Slots,
		Dial: func(address string) (session.Conn, error) {
			conn, err := id.Dial(address)
			if err != nil {
				return nil, err
			}
			return session.GRPC(conn), nil
		},
		Addresses: addresses, LearnAddresses: id.LearnGateways, SetBundle: id.SetBundle,
		Sign: id.Sign, OpenSecrets: id.OpenSecrets, SealingKey: sealing, Executors: x.byName, Boottime: boottime,
		Spool: spool.Config{
			MaxUnacknowledged: cfg.Spool.MaxUnacknowledged,
			Retention:         time.Duration(cfg.Retention.Time), RetentionPercent: cfg.Retention.Percent,
		},
		DrainTimeout: time.Duration(cfg.Drain.Timeout), StatusChanged: status.write, Log: log,
	})
}

// boottime goes on while the machine sleeps.
func boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("this kernel has no boot clock: %v", err)) // Linux has had it since 2.6.39
	}
	return time.Duration(ts.Nano())
}

// statusWriter keeps status.json for `fairlead-runner status`. It is not synced: after
// a power cut there is nothing to tell.
type statusWriter struct {
	path string
	log  *slog.Logger
}

func (w *statusWriter) write(s runner.Status) {
	data, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(w.path+".new", append(data, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(w.path+".new", w.path)
	}
	if err != nil {
		w.log.Warn("the status could not be written", "error", err)
	}
}
