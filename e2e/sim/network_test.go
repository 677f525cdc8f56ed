package sim

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/session"
)

var (
	errReset       = errors.New("connection reset")
	errUnreachable = errors.New("no route to host")
)

// pipe carries frames one way, in order, each with a delay. The four pipes of a
// connection are as fast as they like: between the two streams nothing is in order.
type pipe[T proto.Message] struct {
	slow time.Duration
	wake chan struct{}

	mu     sync.Mutex
	random *rand.Rand
	queue  []parcel[T]
	last   time.Time
	err    error // behind the queue
	silent bool  // what is sent vanishes
}

type parcel[T proto.Message] struct {
	frame T
	at    time.Time
}

func newPipe[T proto.Message](slow time.Duration, random *rand.Rand) *pipe[T] {
	return &pipe[T]{slow: slow, random: random, wake: make(chan struct{}, 1)}
}

func (p *pipe[T]) send(f T) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return io.EOF
	}
	if p.silent {
		return nil
	}
	at := time.Now().Add(time.Microsecond + time.Duration(p.random.Int64N(int64(p.slow))))
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	p.queue = append(p.queue, parcel[T]{proto.CloneOf(f), at})
	p.signal()
	return nil
}

func (p *pipe[T]) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// recv returns the next frame when it has arrived, or an error when done is closed.
func (p *pipe[T]) recv(done <-chan struct{}) (T, error) {
	var none T
	for {
		p.mu.Lock()
		var wait <-chan time.Time
		var timer *time.Timer
		switch {
		case len(p.queue) == 0 && p.err != nil:
			p.mu.Unlock()
			return none, p.err
		case len(p.queue) > 0:
			left := time.Until(p.queue[0].at)
			if left <= 0 {
				f := p.queue[0].frame
				p.queue = p.queue[1:]
				p.mu.Unlock()
				return f, nil
			}
			timer = time.NewTimer(left)
			wait = timer.C
		}
		p.mu.Unlock()
		select {
		case <-wait:
		case <-p.wake:
		case <-done:
			if timer != nil {
				timer.Stop()
			}
			return none, context.Canceled
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// end breaks the pipe. What is under way arrives all the same, so much later, if keep.
func (p *pipe[T]) end(err error, keep bool, later time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	if !keep {
		p.queue = nil
	}
	for i := range p.queue {
		p.queue[i].at = p.queue[i].at.Add(later)
	}
	p.signal()
}

func (p *pipe[T]) hush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
}

// conn is one connection of a runner process to a member, with both streams on it.
type conn struct {
	w *world
	p *proc
	m *member

	random  *rand.Rand // guarded by w.mu
	up      *pipe[*runnerv1.SessionRequest]
	down    *pipe[*runnerv1.SessionResponse]
	outUp   *pipe[*runnerv1.OutputRequest]
	outDown *pipe[*runnerv1.OutputResponse]
}

// dial makes a connection; the member may be down or out of reach.
func (p *proc) dial(address string) (session.Conn, error) {
	w := p.h.w
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.seats[address].member
	if p.dead.Load() || m == nil || m.dead.Load() || w.apart[p.h] {
		return nil, errUnreachable
	}
	w.dials++
	random := w.random("conn", w.dials)
	part := func() *rand.Rand { return rand.New(rand.NewPCG(random.Uint64(), 1)) }
	c := &conn{
		w: w, p: p, m: m, random: random,
		up: newPipe[*runnerv1.SessionRequest](w.plan.slow, part()), down: newPipe[*runnerv1.SessionResponse](w.plan.slow, part()),
		outUp: newPipe[*runnerv1.OutputRequest](w.plan.slow, part()), outDown: newPipe[*runnerv1.OutputResponse](w.plan.slow, part()),
	}
	w.conns[c] = true
	return c, nil
}

// Close implements session.Conn.
func (c *conn) Close() error {
	c.breakOff()
	return nil
}

// vanish ends the connection with everything that is under way: the host is gone.
func (c *conn) vanish() {
	c.up.end(errReset, false, 0)
	c.outUp.end(errReset, false, 0)
	c.breakOff()
}

// breakOff ends the connection for both sides. What was under way to the hub may
// still be read there, when the runner is long connected elsewhere.
func (c *conn) breakOff() {
	c.w.mu.Lock()
	if !c.w.conns[c] {
		c.w.mu.Unlock()
		return
	}
	delete(c.w.conns, c)
	keepUp, keepDown, keepOut := c.random.IntN(3) > 0, c.random.IntN(2) == 0, c.random.IntN(3) > 0
	var later time.Duration
	if c.random.IntN(3) == 0 {
		later = time.Duration(c.random.IntN(6000)) * time.Millisecond
	}
	c.w.mu.Unlock()
	c.up.end(errReset, keepUp, later)
	c.outUp.end(errReset, keepOut, later)
	c.down.end(errReset, keepDown, 0)
	c.outDown.end(errReset, keepDown, 0)
}

// Session implements session.Conn.
func (c *conn) Session(ctx context.Context) (session.ControlStream, error) {
	serve := func(ctx context.Context) {
		err := c.m.gateway.ServeSession(ctx, c.p.h.identity(), hubSession{c, ctx})
		c.w.log.Debug("session served", "hub", c.m.seat.name, "runner", c.p.h.name, "error", err)
		c.breakOff()
	}
	if !c.m.serve(serve) {
		return nil, errUnreachable
	}
	return runnerSession{c, ctx}, nil
}

// Output implements session.Conn.
func (c *conn) Output(ctx context.Context) (session.OutputStream, error) {
	serve := func(ctx context.Context) {
		err := c.m.gateway.ServeOutput(ctx, c.p.h.identity(), hubOutput{c, ctx})
		c.w.log.Debug("output served", "hub", c.m.seat.name, "runner", c.p.h.name, "error", err)
		c.breakOff()
	}
	if !c.m.serve(serve) {
		return nil, errUnreachable
	}
	return runnerOutput{c, ctx}, nil
}

// nameOf is the kind of a frame.
func nameOf(m proto.Message) string {
	r := m.ProtoReflect()
	if f := r.WhichOneof(r.Descriptor().Oneofs().Get(0)); f != nil {
		return string(f.Name())
	}
	return "none"
}

// pass sends a frame unless a fault has it that its sender dies first, or that it is
// lost.
func pass[T proto.Message](c *conn, way string, f T, dead func() bool, p *pipe[T]) error {
	name := way + "." + nameOf(f)
	err := c.w.hit(name, c.p.h.runner, c.m.seat.index)
	if dead() {
		return errReset
	}
	if errors.Is(err, errLost) {
		return nil
	}
	if err := p.send(f); err != nil {
		return err
	}
	_ = c.w.hit(name+".sent", c.p.h.runner, c.m.seat.index)
	return nil
}

type runnerSession struct {
	*conn
	ctx context.Context
}

func (s runnerSession) Send(f *runnerv1.SessionRequest) error {
	s.w.overhear(f)
	return pass(s.conn, "up", f, s.p.dead.Load, s.up)
}

func (s runnerSession) Recv() (*runnerv1.SessionResponse, error) { return s.down.recv(s.ctx.Done()) }

type runnerOutput struct {
	*conn
	ctx context.Context
}

func (s runnerOutput) Send(f *runnerv1.OutputRequest) error {
	return pass(s.conn, "up", f, s.p.dead.Load, s.outUp)
}

func (s runnerOutput) Recv() (*runnerv1.OutputResponse, error) { return s.outDown.recv(s.ctx.Done()) }

type hubSession struct {
	*conn
	ctx context.Context
}

func (s hubSession) Send(f *runnerv1.SessionResponse) error {
	return pass(s.conn, "down", f, s.m.dead.Load, s.down)
}

func (s hubSession) Recv() (*runnerv1.SessionRequest, error) { return s.up.recv(s.ctx.Done()) }

type hubOutput struct {
	*conn
	ctx context.Context
}

func (s hubOutput) Send(f *runnerv1.OutputResponse) error {
	return pass(s.conn, "down", f, s.m.dead.Load, s.outDown)
}

func (s hubOutput) Recv() (*runnerv1.OutputRequest, error) { return s.outUp.recv(s.ctx.Done()) }
