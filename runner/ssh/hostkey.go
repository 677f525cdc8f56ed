package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"
	stdknown "golang.org/x/crypto/ssh/knownhosts"

	"github.com/fairlead/fairlead/runner/task"
)

// hostRules say which host keys of one hop are right.
type hostRules struct {
	known  []hostKey
	strict bool
	// attribute of the node that can name keys.
	attribute string
	// scope bounds what accept-new remembers in memory: a node's key holds for the rest
	// of the attempt, then the hub knows it. Empty for a jump host, whose key goes
	// into the runner's known_hosts file.
	scope string
	// forget tells people where the known key is to be taken out.
	forget string
}

type hostKey struct {
	key xssh.PublicKey
	ca  bool
}

// hostKeyError is why a host key was refused.
type hostKeyError struct {
	reason, message string
}

func (e *hostKeyError) Error() string { return e.message }

// nodeRules are the node's attribute alone where it has one: who writes a key there has
// chosen, and no key that a runner once saw may stand beside it.
func (e *Executor) nodeRules(s *settings, c *task.Command) (hostRules, error) {
	lines, forget := c.Node.GetHostKeys(), fmt.Sprintf("forget the old one with `fairlead nodes hostkeys forget %s`", s.node)
	if pinned := s.text("ssh-host-key"); pinned != "" {
		lines, forget = []string{pinned}, "correct the node's attribute ssh-host-key"
	} else if c.Node.GetHostKeyConflict() {
		return hostRules{}, notStarted("host_key_conflict", nil,
			"node %s: runners saw different host keys at it, so it is not used until a person chooses: look at them with `fairlead nodes hostkeys list %s`, and accept the right one", s.node, s.node)
	}
	r, err := s.hostRules("ssh-host-key", lines)
	r.scope, r.forget = c.AttemptID+"/"+s.node, forget
	return r, err
}

func (e *Executor) jumpRules(s *settings) (hostRules, error) {
	r, err := s.hostRules("ssh-proxy-jump-host-key", []string{s.text("ssh-proxy-jump-host-key")})
	r.forget = "correct ssh-proxy-jump-host-key, or the runner's known_hosts file"
	return r, err
}

func (s *settings) hostRules(name string, texts []string) (hostRules, error) {
	r := hostRules{attribute: name}
	switch checking := s.text("ssh-host-key-checking"); checking {
	case "", "accept-new":
	case "strict", "yes":
		r.strict = true
	default:
		return r, invalid("node %s: ssh-host-key-checking is %q, want accept-new or strict; it cannot be switched off", s.node, checking)
	}
	for _, text := range texts {
		rest := []byte(strings.TrimSpace(text))
		for len(rest) > 0 {
			key, _, options, after, err := xssh.ParseAuthorizedKey(rest)
			if err != nil {
				return r, invalid("node %s: %s holds no host key such as \"ssh-ed25519 AAAA...\": %v", s.node, name, err)
			}
			ca := false
			for _, o := range options {
				ca = ca || o == "cert-authority"
			}
			if !ca {
				key = plain(key)
			}
			r.known = append(r.known, hostKey{key: key, ca: ca})
			rest = bytes.TrimSpace(after)
		}
	}
	return r, nil
}

// plain is the key without the certificate that says whose it is.
func plain(key xssh.PublicKey) xssh.PublicKey {
	if cert, ok := key.(*xssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// bare is a key that a hop presented as it is to be known: with its certificate only where an
// authority for that is known. Certificates are renewed, some every day, and the key stays.
func (e *Executor) bare(h *hop, remote net.Addr, key xssh.PublicKey) xssh.PublicKey {
	if slices.ContainsFunc(h.rules.known, func(k hostKey) bool { return k.ca }) {
		return key
	}
	if state, err := e.known.check(h.address, remote, key); err != nil || state == keyKnown {
		return key
	}
	return plain(key)
}

// verify decides about a key that a hop presented. isNew tells that nobody knew one.
func (e *Executor) verify(h *hop, remote net.Addr, key xssh.PublicKey) (isNew bool, err error) {
	fromFile, err := e.known.check(h.address, remote, key)
	if err != nil {
		return false, &hostKeyError{"host_key_changed", fmt.Sprintf("%s (%s) shows a host key that the runner's known_hosts file forbids: %s. If the node was reinstalled, correct the file", h.name, h.address, describe(key))}
	}
	// What the hub or an attribute says comes first; the runner's file may only forbid.
	if len(h.rules.known) > 0 {
		if h.rules.allows(h.address, remote, key) {
			return false, nil
		}
		return false, h.changed(key)
	}
	switch fromFile {
	case keyKnown:
		return false, nil
	case keyOther:
		return false, h.changed(key)
	}
	if h.rules.scope != "" {
		if learned, found := e.learned.get(h.learnKey()); found {
			if learned != string(key.Marshal()) {
				return false, h.changed(key)
			}
			return true, nil
		}
	}
	if h.rules.strict {
		return false, &hostKeyError{"host_key_unknown", fmt.Sprintf("%s (%s) shows the host key %s, which nobody has confirmed, and ssh-host-key-checking is strict: add it as the node's attribute %s", h.name, h.address, describe(key), h.rules.attribute)}
	}
	return true, nil
}

// learn remembers a new key, so that the next connection cannot show another.
func (e *Executor) learn(h *hop, remote net.Addr, key xssh.PublicKey) error {
	if h.rules.scope != "" {
		e.learned.put(h.learnKey(), string(key.Marshal()))
		return nil
	}
	return e.known.add(h.address, remote, key)
}

func (h *hop) learnKey() string { return h.rules.scope + "@" + h.address }

func (h *hop) changed(key xssh.PublicKey) error {
	return &hostKeyError{"host_key_changed", fmt.Sprintf("%s (%s) shows another host key than the known one: %s. It was reinstalled, or somebody stands in between: check, then %s", h.name, h.address, describe(key), h.rules.forget)}
}

// way tells the hops of a connection, with the host key that each one showed.
func (t *target) way(c *connection) string {
	hops := make([]string, len(t.hops))
	for i := len(t.hops) - 1; i >= 0; i-- {
		h := &t.hops[i]
		hops[i] = fmt.Sprintf("%s: %s@%s, host key %s", h.name, h.user, h.address, describe(c.hostKey))
		c = c.via
	}
	return strings.Join(hops, "\n")
}

func describe(key xssh.PublicKey) string {
	return key.Type() + " " + xssh.FingerprintSHA256(key)
}

// allows reports whether the rules' own keys or authorities vouch for key.
func (r *hostRules) allows(address string, remote net.Addr, key xssh.PublicKey) bool {
	for _, known := range r.known {
		if !known.ca && bytes.Equal(known.key.Marshal(), plain(key).Marshal()) {
			return true
		}
	}
	if _, isCert := key.(*xssh.Certificate); !isCert {
		return false
	}
	checker := xssh.CertChecker{IsHostAuthority: func(auth xssh.PublicKey, _ string) bool {
		for _, known := range r.known {
			if known.ca && bytes.Equal(known.key.Marshal(), auth.Marshal()) {
				return true
			}
		}
		return false
	}}
	return checker.CheckHostKey(address, remote, key) == nil
}

// algorithms are those of the known keys, so that the server shows a key that can be
// compared; nil (any) where none is known.
func (e *Executor) algorithms(h *hop) []string {
	if len(h.rules.known) == 0 {
		return e.known.algorithms(h.address)
	}
	var algorithms []string
	seen := map[string]bool{}
	add := func(names ...string) {
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				algorithms = append(algorithms, name)
			}
		}
	}
	for _, known := range h.rules.known {
		switch {
		case known.ca:
			add(xssh.CertAlgoED25519v01, xssh.CertAlgoECDSA256v01, xssh.CertAlgoECDSA384v01, xssh.CertAlgoECDSA521v01, xssh.CertAlgoRSASHA512v01, xssh.CertAlgoRSASHA256v01)
		case known.key.Type() == xssh.KeyAlgoRSA:
			add(xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256)
		default:
			add(known.key.Type())
		}
	}
	return algorithms
}

// learnedKeys is accept-new's memory for running attempts.
type learnedKeys struct {
	mu   sync.Mutex
	keys map[string]learnedKey
}

type learnedKey struct {
	key string
	at  time.Time
}

// Attempts live on in memory for a day after a key was last seen, and no more than
// this many nodes are remembered.
const (
	learnedFor = 24 * time.Hour
	learnedMax = 100_000
)

func (l *learnedKeys) get(name string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, found := l.keys[name]
	return k.key, found
}

func (l *learnedKeys) put(name, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]learnedKey{}
	}
	now := time.Now()
	if len(l.keys) >= learnedMax {
		for n, k := range l.keys {
			if now.Sub(k.at) > learnedFor || len(l.keys) >= learnedMax {
				delete(l.keys, n)
			}
		}
	}
	l.keys[name] = learnedKey{key: key, at: now}
}

// knownFile is the runner's known_hosts file, read again when it changes. A path that
// is empty or does not exist knows nobody.
type knownFile struct {
	path string

	mu      sync.Mutex
	db      *knownhosts.HostKeyDB
	size    int64
	changed time.Time
}

type keyState int

const (
	keyUnknown keyState = iota
	keyKnown
	keyOther
)

func (k *knownFile) load() (*knownhosts.HostKeyDB, error) {
	if k.path == "" {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading known hosts: %w", err)
	}
	if k.db != nil && info.Size() == k.size && info.ModTime().Equal(k.changed) {
		return k.db, nil
	}
	db, err := knownhosts.NewDB(k.path)
	if err != nil {
		return nil, fmt.Errorf("reading known hosts: %w", err)
	}
	k.db, k.size, k.changed = db, info.Size(), info.ModTime()
	return db, nil
}

// check asks the file about a key; an error says that the file forbids it or cannot
// be read, which must not pass for "unknown".
func (k *knownFile) check(address string, remote net.Addr, key xssh.PublicKey) (keyState, error) {
	db, err := k.load()
	if err != nil {
		return keyUnknown, err
	}
	if db == nil {
		return keyUnknown, nil
	}
	err = db.HostKeyCallback()(address, remote, key)
	var revoked *stdknown.RevokedError
	switch {
	case err == nil:
		return keyKnown, nil
	case errors.As(err, &revoked):
		return keyUnknown, err
	case knownhosts.IsHostKeyChanged(err):
		return keyOther, nil
	}
	return keyUnknown, nil
}

func (k *knownFile) algorithms(address string) []string {
	db, err := k.load()
	if err != nil || db == nil {
		return nil
	}
	return db.HostKeyAlgorithms(address)
}

// add appends a key and syncs it: it must still be known after a crash, else the next
// start would accept another as new.
func (k *knownFile) add(address string, remote net.Addr, key xssh.PublicKey) error {
	if k.path == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := os.OpenFile(k.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("recording a host key: %w", err)
	}
	defer f.Close()
	var line bytes.Buffer
	err = knownhosts.WriteKnownHost(&line, address, remote, key)
	if err == nil {
		err = appendLine(f, line.Bytes())
	}
	if err != nil {
		return fmt.Errorf("recording a host key: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("recording a host key: %w", err)
	}
	k.db = nil
	return nil
}

// appendLine appends a line, whole or not at all, behind a last one that may lack its end:
// with a line that cannot be read, no key could be checked any more.
func appendLine(f *os.File, line []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return errors.Join(err, f.Truncate(info.Size()))
	}
	return nil
}
