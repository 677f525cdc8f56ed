package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/hub"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/disk"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
	"github.com/fairlead/fairlead/runner/task"
)

// host is a machine with a runner's data directory on its disk.
type host struct {
	w      *world
	name   string
	runner int
	id     string // the runner's
	fs     *memdisk.FS
	began  time.Time
	copied bool

	// Guarded by world.mu.
	boots  int
	proc   *proc // nil while none runs
	gone   bool  // nothing runs here any more
	starts int
	shims  map[shimKey]*shim
}

func (h *host) identity() wire.Identity {
	return wire.Identity{ClusterID: clusterID, Role: wire.RoleRunner, OrganisationID: hub.DefaultOrganisationID, ID: h.id}
}

// proc is one process of the runner.
type proc struct {
	h     *host
	r     *runner.Runner
	dead  atomic.Bool // as kill -9
	deadc chan struct{}
	stop  context.CancelFunc
	done  chan struct{}
	// boot of the host that it runs in.
	boot int

	mu     sync.Mutex
	random *rand.Rand
}

func (p *proc) draw(n int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Int64N(n)
}

// start runs a runner on the host, unless one runs.
func (h *host) start() {
	w := h.w
	w.mu.Lock()
	if h.proc != nil || h.gone {
		w.mu.Unlock()
		return
	}
	h.starts++
	p := &proc{h: h, deadc: make(chan struct{}), done: make(chan struct{}), boot: h.boots, random: w.random("proc"+h.name, h.starts)}
	h.proc = p
	boot, machine := fmt.Sprintf("%s boot %d", h.name, h.boots), h.name
	if w.plan.strict {
		machine = boot
	}
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	r, err := runner.New(runner.Config{
		FS: procFS{p, h.fs.Mount()}, BootID: hashed(boot), HostID: hashed(machine), Info: &runnerv1.RunnerInfo{}, Slots: w.plan.runners[h.runner].slots,
		Dial: p.dial, Addresses: w.addresses,
		LearnAddresses: func([]string) error { return nil }, SetBundle: func([][]byte) error { return nil },
		Sign:        sign,
		OpenSecrets: func(string, []byte) (*runnerv1.Secrets, error) { return &runnerv1.Secrets{}, nil },
		Executors:   map[string]task.Executor{task.ExecutorSSH: remote{p}, task.ExecutorLocal: local{p}},
		Boottime:    func() time.Duration { return time.Since(h.began) }, DrainTimeout: 2 * time.Second,
		Log: w.log.With("runner", h.name, "process", h.starts),
	})
	if err != nil {
		cancel()
		close(p.done)
		if !p.dead.Load() {
			w.broke("runner %s cannot start: %v", h.name, err)
		}
		return
	}
	p.r = r
	w.note("runner %s is up (process %d, boot %d)", h.name, h.starts, p.boot)
	w.wg.Go(func() {
		defer close(p.done)
		w.mustEnd("runner", r.Run(ctx))
	})
}

func hashed(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// end takes the process away at this very moment and returns it, nil if there is none.
func (h *host) end(part func(*conn)) *proc {
	w := h.w
	w.mu.Lock()
	p := h.proc
	if p == nil {
		w.mu.Unlock()
		return nil
	}
	p.dead.Store(true)
	h.proc = nil
	var mine []*conn
	for c := range w.conns {
		if c.p == p {
			mine = append(mine, c)
		}
	}
	w.mu.Unlock()
	close(p.deadc)
	if p.stop != nil {
		p.stop()
	}
	for _, c := range mine {
		part(c)
	}
	return p
}

// kill is kill -9; another process comes back after a while, never if that is negative.
func (h *host) kill(back time.Duration) {
	p := h.end((*conn).breakOff)
	if p == nil {
		return
	}
	h.fs.Kill()
	h.w.note("runner %s is killed", h.name)
	h.comeBack(back)
}

// powerCut takes the machine down: what was not synced is gone, and so is what ran. It
// boots no faster than a hub reads what it was sent: a Hello of the boot before, read
// behind the next one's, cannot be told from that of a copy.
func (h *host) powerCut(back time.Duration, tail int) {
	w := h.w
	p := h.end((*conn).vanish)
	if p == nil {
		return
	}
	h.fs.Crash(tail)
	w.mu.Lock()
	h.boots++
	var died []*shim
	for key, s := range h.shims {
		died = append(died, s)
		// A shim syncs nothing before it starts: perhaps nothing of it is left.
		if s.forgetful {
			delete(h.shims, key)
		}
	}
	w.mu.Unlock()
	for _, s := range died {
		s.die()
	}
	w.note("host %s loses power", h.name)
	if back >= 0 {
		back = max(back, 20*w.plan.slow)
	}
	h.comeBack(back)
}

func (h *host) comeBack(back time.Duration) {
	if back < 0 {
		return
	}
	h.w.wg.Go(func() {
		if wait(back, h.w.ctx.Done()) {
			h.start()
		}
	})
}

// upgrade ends the process as a service manager does, and starts the next.
func (h *host) upgrade(back time.Duration) {
	w := h.w
	w.mu.Lock()
	p := h.proc
	w.mu.Unlock()
	if p == nil || p.r == nil {
		return
	}
	w.note("runner %s is asked to end", h.name)
	p.stop()
	select {
	case <-p.done:
	case <-w.ctx.Done():
		return
	}
	if h.end((*conn).breakOff) == nil {
		return // killed meanwhile
	}
	h.fs.Kill()
	h.comeBack(back)
}

// copyTo makes another machine with a copy of the disk as it is now.
func (h *host) copyTo(name string) *host {
	w := h.w
	w.mu.Lock()
	shims := maps.Clone(h.shims)
	w.mu.Unlock()
	c := &host{w: w, name: name, runner: h.runner, id: h.id, fs: h.fs.Clone(), began: time.Now(), copied: true, shims: map[shimKey]*shim{}}
	for key, s := range shims {
		c.shims[key] = s.copied()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts = append(w.hosts, c)
	return c
}

// procFS is the disk as one process may use it: a dead one writes nothing any more.
type procFS struct {
	p    *proc
	disk *memdisk.Mount // dead at the moment of a power cut: p.dead alone is looked at before
}

// reserve is not worth its megabyte here.
const reserve = "reserve"

// op asks whether an operation still happens.
func (f procFS) op(name string) error {
	if f.p.dead.Load() {
		return memdisk.ErrCrashed
	}
	err := f.p.h.w.hit("disk", f.p.h.runner, -1)
	_ = f.p.h.w.hit("disk."+name, f.p.h.runner, -1)
	if f.p.dead.Load() {
		return memdisk.ErrCrashed
	}
	return err
}

func (f procFS) Append(name string) (disk.File, error) {
	if f.p.dead.Load() {
		return nil, memdisk.ErrCrashed
	}
	if name == reserve {
		return hollow{}, nil
	}
	file, err := f.disk.Append(name)
	return procFile{f, file}, err
}

func (f procFS) ReadFile(name string) ([]byte, error)  { return f.disk.ReadFile(name) }
func (f procFS) List(dir string) ([]disk.Info, error)  { return f.disk.List(dir) }
func (f procFS) Free() (free, total uint64, err error) { return f.disk.Free() }
func (f procFS) MkdirAll(dir string) error {
	return f.then("mkdir", func() error { return f.disk.MkdirAll(dir) })
}

func (f procFS) Rename(from, to string) error {
	return f.then("rename", func() error { return f.disk.Rename(from, to) })
}

func (f procFS) Remove(name string) error {
	return f.then("remove", func() error { return f.disk.Remove(name) })
}

func (f procFS) SyncDir(dir string) error {
	return f.then("syncdir", func() error { return f.disk.SyncDir(dir) })
}

func (f procFS) then(name string, do func() error) error {
	if err := f.op(name); err != nil {
		return err
	}
	return do()
}

type procFile struct {
	fs procFS
	disk.File
}

func (f procFile) Write(p []byte) (int, error) {
	if err := f.fs.op("write"); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// Sync takes its time: what is written meanwhile goes along, and the power may fail.
func (f procFile) Sync() error {
	if err := f.fs.op("sync"); err != nil {
		return err
	}
	wait(time.Duration(f.fs.p.draw(int64(f.fs.p.h.w.plan.slow))), f.fs.p.deadc)
	if f.fs.p.dead.Load() {
		return memdisk.ErrCrashed
	}
	return f.File.Sync()
}

// hollow is a file that has its size.
type hollow struct{ disk.File }

func (hollow) Size() (int64, error) { return 1 << 30, nil }
func (hollow) Close() error         { return nil }
