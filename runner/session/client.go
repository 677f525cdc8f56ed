package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Timings of the reconnect. The first wait is drawn from 0 to firstWait, each next one
// from twice as much, up to maxWait: runners that lost the same hub come back spread.
const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
	// lasting: a session that lived this long was a good one, the waits begin anew.
	lasting = 5 * time.Second
	// greetTimeout bounds the way from dialling to Confirmed.
	greetTimeout = 20 * time.Second
)

// Conn is a connection to one member. It is a seam: gRPC in production, channels in
// the simulation.
type Conn interface {
	Session(ctx context.Context) (ControlStream, error)
	Output(ctx context.Context) (OutputStream, error)
	Close() error
}

// ControlStream is the client's side of the Session call. Send and Recv are called by
// one goroutine each.
type ControlStream interface {
	Send(*runnerv1.SessionRequest) error
	Recv() (*runnerv1.SessionResponse, error)
}

// OutputStream is the client's side of the Output call.
type OutputStream interface {
	Send(*runnerv1.OutputRequest) error
	Recv() (*runnerv1.OutputResponse, error)
}

// Handler is who holds the attempts. Its methods but Pull are called by the session's
// own goroutines and must not block on the network or on commands.
type Handler interface {
	// Hello makes the first frame; the whole inventory is in it, the session pages it.
	Hello() *runnerv1.Hello
	// Welcomed takes the answer, with all holdings in it, before Confirm is sent: when
	// it returns, the disk has the new epoch.
	Welcomed(l *Link, w *runnerv1.Welcome) error
	// Confirmed: claims may be sent now.
	Confirmed(l *Link)
	// Frame takes a frame; an error ends the session.
	Frame(l *Link, f *runnerv1.SessionResponse) error
	// Output takes an answer of the output stream.
	Output(l *Link, f *runnerv1.OutputResponse) error
	// Ended: the link carries nothing any more. Also called when it never was confirmed.
	Ended(l *Link, err error)
}

// Config of a Client.
type Config struct {
	// Dial makes a connection; it need not connect yet.
	Dial func(address string) (Conn, error)
	// Addresses to try, asked before each session.
	Addresses func() []string
	Handler   Handler
	Log       *slog.Logger
}

// Client keeps one session up.
type Client struct {
	c Config
	// tried are the addresses that had their turn since a session lasted, the last of them
	// in last; all in Run's goroutine.
	tried map[string]bool
	last  string
}

// New makes a client.
func New(c Config) *Client { return &Client{c: c, tried: map[string]bool{}} }

// Run keeps a session up until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	wait, failed := firstWait, 0
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			if err := pause(ctx, time.Duration(rand.Int64N(int64(wait)+1))); err != nil { //nolint:gosec // spread, not secrecy
				return nil //nolint:nilerr // ending is what the caller asked for
			}
			wait = min(2*wait, maxWait)
		}
		began := time.Now()
		address, err := c.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ending is what the caller asked for
		}
		if time.Since(began) >= lasting {
			wait, failed = firstWait, 0
			c.tried = map[string]bool{address: true}
		}
		failed++
		if leave, ok := errors.AsType[*leaving](err); ok {
			c.c.Log.Info("moving to another member", "address", address)
			wait = firstWait
			c.tried = map[string]bool{address: true}
			for _, other := range without(c.c.Addresses(), set(leave.to)) {
				c.tried[other] = true
			}
			continue
		}
		c.c.Log.Warn("session ended", "address", address, "error", err, "tries", failed)
	}
	return nil
}

// leaving ends a session because the member asked to move to others.
type leaving struct{ to []string }

func (*leaving) Error() string { return "the member asked to leave" }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// once runs one session from dialling to its end.
func (c *Client) once(ctx context.Context) (address string, err error) {
	address, err = c.pick()
	if err != nil {
		return "", err
	}
	conn, err := c.c.Dial(address)
	if err != nil {
		return address, fmt.Errorf("dialling %s: %w", address, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l := &Link{client: c, Address: address, conn: conn, ctx: ctx, end: cancel, out: make(chan struct{}, 1), pull: make(chan struct{}, 1)}
	err = l.run()
	cancel(err)
	c.c.Handler.Ended(l, err)
	return address, errors.Join(err, conn.Close())
}

// pick draws an address among those that had no turn yet, and begins a new round when
// all had, not with the last one. A member that hangs takes greetTimeout to be found out
// and a passive one refuses at once: drawn freely, those two could keep a runner from the
// one that serves for minutes.
func (c *Client) pick() (string, error) {
	all := c.c.Addresses()
	if len(all) == 0 {
		return "", errors.New("no gateway is known: enrol the runner again, or set gateways")
	}
	left := without(all, c.tried)
	if len(left) == 0 {
		c.tried = map[string]bool{}
		left = without(all, map[string]bool{c.last: true})
	}
	if len(left) == 0 {
		left = all
	}
	c.last = left[rand.IntN(len(left))] //nolint:gosec // spread, not secrecy
	c.tried[c.last] = true
	return c.last, nil
}

func set(list []string) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, a := range list {
		out[a] = true
	}
	return out
}

func without(all []string, tried map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(all), func(a string) bool { return tried[a] })
}

// pages splits a Hello whose inventory is too long for one frame.
func pages(h *runnerv1.Hello) []*runnerv1.SessionRequest {
	all := h.GetInventory()
	first := all[:min(len(all), wire.PageHoldings)]
	all = all[len(first):]
	h.Inventory, h.More = first, len(all) > 0
	out := []*runnerv1.SessionRequest{{Frame: &runnerv1.SessionRequest_Hello{Hello: h}}}
	for len(all) > 0 {
		page := all[:min(len(all), wire.PageHoldings)]
		all = all[len(page):]
		out = append(out, &runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Inventory{
			Inventory: &runnerv1.InventoryPage{Inventory: page, More: len(all) > 0},
		}})
	}
	return out
}
