package gateway

import (
	"net"
	"runtime"
	"sync"

	"google.golang.org/grpc/credentials"

	"github.com/fairlead/fairlead/proto/wire"
)

// handshakes lets as many TLS handshakes compute at a time as there are cores, in the
// order of their first words, those that have begun before all others. In a storm of
// reconnects the first runners thus work again while the last ones wait; computing all
// at once would have every one of them wait for nearly the last. Who waits for the
// network holds up nobody.
type handshakes struct {
	credentials.TransportCredentials
	turns *turns
}

func newHandshakes(c credentials.TransportCredentials) handshakes {
	return handshakes{TransportCredentials: c, turns: &turns{free: runtime.GOMAXPROCS(0)}}
}

// ServerHandshake waits for its turns; the connection's deadline runs meanwhile.
func (h handshakes) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	wire.LimitUnsent(c)
	t := &turnConn{Conn: c, turns: h.turns}
	conn, info, err := h.TransportCredentials.ServerHandshake(t)
	t.leave()
	t.turns = nil
	return conn, info, err
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
