package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/disk"
	"github.com/fairlead/fairlead/runner/enroll"
	"github.com/fairlead/fairlead/runner/session"
	"github.com/fairlead/fairlead/runner/task"
)

// together measures the end of one execution whose nodes are behind a runner each, when
// all of them end at the same moment. The runners are real, journal and all, but for what
// they run: commands that wait for a gate. Their disks are memory, since a thousand
// machines have a thousand disks and this one has one.
func (b *bench) together() error {
	c, err := b.newCluster("together", 3)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.Start(b.ctx, c.Members[1:]...); err != nil {
		return err
	}
	hub := c.Members[0].Hub
	if err := b.oneNodeEach(hub); err != nil {
		return err
	}
	g := &gate{}
	stop, err := b.gatedRunners(hub, g)
	if err != nil {
		return err
	}
	defer stop()
	var settled []time.Duration
	var longest time.Duration
	for range b.runs {
		took, lock, err := b.endTogether(c, g)
		if err != nil {
			return err
		}
		settled, longest = append(settled, took), max(longest, lock)
	}
	took := quantile(settled, 0.5)
	b.add(fmt.Sprintf("%d runners end one execution together: last end until settled", b.fleet), "2 s, no wait for a lock above 500 ms",
		fmt.Sprintf("%s, longest wait for a lock %s", ms(took), ms(longest)), "three members and all runners on one machine", took <= 2*time.Second && longest <= 500*time.Millisecond)
	return nil
}

// oneNodeEach makes project crowd, in which each node is served by a runner of its own.
func (b *bench) oneNodeEach(hub *lab.Hub) error {
	type route struct {
		Filter string   `json:"filter"`
		Tags   []string `json:"tags"`
	}
	var routes []route
	var nodes strings.Builder
	for i := range b.fleet {
		name := fmt.Sprintf("sim%05d", i)
		routes = append(routes, route{"name: " + name, []string{name}})
		fmt.Fprintf(&nodes, "%s:\n  nodename: %s\n  hostname: %s.invalid\n  username: me\n", name, name, name)
	}
	if err := hub.Do(b.ctx, http.MethodPost, "/projects", map[string]any{"name": "crowd", "routes": routes}, nil); err != nil {
		return err
	}
	if err := hub.ImportNodes(b.ctx, "crowd", nodes.String()); err != nil {
		return err
	}
	return hub.ImportJobs(b.ctx, "crowd", job("together", "wait", ".*", b.fleet))
}

// endTogether runs the job once: how long it took from the last command's end until the
// execution showed as finished, and the longest that a transaction was seen to wait for a
// lock meanwhile.
func (b *bench) endTogether(c *lab.Cluster, g *gate) (took, lock time.Duration, err error) {
	g.shut()
	hub := c.Members[0].Hub
	e, err := hub.Run(b.ctx, "crowd", "together", nil)
	if err != nil {
		return 0, 0, err
	}
	if err := b.await("all nodes are in their command", func() bool { return g.waiting() == b.fleet }); err != nil {
		return 0, 0, err
	}
	watching, stop := context.WithCancel(b.ctx)
	locks := make(chan time.Duration, 1)
	failed := make(chan error, 1)
	go func() {
		longest, err := longestLockWait(watching, c.Postgres)
		locks <- longest
		failed <- err
	}()
	g.open()
	end, err := hub.Wait(b.ctx, e.ID, time.Minute)
	took = time.Since(g.lastEnd())
	stop()
	lock = <-locks
	if failure := <-failed; err == nil {
		err = failure
	}
	if err == nil && end.Status != "succeeded" {
		err = fmt.Errorf("the execution %s", end.Status)
	}
	return took, lock, err
}

// longestLockWait looks every 10 ms how long transactions have waited for locks, until ctx
// ends.
func longestLockWait(ctx context.Context, pg *lab.Postgres) (longest time.Duration, err error) {
	db, err := sql.Open("pgx", pg.URL())
	if err != nil {
		return 0, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		var seconds float64
		err := db.QueryRowContext(ctx, "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 FROM pg_locks WHERE NOT granted").Scan(&seconds)
		if ctx.Err() != nil {
			return longest, nil
		}
		if err != nil {
			return 0, fmt.Errorf("looking for locks: %w", err)
		}
		longest = max(longest, time.Duration(seconds*float64(time.Second)))
		select {
		case <-ctx.Done():
			return longest, nil
		case <-ticker.C:
		}
	}
}

// gatedRunners enrols and runs a real runner for each node.
func (b *bench) gatedRunners(hub *lab.Hub, g *gate) (stop func(), err error) {
	dir, err := os.MkdirTemp("/dev/shm", "flb-")
	if err != nil {
		return nil, fmt.Errorf("making a directory in memory: %w", err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	stop = func() {
		cancel()
		wg.Wait()
		_ = os.RemoveAll(dir)
	}
	var mu sync.Mutex
	connected := map[string]bool{}
	err = share(b.fleet, enrolWorkers, func(i int) error {
		name := fmt.Sprintf("sim%05d", i)
		r, err := b.gatedRunner(hub, filepath.Join(dir, name), name, g, func(s runner.Status) {
			mu.Lock()
			defer mu.Unlock()
			connected[name] = s.Connected
		})
		if err == nil {
			wg.Go(func() { _ = r.Run(ctx) }) // it ends with ctx alone
		}
		return err
	})
	if err == nil {
		err = b.await("all runners are connected", func() bool {
			mu.Lock()
			defer mu.Unlock()
			n := 0
			for _, is := range connected {
				if is {
					n++
				}
			}
			return n == b.fleet
		})
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (b *bench) gatedRunner(hub *lab.Hub, dir, name string, g *gate, changed func(runner.Status)) (*runner.Runner, error) {
	token, err := hub.EnrolmentToken(b.ctx, "crowd", name)
	if err != nil {
		return nil, err
	}
	id, _, err := enroll.Enrol(b.ctx, enroll.Config{Hub: hub.URL, Token: token, DataDir: dir, Name: name, Info: &runnerv1.RunnerInfo{}})
	if err != nil {
		return nil, fmt.Errorf("enrolling %s: %w", name, err)
	}
	fs, err := disk.Open(dir)
	if err != nil {
		return nil, err
	}
	began, machine := time.Now(), sha256.Sum256([]byte(name))
	return runner.New(runner.Config{
		FS: fs, BootID: machine[:], HostID: machine[:], Info: &runnerv1.RunnerInfo{},
		Dial: func(address string) (session.Conn, error) {
			conn, err := id.Dial(address)
			if err != nil {
				return nil, err
			}
			return session.GRPC(conn), nil
		},
		Addresses: id.Gateways, LearnAddresses: id.LearnGateways, SetBundle: id.SetBundle, Sign: id.Sign, OpenSecrets: id.OpenSecrets,
		Executors: map[string]task.Executor{task.ExecutorSSH: g}, Boottime: func() time.Duration { return time.Since(began) },
		StatusChanged: changed, Log: slog.New(slog.DiscardHandler),
	})
}

// gate is an executor whose commands end when it is opened.
type gate struct {
	mu      sync.Mutex
	opened  chan struct{}
	started int
	last    time.Time // when a command ended
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened, g.started = make(chan struct{}), 0
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.started
}

func (g *gate) lastEnd() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

func (g *gate) begin() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started++
	return g.opened
}

// Prepare implements task.Executor.
func (g *gate) Prepare(context.Context, *task.Command) (task.Process, error) { return g, nil }

// Run implements task.Process.
func (g *gate) Run(ctx context.Context, out task.Output) task.End {
	opened := g.begin()
	select {
	case <-opened:
	case <-ctx.Done():
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_CANCELLED, EndProven: true, Reason: "stopped"}
	}
	if err := out.Write(0, []byte("ok\n")); err != nil {
		return task.End{Outcome: runnerv1.Outcome_OUTCOME_UNKNOWN, Reason: "disk", Message: err.Error()}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = time.Now()
	return task.End{Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, Exited: true, EndProven: true}
}

// Discard implements task.Process.
func (g *gate) Discard() {}

// About implements task.Process.
func (g *gate) About() string { return "a gate" }
