package ssh

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/runner/task"
)

// clientVersion is what servers log. It names no version: that would help attackers
// more than operators.
const clientVersion = "SSH-2.0-Fairlead"

// connect returns a connection to the last of the hops, with a use counted, through
// the ones before it.
func (e *Executor) connect(ctx context.Context, t *target, hops []hop) (c *connection, fresh bool, err error) {
	h := &hops[len(hops)-1]
	fits := func(c *connection) bool { return e.fits(c, hops) }
	c, fresh, err = e.pool.get(ctx, poolKey(t, hops), fits, func() (*connection, error) {
		if len(hops) > 1 {
			return e.dialThrough(ctx, t, h, hops[:len(hops)-1])
		}
		return e.dial(ctx, t, h, nil)
	})
	if err == nil && !fresh && h.rules.scope != "" && len(h.rules.known) == 0 {
		// Perhaps it was accepted as new for another attempt. This one uses it now, and so
		// keeps to its key when it connects again.
		e.learned.put(h.learnKey(), string(c.hostKey.Marshal()))
	}
	return c, fresh, err
}

// dialThrough makes a connection through jump hosts. A pooled connection to the last of them
// may have died unnoticed, which says nothing about what is behind it: then a new one is made.
func (e *Executor) dialThrough(ctx context.Context, t *target, h *hop, jumps []hop) (*connection, error) {
	for {
		via, fresh, err := e.connect(ctx, t, jumps)
		if err != nil {
			return nil, err
		}
		asked := time.Now()
		if !fresh {
			// A jump host that is there answers this, also while it waits for the node.
			go func() { _, _, _ = via.client.SendRequest(keepAliveRequest, true, nil) }()
		}
		c, err := e.dial(ctx, t, h, via)
		if err == nil {
			return c, nil
		}
		gone := !fresh && ctx.Err() == nil && via.gone(asked, t.connectTimeout)
		if gone {
			via.retire()
		}
		via.release()
		if !gone {
			return nil, err
		}
	}
}

// fits reports whether the host keys on the whole way of a pooled connection satisfy
// the rules of the command at hand.
func (e *Executor) fits(c *connection, hops []hop) bool {
	for i := len(hops) - 1; i >= 0; i-- {
		if _, err := e.verify(&hops[i], c.client.RemoteAddr(), c.hostKey); err != nil {
			return false
		}
		c = c.via
	}
	return true
}

// poolKey names everything that a connection depends on.
func poolKey(t *target, hops []hop) string {
	var b strings.Builder
	if t.bind != nil {
		b.WriteString(t.bind.String())
	}
	for _, h := range hops {
		b.WriteString("|" + h.user + "@" + h.address + "#" + h.creds.hash())
	}
	return b.String()
}

// dial makes one connection; via is the jump host's, or nil.
func (e *Executor) dial(ctx context.Context, t *target, h *hop, via *connection) (*connection, error) {
	methods, err := h.creds.methods(h.name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.connectTimeout)
	defer cancel()
	raw, err := e.dialRaw(ctx, t, h, via)
	if err != nil {
		return nil, dialError(ctx, h, err)
	}
	// A tunnel knows no deadlines: the handshake is bounded by closing what it runs on.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	c := &connection{pool: &e.pool, raw: &listening{Conn: raw, began: time.Now()}, via: via, dead: make(chan struct{})}
	var keyErr error
	config := &xssh.ClientConfig{
		User:              h.user,
		Auth:              methods,
		ClientVersion:     clientVersion,
		HostKeyAlgorithms: e.algorithms(h),
		HostKeyCallback: func(_ string, remote net.Addr, key xssh.PublicKey) error {
			key = e.bare(h, remote, key)
			isNew, err := e.verify(h, remote, key)
			if err == nil && isNew {
				err = e.learn(h, remote, key)
			}
			c.hostKey, c.newKey, keyErr = key, isNew, err
			return err
		},
	}
	conn, chans, reqs, err := xssh.NewClientConn(c.raw, h.address, config)
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		_ = raw.Close()
		return nil, e.handshakeError(ctx, h, c, keyErr, err)
	}
	c.client = xssh.NewClient(conn, chans, reqs)
	e.config.Log.Debug("ssh connected", "address", h.address, "user", h.user)
	c.keepAlive(t.keepAlive, t.keepAliveCount)
	return c, nil
}

func (e *Executor) dialRaw(ctx context.Context, t *target, h *hop, via *connection) (net.Conn, error) {
	if via == nil {
		return e.config.Dial(ctx, t.bind, h.address)
	}
	return via.client.DialContext(ctx, "tcp", h.address)
}

// dialError says why no connection came about.
func dialError(ctx context.Context, h *hop, err error) error {
	var dns *net.DNSError
	var refused *xssh.OpenChannelError
	switch {
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, errSilent):
		return timeoutError(ctx, h, err)
	case errors.As(err, &dns):
		return notStarted("host_not_found", err, "%s: the host name of %s cannot be resolved on the runner: %v", h.name, h.address, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return notStarted("connection_refused", err, "%s: nothing listens at %s: check the address and port, and that sshd runs", h.name, h.address)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return notStarted("host_unreachable", err, "%s: there is no route from the runner to %s", h.name, h.address)
	case errors.As(err, &refused):
		return tunnelError(h, refused)
	}
	return notStarted("connection_failed", err, "%s: no connection to %s: %v", h.name, h.address, err)
}

func timeoutError(ctx context.Context, h *hop, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return notStarted("interrupted", cause, "%s: the attempt to connect to %s was given up: %v", h.name, h.address, cause)
	}
	return notStarted("connection_timeout", err, "%s: %s did not answer in time: check the address, firewalls and ssh-connection-timeout", h.name, h.address)
}

// tunnelError translates what a jump host said, which is free text but for the code.
func tunnelError(h *hop, err *xssh.OpenChannelError) error {
	text := strings.ToLower(err.Message)
	reason := "connection_failed"
	switch {
	case err.Reason == xssh.Prohibited:
		return notStarted("jump_refused", err, "%s: the jump host does not allow a tunnel to %s (%s): allow TCP forwarding there", h.name, h.address, err.Message)
	case strings.Contains(text, "refused"):
		reason = "connection_refused"
	case strings.Contains(text, "timed out"):
		reason = "connection_timeout"
	case strings.Contains(text, "unreachable"), strings.Contains(text, "no route"):
		reason = "host_unreachable"
	case strings.Contains(text, "not known"), strings.Contains(text, "resolve"), strings.Contains(text, "unknown host"):
		reason = "host_not_found"
	}
	return notStarted(reason, err, "%s: the jump host cannot reach %s: %s", h.name, h.address, err.Message)
}

// handshakeError says why the SSH handshake or login failed. A host key seen for the
// first time is told even then.
func (e *Executor) handshakeError(ctx context.Context, h *hop, c *connection, keyErr, err error) error {
	var out *task.NotStartedError
	var hostKey *hostKeyError
	text := err.Error()
	switch {
	case errors.As(keyErr, &hostKey):
		return notStarted(hostKey.reason, err, "%s", hostKey.message)
	case keyErr != nil:
		return notStarted("host_key_unknown", keyErr, "%s: the host key of %s could not be checked: %v", h.name, h.address, keyErr)
	case ctx.Err() != nil:
		errors.As(timeoutError(ctx, h, err), &out)
	case strings.Contains(text, "no common algorithm for host key"):
		out = notStarted("host_key_changed", err, "%s (%s) has no host key of the kind that is known: it was reinstalled, or somebody stands in between: check, then accept the new key at the hub", h.name, h.address)
	case strings.Contains(text, "no common algorithm"):
		out = notStarted("protocol", err, "%s (%s) speaks only algorithms that are no longer safe: %v", h.name, h.address, err)
	case errors.As(err, new(questionError)), strings.Contains(text, "unable to authenticate"), strings.Contains(text, "authentication failures"):
		out = notStarted("authentication_failed", err, "%s: %s refused the login of %s with the %s: check the user name, and that the key or password is right and allowed there", h.name, h.address, h.user, h.creds.source)
	default:
		out = notStarted("connection_failed", err, "%s: %s is no SSH server or ended the connection: %v", h.name, h.address, err)
	}
	if h.rules.scope != "" && c.newKey {
		out.NewHostKey = authorizedKey(c.hostKey)
	}
	return out
}

func authorizedKey(key xssh.PublicKey) string {
	return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(key)))
}
