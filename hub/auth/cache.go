package auth

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// trust is how long an answer about a credential may be given again without asking the
// database: a burst of requests costs one query, and what is revoked ends within it.
const trust = 3 * time.Second

// maxCached bounds the cache; when it is full, everything is asked anew.
const maxCached = 10_000

// credential is what a request presents.
type credential struct {
	secret string
	kind   credentialKind
	// use: it counts as use. Answers are kept apart by this, else a page that asks in the
	// background would keep a request of its user from being noted.
	use bool
}

type credentialKind byte

const (
	byToken   credentialKind = 't'
	bySession credentialKind = 's'
)

func (c credential) hash() [sha256.Size]byte {
	use := byte('-')
	if c.use {
		use = '+'
	}
	return sha256.Sum256(append([]byte{byte(c.kind), use}, c.secret...))
}

// cache keeps who valid credentials belong to, under their hashes.
type cache struct {
	mu      sync.Mutex
	entries map[[sha256.Size]byte]cached
}

type cached struct {
	principal hub.Principal
	until     time.Time
}

func newCache() *cache { return &cache{entries: map[[sha256.Size]byte]cached{}} }

// get returns the principal of a credential, asking when it is not known freshly.
func (c *cache) get(ctx context.Context, of credential, ask func(context.Context, credential) (hub.Principal, error)) (hub.Principal, error) {
	key := of.hash()
	c.mu.Lock()
	e, ok := c.entries[key]
	c.mu.Unlock()
	if ok && time.Now().Before(e.until) {
		return e.principal, nil
	}
	p, err := ask(ctx, of)
	if err != nil {
		return p, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxCached {
		clear(c.entries)
	}
	c.entries[key] = cached{principal: p, until: time.Now().Add(trust)}
	return p, nil
}

// forget drops all answers: something was revoked on this member.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}
