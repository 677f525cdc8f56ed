package cluster

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

func testMaster(t *testing.T) *keys.Master {
	t.Helper()
	m, err := keys.NewMaster(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func member(t *testing.T, st *store.Store, name string) *Cluster {
	t.Helper()
	c := New(st, testMaster(t), Config{
		ID: store.NewID(), Name: name, Gateway: name + ":8441", Address: name + ":8441", Interval: 100 * time.Millisecond,
	}, storetest.Logger(t))
	if err := c.Join(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

// until waits for a condition that the running member brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("waited too long: " + what)
		case <-tick.C:
		}
	}
}

// Three members make at most one tick a second between them, all see the same, and a
// mark that one makes the others can vouch for.
func TestMembersShareOneClock(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		ctx, cancel := context.WithCancel(context.Background())
		members := []*Cluster{member(t, st, "a"), member(t, st, "b"), member(t, st, "c")}
		start := time.Now()
		done := make(chan error, len(members))
		for _, c := range members {
			go func() { done <- c.Run(ctx) }()
		}
		until(t, "two ticks and all gateways at all members", func() bool {
			for _, c := range members {
				if c.Tick() < 2 || len(c.Gateways()) != 3 || c.Ready(ctx) != nil {
					return false
				}
			}
			return true
		})
		if tick, err := st.Tick(ctx); err != nil || float64(tick) > time.Since(start).Seconds()+1 {
			t.Errorf("%d ticks after %s, error %v", tick, time.Since(start), err)
		}
		tick, mark := members[0].Clock()
		nonce, err := st.TickNonce(ctx, tick)
		if err != nil || !bytes.Equal(nonce, mark.Nonce) || !bytes.Equal(members[1].markMAC(mark.Tick, mark.Nonce, 1), mark.MAC) {
			t.Errorf("mark %+v is not the row's, or not authentic at another member (error %v)", mark, err)
		}
		if got := members[1].Gateways()[0]; got != "b:8441" {
			t.Errorf("the first gateway is %s, want the member's own", got)
		}
		if got := members[1].Others(); len(got) != 2 {
			t.Errorf("others %v", got)
		}
		cancel()
		for range members {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		left, err := st.Members(context.Background())
		if err != nil || len(left) != 0 {
			t.Errorf("members after a good end: %v, %v", left, err)
		}
	})
}

// A database that takes no commit makes the member unready; it goes on by itself once
// it does again.
func TestReadyFollowsCommits(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	st := storetest.New(t, func(c *store.Config) {
		c.Fault = func(string) error {
			if away.Load() {
				return hub.Errorf(hub.CodeUnavailable, "away")
			}
			return nil
		}
	})
	c := member(t, st, "a")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	until(t, "the first tick", func() bool { return c.Tick() > 0 })
	away.Store(true)
	before := c.Tick()
	until(t, "not ready", func() bool { return hub.ErrorCode(c.Ready(ctx)) == hub.CodeUnavailable })
	if got := c.Tick(); got > before+1 {
		t.Errorf("%d ticks without a commit", got-before)
	}
	away.Store(false)
	until(t, "ready again", func() bool { return c.Ready(ctx) == nil })
	c.Leave()
	if c.Ready(ctx) == nil {
		t.Error("ready while it drains")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A second process under the same id (a copied data directory) ends the first, which
// must not go on beside it.
func TestSecondProcessUnderOneID(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	first := member(t, st, "a")
	done := make(chan error, 1)
	go func() { done <- first.Run(context.Background()) }()
	second := New(st, testMaster(t), first.cfg, storetest.Logger(t))
	if err := second.Join(context.Background()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if hub.ErrorCode(err) != hub.CodeConflict {
			t.Errorf("the first ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the first goes on")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	member(t, st, "a")
	live := New(st, testMaster(t), Config{ID: store.NewID(), Name: "a"}, storetest.Logger(t))
	if err := live.Join(ctx); hub.ErrorCode(err) != hub.CodeConflict {
		t.Errorf("a living member's name was taken: %v", err)
	}
	patient := New(st, testMaster(t), Config{ID: store.NewID(), Name: "a", Interval: time.Nanosecond}, storetest.Logger(t))
	if err := patient.Join(ctx); err != nil {
		t.Errorf("a dead member's name was not taken over: %v", err)
	}
}

func TestGrantMAC(t *testing.T) {
	t.Parallel()
	c := New(nil, testMaster(t), Config{}, storetest.Logger(t))
	proof := hub.GrantProof{
		Fence: hub.Fence{Incarnation: 1, AttemptID: "x", Epoch: 2}, Boot: []byte("boot"),
		RunnerID: "r", ProjectID: "p", ExecutionID: "e", AssignmentID: "a",
	}
	mac := c.GrantMAC(proof)
	for what, change := range map[string]func(*hub.GrantProof){
		"incarnation": func(p *hub.GrantProof) { p.Fence.Incarnation = 2 },
		"attempt":     func(p *hub.GrantProof) { p.Fence.AttemptID = "y" },
		"epoch":       func(p *hub.GrantProof) { p.Fence.Epoch = 1 },
		"boot":        func(p *hub.GrantProof) { p.Boot = []byte("other") },
		"runner":      func(p *hub.GrantProof) { p.RunnerID = "s" },
		"project":     func(p *hub.GrantProof) { p.ProjectID = "q" },
		"execution":   func(p *hub.GrantProof) { p.ExecutionID = "f" },
		"assignment":  func(p *hub.GrantProof) { p.AssignmentID = "b" },
	} {
		other := proof
		change(&other)
		if bytes.Equal(mac, c.GrantMAC(other)) {
			t.Errorf("the proof of a grant does not cover the %s", what)
		}
	}
	if err := c.Ready(context.Background()); err == nil || errors.Is(err, context.Canceled) {
		t.Error("ready before it joined")
	}
}
