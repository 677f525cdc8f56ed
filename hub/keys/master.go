package keys

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// masterBytes is the length of a master key.
const masterBytes = 32

// Master is the key that all other secrets of an installation hang on. Every member
// has the same one; it is never in the database nor in its backup.
type Master struct {
	id   [8]byte // of the key, so that a wrong one is named as such
	wrap []byte  // wraps the keys of envelopes
	mac  []byte
}

// NewMaster makes a Master of 32 bytes.
func NewMaster(secret []byte) (*Master, error) {
	if len(secret) != masterBytes {
		return nil, fmt.Errorf("the master key has %d bytes, want %d", len(secret), masterBytes)
	}
	m := &Master{}
	for _, part := range []struct {
		purpose string
		size    int
		to      func([]byte)
	}{
		{"fairlead master id 1", len(m.id), func(b []byte) { copy(m.id[:], b) }},
		{"fairlead master wrap 1", 32, func(b []byte) { m.wrap = b }},
		{"fairlead master mac 1", 32, func(b []byte) { m.mac = b }},
	} {
		key, err := hkdf.Key(sha256.New, secret, nil, part.purpose, part.size)
		if err != nil {
			return nil, fmt.Errorf("deriving from the master key: %w", err)
		}
		part.to(key)
	}
	return m, nil
}

// LoadMaster takes the master key from value (the environment) if it is not empty,
// else from the file at path. One that is absent is made with mode 0600, and created
// tells that it was; unless sealed says that something is sealed under it already: a new
// key would open nothing, and lie in the way of the right one.
func LoadMaster(value, path string, sealed bool) (m *Master, created bool, err error) {
	if value != "" {
		m, err = parseMaster(value, "the master key in the environment")
		return m, false, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && sealed {
		return nil, false, hub.Errorf(hub.CodeInvalid,
			"This database has secrets under a master key that is not at %s. Copy it there from another member or from your backup (mode 0600), or give it in FAIRLEAD_HUB_MASTER_KEY.", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		m, err = createMaster(path)
		return m, true, err
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, false, &hub.Error{
			Code: hub.CodeForbidden, Message: fmt.Sprintf("The master key %s cannot be read by this user. Run this as the hub's own user; if it is, let that user read the file.", path), Cause: err,
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the master key: %w", err)
	}
	if err := checkMode(path); err != nil {
		return nil, false, err
	}
	m, err = parseMaster(string(text), "the master key in "+path)
	return m, false, err
}

// checkMode refuses a key file that others may read: it opens every secret there is.
func checkMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading the master key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return hub.Errorf(hub.CodeInvalid, "The master key %s can be read by others (mode %04o). Run: chmod 600 %s", path, mode, path)
	}
	return nil
}

func createMaster(path string) (*Master, error) {
	secret := make([]byte, masterBytes)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	if err := writeNew(path, base64.StdEncoding.EncodeToString(secret)+"\n"); err != nil {
		return nil, fmt.Errorf("creating the master key: %w", err)
	}
	return NewMaster(secret)
}

// writeNew makes a file that must not exist and syncs it with its directory: a master
// key that is lost after the first secret was stored under it loses them all. It gets its
// name when it is whole.
func writeNew(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".master-key-") // mode 0600
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // its other name stays
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("naming the file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("syncing its directory: %w", err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return dir.Sync()
}

func parseMaster(text, what string) (*Master, error) {
	text = strings.TrimSpace(text)
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if secret, err := decode(text); err == nil && len(secret) == masterBytes {
			return NewMaster(secret)
		}
	}
	return nil, hub.Errorf(hub.CodeInvalid, "%s is not 32 bytes in base64 or hex. Make one with: openssl rand -base64 32", what)
}

// MAC authenticates parts for one purpose. The parts are told apart by their lengths.
func (m *Master) MAC(purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, m.mac)
	write := func(p []byte) {
		var size [8]byte
		for i := range size {
			size[i] = byte(len(p) >> (8 * (7 - i)))
		}
		h.Write(size[:])
		h.Write(p)
	}
	write([]byte(purpose))
	for _, p := range parts {
		write(p)
	}
	return h.Sum(nil)
}
