package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

// helloTime is how long a new connection may take to say what it wants.
const helloTime = 10 * time.Second

// mostHello bounds what is read of a connection before it is known whose it is.
const mostHello = 64 << 10

// recordHandshake is the first byte of every TLS connection, and of no HTTP request.
const recordHandshake = 0x16

// OnePort shares a listener between the gateway and people. Runners and members name
// the gateway in their first TLS record (SNI), whatever address they dialled; the
// protocol inside would not tell them apart from browsers, which speak HTTP/2 too.
type OnePort struct {
	// Gateway and People are the listeners of the two. When one is closed, its
	// connections are closed as they come.
	Gateway, People net.Listener

	in net.Listener
}

// NewOnePort shares l, which Run closes.
func NewOnePort(l net.Listener) *OnePort {
	return &OnePort{Gateway: newShare(l.Addr()), People: newShare(l.Addr()), in: l}
}

// Run hands connections out until ctx ends.
func (p *OnePort) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.in.Close() })()
	for {
		conn, err := p.in.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting connections: %w", err)
		case err != nil:
			// Out of open files, for example: what ends soon makes room.
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		asking.Go(func() { p.handOut(ctx, conn) })
	}
}

// acceptPause is the wait after a connection that could not be accepted.
const acceptPause = 50 * time.Millisecond

// handOut finds out whose a connection is and gives it to them.
func (p *OnePort) handOut(ctx context.Context, conn net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	_ = conn.SetDeadline(time.Now().Add(helloTime))
	name, whole, err := serverName(ctx, conn)
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	to := p.People
	if wire.IsGatewayName(name) {
		to = p.Gateway
		wire.LimitUnsent(conn) // what the gateway gets is no socket any more
	}
	if err != nil || !to.(*share).give(ctx, whole) {
		_ = conn.Close()
	}
}

// serverName reads the name that a TLS client asks for; "" if it asks for none, or
// speaks no TLS. whole reads again from the beginning.
func serverName(ctx context.Context, conn net.Conn) (name string, whole net.Conn, err error) {
	var read bytes.Buffer
	tee := io.TeeReader(conn, &read)
	var first [1]byte
	if _, err := io.ReadFull(tee, first[:]); err != nil {
		return "", nil, err
	}
	whole = &replayed{Conn: conn, from: io.MultiReader(&read, conn)}
	if first[0] != recordHandshake {
		return "", whole, nil
	}
	hello := overheard{from: io.LimitReader(io.MultiReader(bytes.NewReader(first[:]), tee), mostHello)}
	err = tls.Server(hello, &tls.Config{
		MinVersion: tls.VersionTLS12, // who comes with an older one is told so by whose it is
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name = h.ServerName
			return nil, errHeard
		},
	}).HandshakeContext(ctx)
	if network := net.Error(nil); errors.As(err, &network) && network.Timeout() {
		return "", nil, err
	}
	// What cannot be read as a hello is answered by the listener of people.
	return name, whole, nil
}

var errHeard = errors.New("the name was heard")

// overheard is a connection that is read and never answered.
type overheard struct {
	net.Conn
	from io.Reader
}

func (o overheard) Read(p []byte) (int, error)     { return o.from.Read(p) }
func (overheard) Write(p []byte) (int, error)      { return len(p), nil }
func (overheard) Close() error                     { return nil }
func (overheard) SetDeadline(time.Time) error      { return nil }
func (overheard) SetReadDeadline(time.Time) error  { return nil }
func (overheard) SetWriteDeadline(time.Time) error { return nil }

// replayed is a connection of which some was read already.
type replayed struct {
	net.Conn
	from io.Reader
}

func (r *replayed) Read(p []byte) (int, error) { return r.from.Read(p) }

// share is the listener of one side.
type share struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func newShare(addr net.Addr) *share {
	return &share{addr: addr, conns: make(chan net.Conn), over: make(chan struct{})}
}

// give hands a connection to who accepts; false when nobody will.
func (s *share) give(ctx context.Context, c net.Conn) bool {
	select {
	case s.conns <- c:
		return true
	case <-s.over:
	case <-ctx.Done():
	}
	return false
}

// Accept implements net.Listener.
func (s *share) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *share) Close() error {
	s.once.Do(func() { close(s.over) })
	return nil
}

// Addr implements net.Listener.
func (s *share) Addr() net.Addr { return s.addr }
