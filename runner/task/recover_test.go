package task

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
	"github.com/fairlead/fairlead/runner/spool"
)

// finder finds what an earlier process started, by the key that came with the leave to.
type finder struct {
	asked []string // the secret that each Reattach and probe had
}

func (*finder) Prepare(_ context.Context, c *Command) (Process, error) { return found{c}, nil }

func (f *finder) Reattach(_ context.Context, c *Command, _ Offsets) (Process, bool, error) {
	f.asked = append(f.asked, c.Options["pw"])
	return found{c}, true, nil
}

func (*finder) Forget(context.Context, string) error { return nil }

type found struct{ c *Command }

func (found) Run(context.Context, Output) End { return End{Outcome: ok, Exited: true, EndProven: true} }
func (found) Discard()                        {}
func (found) About() string                   { return "" }

// The hub's leave may come before the driver has looked at what an earlier process
// started: that must not wait for a leave that has been given, nor for ever.
func TestResumedBeforeTheDriverLooked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		step *runnerv1.Step
		want []string // the keys that commands were looked for with
	}{
		"detached": {&runnerv1.Step{Detached: true}, []string{"hunter2"}},
		"probed":   {&runnerv1.Step{Probe: "true"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer synctest.Wait() // nothing of it outlives the bubble
				defer cancel()
				f := &finder{}
				attempt := restart(ctx, t, f, tt.step)
				if err := attempt.Resumed(&runnerv1.Secrets{Options: map[string]string{"pw": "hunter2"}}, 0, nil); err != nil {
					t.Fatal(err)
				}
				over := make(chan error, 1)
				go func() { over <- attempt.Run() }()
				select {
				case err := <-over:
					if err != nil {
						t.Fatal(err)
					}
				case <-time.After(time.Minute):
					t.Fatal("what an earlier process started waits for a leave that has come")
				}
				if len(f.asked) != len(tt.want) || len(f.asked) > 0 && f.asked[0] != tt.want[0] {
					t.Errorf("looked for with the keys %q, want %q", f.asked, tt.want)
				}
				if got := Fold(attempt.plan, attempt.state); got != ok {
					t.Errorf("it ended %v", got)
				}
			})
		})
	}
}

// restart makes the driver of an attempt whose one step an earlier process had started.
func restart(ctx context.Context, t *testing.T, e Executor, step *runnerv1.Step) *Attempt {
	t.Helper()
	store, err := spool.Open(memdisk.New().Mount(), spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = store.Run(ctx) }()
	step.Work = &runnerv1.Step_Exec{Exec: "true"}
	s := &runnerv1.Spec{Threads: 1, Nodes: []*runnerv1.Node{{Name: "n0"}}, Steps: []*runnerv1.Step{step}}
	s.Strategy = runnerv1.Strategy_STRATEGY_NODE_FIRST
	b, err := proto.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	a, err := store.Offer(&runnerv1.Fence{Incarnation: 1, AttemptId: "a1", Epoch: 1}, b)
	if err != nil {
		t.Fatal(err)
	}
	_, synced, err := a.Append(true,
		&runnerv1.Record{Record: &runnerv1.Record_Granted{Granted: &runnerv1.Granted{BootId: []byte("boot")}}},
		&runnerv1.Record{Record: &runnerv1.Record_Started{Started: &runnerv1.Started{Cell: &runnerv1.Cell{Try: 1}}}})
	if err := errors.Join(err, synced()); err != nil {
		t.Fatal(err)
	}
	host := &Host{
		Executors: map[string]Executor{ExecutorSSH: e}, Log: slog.New(slog.DiscardHandler), BootID: []byte("boot"),
		Boottime: func() time.Duration { return time.Hour },
	}
	attempt, err := host.New(ctx, a, Waiting)
	if err != nil {
		t.Fatal(err)
	}
	return attempt
}
