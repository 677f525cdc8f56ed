package main

import (
	"context"
	"encoding/json"
	"errors"
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
	before, err := p.turn(c.Context(), cfg.DataDir)
	if err != nil {
		return err
	}
	dir, err := openDataDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.close() }() // the kernel would
	executors, err := p.executors(cfg, log)
	if err != nil {
		return err
	}
	defer executors.close()
	id, err := enroll.Load(cfg.DataDir)
	if err != nil {
		return err
	}
	r, err := p.runner(cfg, id, dir, executors, log)
	if err != nil {
		return err
	}
	log.Info("starting", "runner", id.Name(), "id", id.RunnerID(), "version", version, "data_dir", cfg.DataDir)
	next, err := p.serve(c.Context(), r, id, before, log)
	if next == nil {
		log.Info("stopped")
		return err
	}
	if err := errors.Join(err, dir.close()); err != nil {
		log.Error("not all was closed in order before the new process takes over", "error", err)
	}
	p.handOver(c.Context(), next, cfg.DataDir, log)
	outlive(c.Context(), r, time.Duration(cfg.Drain.Timeout), log)
	log.Info("stopped behind the new process")
	return nil
}

// turn waits until the process that this one takes over from has let go of the data
// directory, if there is one. What can be wrong with this process is found before.
func (p *program) turn(ctx context.Context, dataDir string) (*predecessor, error) {
	if _, err := enroll.Load(dataDir); err != nil {
		return nil, err
	}
	before, err := p.predecessor()
	if err != nil {
		return nil, err
	}
	return before, before.await(ctx)
}

// dataDir is the data directory, which this process alone uses.
type dataDir struct {
	lock *disk.Lock
	fs   *disk.OS
}

func openDataDir(path string) (*dataDir, error) {
	lock, err := disk.TakeLock(path, lockFile)
	if err != nil {
		return nil, err
	}
	fs, err := disk.Open(path)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return &dataDir{lock, fs}, nil
}

func (d *dataDir) close() error { return errors.Join(d.fs.Close(), d.lock.Release()) }

// serve works until ctx ends, or until another process, which is returned, is to take
// over.
func (p *program) serve(ctx context.Context, r *runner.Runner, id *enroll.Identity, before *predecessor, log *slog.Logger) (next *successor, err error) {
	defer p.tellStopping(ctx)()
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return id.RunRenewal(ctx, p.info(), log) })
	g.Go(func() error {
		if next = p.awaitReload(ctx, r, log); next != nil {
			leave()
		}
		return nil
	})
	p.manager.serving()
	before.serving()
	err = g.Wait()
	return next, err
}

// tellStopping tells the service manager when ctx ends; the returned function waits until
// that was told, and else has nobody told any more. A process that ended before would look
// like one that died.
func (p *program) tellStopping(ctx context.Context) (leave func()) {
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		p.manager.stopping()
	})
	return func() {
		if !stop() {
			<-told
		}
	}
}

func (p *program) runner(cfg *config, id *enroll.Identity, dir *dataDir, x *executors, log *slog.Logger) (*runner.Runner, error) {
	bootID, hostID, err := runner.Identify(dir.lock.Ident, runner.HostBinding(cfg.Identity.HostBinding))
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
		FS: dir.fs, BootID: bootID, HostID: hostID, Info: p.info(), Slots: cfg.Slots,
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
			MaxUnacknowledged: cfg.Spool.MaxUnacknowledged, Truncate: cfg.Spool.Full == fullTruncate,
			Retention: time.Duration(cfg.Retention.Time), RetentionPercent: cfg.Retention.Percent,
		},
		Handover: filepath.Join(cfg.DataDir, "handover"), DrainTimeout: time.Duration(cfg.Drain.Timeout), StatusChanged: status.write, Log: log,
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
