package ssh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/runner/task"
)

// Config is what an Executor needs from its runner. The zero value works.
type Config struct {
	// KnownHosts is the runner's own known_hosts file. It may not exist; first keys of
	// jump hosts are added to it. Empty: none.
	KnownHosts string
	// KeyFiles is the folder below which a node's ssh-keypath may lie. Empty: that
	// attribute is refused.
	KeyFiles string
	// IdleTimeout is how long an unused connection is kept; 0: 2 minutes.
	IdleTimeout time.Duration
	// Dial opens connections to first hops; nil: TCP.
	Dial func(ctx context.Context, local net.Addr, address string) (net.Conn, error)
	// Log takes events about connections; nil: none.
	Log *slog.Logger
}

// Executor runs commands over SSH. It is safe for concurrent use.
type Executor struct {
	config  Config
	pool    pool
	known   knownFile
	learned learnedKeys

	mu sync.Mutex
	// steps are the detached ones that may have a directory on a node, by attempt.
	steps map[string][]*detached
}

var (
	_ task.Executor   = (*Executor)(nil)
	_ task.Cleaner    = (*Executor)(nil)
	_ task.Reattacher = (*Executor)(nil)
)

const defaultIdleTimeout = 2 * time.Minute

// New makes an executor. Close ends its connections.
func New(config Config) *Executor {
	if config.IdleTimeout == 0 {
		config.IdleTimeout = defaultIdleTimeout
	}
	if config.Dial == nil {
		config.Dial = dialTCP
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Executor{
		config: config, steps: map[string][]*detached{},
		pool:  pool{idleTimeout: config.IdleTimeout, entries: map[string]*entry{}},
		known: knownFile{path: config.KnownHosts},
	}
}

func dialTCP(ctx context.Context, local net.Addr, address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: local}
	return d.DialContext(ctx, "tcp", address)
}

// Close closes all connections; commands that still run on them end as unknown.
func (e *Executor) Close() { e.pool.close() }

// Prepare connects, copies a script and opens the channel that the command will use.
func (e *Executor) Prepare(ctx context.Context, c *task.Command) (task.Process, error) {
	t, err := e.readTarget(c)
	if err != nil {
		return nil, err
	}
	if err := validate(c); err != nil {
		return nil, err
	}
	if c.Detached {
		return e.prepareDetached(ctx, t, c)
	}
	p := &process{executor: e, target: t, command: c, mark: newMark(), question: newMark(), step: c.Name()}
	err = p.copyFiles(ctx)
	if err == nil {
		err = p.open(ctx)
	}
	if err != nil {
		p.removeScript(ctx)
		return nil, err
	}
	return p, nil
}

// newMark is a word that no output contains by accident.
func newMark() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return "fairlead:" + hex.EncodeToString(b[:]) + ":"
}

// validate refuses what no shell can be given.
func validate(c *task.Command) error {
	texts := append([]string{c.Text}, c.Env...)
	if c.Script != nil {
		texts = append(append(texts, c.Script.Interpreter), c.Script.Args...)
	}
	for _, text := range texts {
		if strings.ContainsRune(text, 0) {
			return invalid("node %s: the command or one of its values holds a NUL byte, which no command line can carry: remove it", c.Node.GetName())
		}
	}
	for _, pair := range c.Env {
		if name, _, found := strings.Cut(pair, "="); !found || !isName(name) {
			return invalid("node %s: %q is no environment variable: names have letters, digits and _", c.Node.GetName(), name)
		}
	}
	return nil
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
