package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/enroll"
	"github.com/fairlead/fairlead/runner/session"
)

// fleet is many runners in this process: each is enrolled, has a certificate of its own
// and keeps its session with the runner's own client over gRPC. They take no work, and
// their disk is memory.
type fleet struct {
	runners []*simRunner
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// simRunner is one of them: the client's Handler.
type simRunner struct {
	id    *enroll.Identity
	nonce []byte

	mu          sync.Mutex
	gateways    []string
	epoch       uint64
	at          string    // where its session is confirmed; "" without one
	confirmedAt time.Time // of its newest session
}

// enrolWorkers enrolments run at a time.
const enrolWorkers = 16

// newFleet enrols n runners and connects them.
func (b *bench) newFleet(hub *lab.Hub, dir string, n int) (*fleet, error) {
	f := &fleet{runners: make([]*simRunner, n)}
	err := share(n, enrolWorkers, func(i int) error {
		token, err := hub.EnrolmentToken(b.ctx, "p")
		if err != nil {
			return err
		}
		name := fmt.Sprintf("sim%05d", i)
		id, _, err := enroll.Enrol(b.ctx, enroll.Config{Hub: hub.URL, Token: token, DataDir: filepath.Join(dir, "fleet", name), Name: name, Info: &runnerv1.RunnerInfo{}})
		if err != nil {
			return fmt.Errorf("enrolling %s: %w", name, err)
		}
		f.runners[i] = &simRunner{id: id, nonce: random(16), gateways: id.Gateways()}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(b.ctx)
	f.stop = stop
	for _, r := range f.runners {
		f.wg.Go(func() { _ = r.client().Run(ctx) }) // it ends with ctx alone
	}
	return f, b.await("all simulated runners are connected", func() bool { return f.count(func(r *simRunner) bool { return r.place() != "" }) == n })
}

func (f *fleet) end() {
	f.stop()
	f.wg.Wait()
}

// count is how many of them something is true of.
func (f *fleet) count(is func(*simRunner) bool) (n int) {
	for _, r := range f.runners {
		if is(r) {
			n++
		}
	}
	return n
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func (r *simRunner) client() *session.Client {
	return session.New(session.Config{
		Dial: func(address string) (session.Conn, error) {
			conn, err := r.id.Dial(address)
			if err != nil {
				return nil, err
			}
			return session.GRPC(conn), nil
		},
		Addresses: r.known, Handler: r, Log: slog.New(slog.DiscardHandler),
	})
}

// place is the address of the member that has its session.
func (r *simRunner) place() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// known are the addresses that it was told.
func (r *simRunner) known() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gateways
}

// since is where its session is, and since when.
func (r *simRunner) since() (string, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.confirmedAt
}

// Hello implements session.Handler.
func (r *simRunner) Hello() *runnerv1.Hello {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &runnerv1.Hello{
		MinVersion: wire.MinProtocolVersion, MaxVersion: wire.MaxProtocolVersion, InstanceNonce: r.nonce,
		BootId: slices.Repeat(r.nonce, 2), HostId: slices.Repeat(r.nonce, 2), SessionEpoch: r.epoch, Slots: 1, Info: &runnerv1.RunnerInfo{},
	}
}

// Welcomed implements session.Handler.
func (r *simRunner) Welcomed(_ *session.Link, w *runnerv1.Welcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch, r.gateways = w.GetSessionEpoch(), w.GetMembers()
	return nil
}

// Confirmed implements session.Handler.
func (r *simRunner) Confirmed(l *session.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.confirmedAt = l.Address, time.Now()
}

// Frame implements session.Handler.
func (r *simRunner) Frame(l *session.Link, f *runnerv1.SessionResponse) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case f.GetDrain() != nil:
		r.gateways = f.GetDrain().GetMembers()
		l.Leave(r.gateways)
	case f.GetMembers() != nil:
		r.gateways = f.GetMembers().GetGateways()
	}
	return nil
}

// Output implements session.Handler.
func (r *simRunner) Output(*session.Link, *runnerv1.OutputResponse) error { return nil }

// Ended implements session.Handler.
func (r *simRunner) Ended(*session.Link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = ""
}
