package gateway

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"

	"google.golang.org/grpc/credentials"

	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/proto/wire"
)

// handshakes lets as many TLS handshakes compute at a time as there are cores, in the
// order of their first words, those that have begun before all others. In a storm of
// reconnects the first runners thus work again while the last ones wait; computing all
// at once would have every one of them wait for nearly the last. Who waits for the
// network holds up nobody.
type handshakes struct {
	credentials.TransportCredentials // of which the server's side is replaced

	turns *turns
}

func newHandshakes(authority *ca.CA, own func() *tls.Certificate) handshakes {
	return handshakes{
		TransportCredentials: credentials.NewTLS(authority.ServerTLS(own)),
		turns:                &turns{free: runtime.GOMAXPROCS(0)},
	}
}

// connection is what is known of who is at its other end. Its certificate is verified
// once, in the handshake; whether that still counts is asked at each call.
type connection struct {
	credentials.TLSInfo

	id wire.Identity // the zero value without a certificate
}

// ServerHandshake waits for its turns; the connection's deadline runs meanwhile.
func (h handshakes) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	wire.LimitUnsent(c)
	t := &turnConn{Conn: c, turns: h.turns}
	conn, info, err := h.TransportCredentials.ServerHandshake(t)
	t.leave()
	t.turns = nil
	of, ok := info.(credentials.TLSInfo)
	if err != nil || !ok || len(of.State.PeerCertificates) == 0 {
		return conn, info, err
	}
	id, err := wire.ParseIdentity(of.State.PeerCertificates[0])
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, connection{TLSInfo: of, id: id}, nil
}

// turnConn is a connection that holds a turn between two readings of its handshake.
type turnConn struct {
	net.Conn
	turns *turns // nil once the handshake is over
	begun bool   // it had a turn before
	holds bool
}

func (c *turnConn) Read(b []byte) (int, error) {
	if c.turns == nil {
		return c.Conn.Read(b)
	}
	c.leave()
	n, err := c.Conn.Read(b)
	c.turns.enter(c.begun)
	c.begun, c.holds = true, true
	return n, err
}

func (c *turnConn) leave() {
	if c.holds {
		c.holds = false
		c.turns.leave()
	}
}

// turns are given to who has begun, then to who came first.
type turns struct {
	mu           sync.Mutex
	free         int
	begun, fresh []chan struct{}
}

func (t *turns) enter(begun bool) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return
	}
	mine := make(chan struct{})
	if begun {
		t.begun = append(t.begun, mine)
	} else {
		t.fresh = append(t.fresh, mine)
	}
	t.mu.Unlock()
	<-mine
}

func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range []*[]chan struct{}{&t.begun, &t.fresh} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = (*line)[1:]
			return
		}
	}
	t.free++
}
