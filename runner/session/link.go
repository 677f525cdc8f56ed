package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// Link is one session. What is sent on it after its end is dropped: the next session
// begins from what the disk holds.
type Link struct {
	client  *Client
	Address string
	// Epoch of the session; set before Confirmed is called.
	Epoch uint64

	conn Conn
	ctx  context.Context //nolint:containedctx // a link is a lifetime
	end  context.CancelCauseFunc
	out  chan struct{} // control frames wait
	pull chan struct{} // chunks may wait

	mu     sync.Mutex // guards the following fields
	queue  []*runnerv1.SessionRequest
	source func() []*runnerv1.OutputRequest
}

// Context ends with the link.
func (l *Link) Context() context.Context { return l.ctx }

// Send queues a control frame. It never blocks.
func (l *Link) Send(f *runnerv1.SessionRequest) {
	l.mu.Lock()
	l.queue = append(l.queue, f)
	l.mu.Unlock()
	signal(l.out)
}

// Pull says that source may have chunks to send. The output stream is opened with the
// first of them. source is called by the link's goroutine until it returns none.
func (l *Link) Pull(source func() []*runnerv1.OutputRequest) {
	l.mu.Lock()
	l.source = source
	l.mu.Unlock()
	signal(l.pull)
}

// Fail ends the link.
func (l *Link) Fail(err error) { l.end(err) }

// Leave ends the link because its member asked to move to one of some addresses, which
// are tried before all others.
func (l *Link) Leave(to []string) { l.end(&leaving{to}) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run greets and then carries frames until something fails.
func (l *Link) run() error {
	stream, err := l.greet()
	if err != nil {
		if cause := context.Cause(l.ctx); cause != nil {
			err = cause
		}
		return err
	}
	l.client.c.Handler.Confirmed(l)
	g, ctx := errgroup.WithContext(l.ctx)
	g.Go(func() error { return l.read(stream) })
	g.Go(func() error { return l.write(ctx, stream) })
	g.Go(func() error { return l.writeOutput(ctx, g) })
	stop := context.AfterFunc(ctx, func() {
		// Recv ends with the stream's context, which is the link's.
		l.end(context.Cause(ctx))
	})
	defer stop()
	err = g.Wait()
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	return err
}

// greet goes from Hello to Confirmed within its time.
func (l *Link) greet() (ControlStream, error) {
	timer := time.AfterFunc(greetTimeout, func() { l.end(fmt.Errorf("%s did not take the session within %s", l.Address, greetTimeout)) })
	defer timer.Stop()
	stream, err := l.conn.Session(l.ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	for _, f := range pages(l.client.c.Handler.Hello()) {
		if err := stream.Send(f); err != nil {
			return nil, fmt.Errorf("sending hello: %w", reason(stream, err))
		}
	}
	welcome, err := l.welcome(stream)
	if err != nil {
		return nil, err
	}
	l.Epoch = welcome.GetSessionEpoch()
	if err := l.client.c.Handler.Welcomed(l, welcome); err != nil {
		return nil, err
	}
	confirm := &runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Confirm{Confirm: &runnerv1.Confirm{SessionEpoch: l.Epoch}}}
	if err := stream.Send(confirm); err != nil {
		return nil, fmt.Errorf("confirming the session: %w", reason(stream, err))
	}
	f, err := stream.Recv()
	if err != nil {
		return nil, fmt.Errorf("waiting for the confirmation: %w", err)
	}
	if f.GetConfirmed().GetSessionEpoch() != l.Epoch {
		return nil, errors.New("the hub answered Confirm with another frame")
	}
	return stream, nil
}

// reason is why a stream broke: Send tells only that it did.
func reason(stream ControlStream, err error) error {
	if _, recv := stream.Recv(); recv != nil {
		return recv
	}
	return err
}

// welcome reads Welcome and the pages behind it into one.
func (l *Link) welcome(stream ControlStream) (*runnerv1.Welcome, error) {
	f, err := stream.Recv()
	if err != nil {
		return nil, fmt.Errorf("waiting for welcome: %w", err)
	}
	w := f.GetWelcome()
	if w == nil {
		return nil, errors.New("the hub answered Hello with another frame")
	}
	for more := w.GetMore(); more; {
		f, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("waiting for holdings: %w", err)
		}
		page := f.GetHoldings()
		if page == nil {
			return nil, errors.New("the hub sent another frame in the middle of the holdings")
		}
		w.Holdings = append(w.Holdings, page.GetHoldings()...)
		more = page.GetMore()
	}
	return w, nil
}

func (l *Link) read(stream ControlStream) error {
	for {
		f, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("control stream: %w", err)
		}
		if err := l.client.c.Handler.Frame(l, f); err != nil {
			return err
		}
	}
}

func (l *Link) write(ctx context.Context, stream ControlStream) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.out:
		}
		l.mu.Lock()
		frames := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, f := range frames {
			if err := stream.Send(f); err != nil {
				// The reader learns why the stream broke.
				<-ctx.Done()
				return context.Cause(ctx)
			}
		}
	}
}

// writeOutput opens the output stream with the first chunk.
func (l *Link) writeOutput(ctx context.Context, g *errgroup.Group) error {
	var stream OutputStream
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.pull:
		}
		l.mu.Lock()
		source := l.source
		l.mu.Unlock()
		for frames := source(); len(frames) > 0; frames = source() {
			if stream == nil {
				s, err := l.conn.Output(l.ctx)
				if err != nil {
					return fmt.Errorf("opening the output stream: %w", err)
				}
				stream = s
				g.Go(func() error { return l.readOutput(s) })
			}
			for _, f := range frames {
				if err := stream.Send(f); err != nil {
					<-ctx.Done()
					return context.Cause(ctx)
				}
			}
		}
	}
}

func (l *Link) readOutput(stream OutputStream) error {
	for {
		f, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("output stream: %w", err)
		}
		if err := l.client.c.Handler.Output(l, f); err != nil {
			return err
		}
	}
}
