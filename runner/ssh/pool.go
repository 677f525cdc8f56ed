package ssh

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"
)

// pool keeps connections by what they were made with.
type pool struct {
	idleTimeout time.Duration

	mu      sync.Mutex
	entries map[string]*entry
	closed  bool
}

// entry is the connections of one key. Guarded by pool.mu.
type entry struct {
	connections []*connection
	// dialing is the dial under way; nil: none is.
	dialing *dialing
}

// dialing is a dial that others wait for.
type dialing struct {
	done chan struct{} // closed when it has ended
	// quit: who dialled did not want it any more, which says nothing about the node.
	quit bool
}

// connection is one SSH connection. Fields below mu belong to the pool.
type connection struct {
	pool   *pool
	key    string
	client *xssh.Client
	raw    *listening
	// hostKey was shown in the handshake; newKey that it was taken on first use.
	hostKey xssh.PublicKey
	newKey  bool
	// via is the jump host's connection, on which this one is a user.
	via *connection
	// dead is closed when the connection has ended, for whatever reason.
	dead chan struct{}

	uses  int // channels and tunnels
	limit int // channels that the server grants; 0: not known yet
	idle  *time.Timer
	// retired is set when it did not open a channel: nobody new uses it.
	retired bool
	cause   error // why we closed it; nil: the peer did or it broke
	asked   *time.Timer
}

var errPoolClosed = errors.New("the runner is ending")

// get returns a connection with a use counted, made by dial if none fits. fits tells
// whether a pooled one satisfies the command's own rules.
func (p *pool) get(ctx context.Context, key string, fits func(*connection) bool, dial func() (*connection, error)) (c *connection, fresh bool, err error) {
	patience := 2 // dials to wait for
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, false, errPoolClosed
		}
		en := p.entries[key]
		if en == nil {
			en = &entry{}
			p.entries[key] = en
		}
		if c := en.pick(fits); c != nil {
			p.mu.Unlock()
			return c, false, nil
		}
		// One dial at a time for a key: others would mostly find room on its connection.
		// Who has waited for one that failed goes ahead alone, so that failures do not add up.
		if en.dialing != nil && patience > 0 {
			wait := en.dialing
			p.mu.Unlock()
			select {
			case <-wait.done:
				if patience--; !wait.quit {
					patience = 0
				}
				continue
			case <-ctx.Done():
				return nil, false, context.Cause(ctx)
			}
		}
		mine := en.dialing == nil
		if mine {
			en.dialing = &dialing{done: make(chan struct{})}
		}
		p.mu.Unlock()
		c, err := dial()
		p.mu.Lock()
		if mine {
			en.dialing.quit = err != nil && ctx.Err() != nil
			close(en.dialing.done)
			en.dialing = nil
		}
		if err == nil {
			err = p.addLocked(en, c, key)
		}
		p.mu.Unlock()
		return c, true, err
	}
}

func (p *pool) addLocked(en *entry, c *connection, key string) error {
	c.key, c.uses = key, 1
	if p.closed {
		_ = c.client.Close()
		return errPoolClosed
	}
	p.entries[key] = en
	en.connections = append(en.connections, c)
	go c.watch()
	return nil
}

// pick takes a use of a connection that fits and has room.
func (en *entry) pick(fits func(*connection) bool) *connection {
	for _, c := range en.connections {
		if c.cause != nil || c.retired || (c.limit > 0 && c.uses >= c.limit) || !fits(c) {
			continue
		}
		c.uses++
		if c.idle != nil {
			c.idle.Stop()
			c.idle = nil
		}
		return c
	}
	return nil
}

// release gives a use back; the last one starts the idle time.
func (c *connection) release() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.uses--; c.uses > 0 || c.cause != nil {
		return
	}
	after := c.pool.idleTimeout
	if c.retired {
		after = 0
	}
	c.idle = time.AfterFunc(after, func() {
		c.pool.mu.Lock()
		unused := c.uses == 0
		if unused {
			c.cause = errIdle
		}
		c.pool.mu.Unlock()
		if unused {
			_ = c.client.Close()
		}
	})
}

// hold counts one more use of a connection in use.
func (c *connection) hold() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.uses++
}

// retire lets nobody new use the connection. Those who do go on; the last one closes it.
func (c *connection) retire() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.retired = true
}

var errIdle = errors.New("closed because nobody used it")

// full remembers that the server granted no channel beside those in use, the
// refused one not counted.
func (c *connection) full() (others int) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	others = c.uses - 1
	if others > 0 {
		c.limit = others
	}
	return others
}

// closeFor closes the connection for a reason that its users are told.
func (c *connection) closeFor(cause error) {
	c.pool.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.pool.mu.Unlock()
	_ = c.client.Close()
}

// why tells what ended a dead connection.
func (c *connection) why() error {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return errBroken
}

var errBroken = errors.New("the connection broke or the server closed it")

// watch waits for the connection's end and takes it out of the pool.
func (c *connection) watch() {
	_ = c.client.Wait()
	p := c.pool
	p.mu.Lock()
	if c.cause == nil {
		c.cause = errBroken
	}
	for _, timer := range []*time.Timer{c.idle, c.asked} {
		if timer != nil {
			timer.Stop()
		}
	}
	if en := p.entries[c.key]; en != nil {
		en.connections = slices.DeleteFunc(en.connections, func(o *connection) bool { return o == c })
		if len(en.connections) == 0 && en.dialing == nil {
			delete(p.entries, c.key)
		}
	}
	p.mu.Unlock()
	_ = c.raw.Close()
	close(c.dead)
	if c.via != nil {
		c.via.release()
	}
}

// listening is a connection that notes when something came last, by a clock that nobody
// sets: when the host's is set, or the host was asleep, no silence is longer or shorter.
type listening struct {
	net.Conn
	began time.Time
	heard atomic.Int64 // nanoseconds since began
}

// last is when something came last; before that, began.
func (l *listening) last() time.Time { return l.began.Add(time.Duration(l.heard.Load())) }

// Read implements net.Conn.
func (l *listening) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(int64(time.Since(l.began)))
	}
	return n, err
}

// keepAliveRequest is what a server answers whatever else it does.
const keepAliveRequest = "keepalive@openssh.com"

// gone reports whether the connection has ended, or has been silent since it was asked, for
// limit at least.
func (c *connection) gone(asked time.Time, limit time.Duration) bool {
	silent := time.Since(asked) >= limit && c.raw.last().Before(asked)
	select {
	case <-c.dead:
		return true
	case <-time.After(noticedIn):
		return silent
	}
}

// noticedIn is how much later than its users the pool may notice a connection's end.
const noticedIn = 100 * time.Millisecond

// keepAlive asks the server every interval whether it is there, and closes the
// connection when nothing has come for count intervals. The answer itself may take longer:
// over a slow link it stands behind what commands print.
func (c *connection) keepAlive(interval time.Duration, count int) {
	if interval <= 0 || count <= 0 {
		return
	}
	c.schedule(interval, func() {
		stop := c.watchSilence(interval * time.Duration(count))
		_, _, err := c.client.SendRequest(keepAliveRequest, true, nil)
		stop()
		if err == nil {
			c.keepAlive(interval, count)
		}
	})
}

// watchSilence closes the connection when nothing comes for limit, until stop is called.
func (c *connection) watchSilence(limit time.Duration) (stop func()) {
	asked, done := time.Now(), make(chan struct{})
	go func() {
		for wait := limit; ; {
			select {
			case <-done:
				return
			case <-time.After(wait):
			}
			last := c.raw.last()
			if last.Before(asked) {
				last = asked
			}
			if wait = limit - time.Since(last); wait <= 0 {
				c.closeFor(errSilent)
				return
			}
		}
	}()
	return func() { close(done) }
}

var errSilent = errors.New("the node did not answer any more")

func (c *connection) schedule(after time.Duration, f func()) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.cause == nil {
		c.asked = time.AfterFunc(after, f)
	}
}

// close ends all connections.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	var all []*connection
	for _, en := range p.entries {
		all = append(all, en.connections...)
	}
	p.mu.Unlock()
	for _, c := range all {
		c.closeFor(errPoolClosed)
	}
	for _, c := range all {
		<-c.dead
	}
}
