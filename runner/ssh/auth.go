package ssh

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/runner/task"
)

// maxKeyFile bounds a private key read from the runner's own folder.
const maxKeyFile = 64 << 10

// credentials are what a login offers. They are compared by their hash, so that a
// connection made with one secret is never used for a command that brings another.
type credentials struct {
	// source names the key or password for messages, e.g. its storage path.
	source     string
	key        []byte
	passphrase []byte
	password   []byte
	byPassword bool
}

func (c credentials) hash() string {
	h := sha256.New()
	for _, part := range [][]byte{c.key, c.passphrase, c.password} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// readCredentials reads the settings with the prefix ("ssh-", "ssh-proxy-jump-").
func (e *Executor) readCredentials(s *settings, c *task.Command, prefix string) (credentials, error) {
	var out credentials
	method := strings.ToLower(s.text(prefix + "authentication"))
	switch method {
	case "", "privatekey", "password":
	default:
		return out, invalid("node %s: %sauthentication is %q, want privateKey or password", s.node, prefix, method)
	}
	var hasKey, hasPassword bool
	var err error
	if method != "password" {
		if hasKey, err = e.readKey(s, c, prefix, &out); err != nil {
			return out, err
		}
	}
	if method != "privatekey" && !hasKey {
		if hasPassword, out.password, err = s.secret(c, prefix+"password", "sshPassword"); err != nil {
			return out, err
		}
		out.byPassword = true
		out.source = "password " + s.text(prefix+"password-storage-path") + s.text(prefix+"password-option")
	}
	if !hasKey && !hasPassword {
		return out, notStarted("key_missing", nil,
			"node %s has no login: set %skey-storage-path or %spassword-storage-path on the node or its project to the path of a stored key", s.node, prefix, prefix)
	}
	out.password = bytes.TrimRight(out.password, "\r\n")
	return out, nil
}

func (e *Executor) readKey(s *settings, c *task.Command, prefix string, out *credentials) (bool, error) {
	set, key, err := s.secret(c, prefix+"key", "")
	if err != nil {
		return false, err
	}
	out.source = "key " + s.text(prefix+"key-storage-path")
	if path := s.text(prefix + "keypath"); !set && path != "" {
		if key, err = e.readKeyFile(s.node, path); err != nil {
			return false, err
		}
		set, out.source = true, "key file "+path
	}
	if !set {
		return false, nil
	}
	out.key = key
	_, out.passphrase, err = s.secret(c, prefix+"key-passphrase", "sshKeyPassphrase")
	out.passphrase = bytes.TrimRight(out.passphrase, "\r\n")
	return true, err
}

// readKeyFile reads a key of the runner's own. Only files below one folder that the
// runner's operator chose may be named by a node's attribute: else whoever may edit
// nodes could log in with any key that lies on the runner.
func (e *Executor) readKeyFile(node, path string) ([]byte, error) {
	if e.config.KeyFiles == "" {
		return nil, invalid("node %s: ssh-keypath %s: this runner lends no key files; use ssh-key-storage-path, or set keyFiles in the runner's configuration", node, path)
	}
	name := path
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(e.config.KeyFiles, path)
		if err != nil {
			return nil, invalid("node %s: ssh-keypath %s is not below %s", node, path, e.config.KeyFiles)
		}
		name = rel
	}
	root, err := os.OpenRoot(e.config.KeyFiles)
	if err != nil {
		return nil, notStarted("key_missing", err, "node %s: the runner's folder for key files cannot be opened: %v", node, err)
	}
	defer root.Close()
	data, err := root.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, notStarted("key_missing", err, "node %s: ssh-keypath %s: there is no such file on the runner", node, path)
	case err != nil:
		return nil, notStarted("key_missing", err, "node %s: ssh-keypath %s cannot be read on the runner (it must lie below %s): %v", node, path, e.config.KeyFiles, err)
	case len(data) > maxKeyFile:
		return nil, invalid("node %s: ssh-keypath %s is no private key: it has over %d bytes", node, path, maxKeyFile)
	}
	return data, nil
}

// jumpCredentials are the jump hosts' own, or else the node's.
func (e *Executor) jumpCredentials(s *settings, c *task.Command, node credentials) (credentials, error) {
	for _, name := range []string{"key-storage-path", "keypath", "password-storage-path", "password-option"} {
		if s.text("ssh-proxy-jump-"+name) != "" {
			return e.readCredentials(s, c, "ssh-proxy-jump-")
		}
	}
	return node, nil
}

// methods turns credentials into what the SSH library tries, in order.
func (c credentials) methods(hopName string) ([]xssh.AuthMethod, error) {
	if !c.byPassword {
		signer, err := c.signer(hopName)
		if err != nil {
			return nil, err
		}
		return []xssh.AuthMethod{xssh.PublicKeys(signer)}, nil
	}
	password := string(c.password)
	rounds := 0
	// Servers that ask for the password by keyboard-interactive ask one question
	// without echo. A server that goes on asking is refused: it may be after more.
	interactive := func(_, _ string, questions []string, echos []bool) ([]string, error) {
		if rounds++; rounds > 3 {
			return nil, questionError("the server keeps asking questions")
		}
		answers := make([]string, len(questions))
		for i := range questions {
			if echos[i] || len(questions) > 1 {
				return nil, questionError(fmt.Sprintf("the server asks %q, which no password answers", questions[i]))
			}
			answers[i] = password
		}
		return answers, nil
	}
	return []xssh.AuthMethod{xssh.Password(password), xssh.KeyboardInteractive(interactive)}, nil
}

// questionError is a login that asks for more than a password.
type questionError string

func (e questionError) Error() string { return string(e) }

func (c credentials) signer(hopName string) (xssh.Signer, error) {
	var signer xssh.Signer
	var err error
	if len(c.passphrase) > 0 {
		signer, err = xssh.ParsePrivateKeyWithPassphrase(c.key, c.passphrase)
		if err != nil && strings.Contains(err.Error(), "not an encrypted key") {
			signer, err = xssh.ParsePrivateKey(c.key)
		}
	} else {
		signer, err = xssh.ParsePrivateKey(c.key)
	}
	var locked *xssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, notStarted("key_missing", err, "%s: the %s is protected by a passphrase: set ssh-key-passphrase-storage-path", hopName, c.source)
	case err != nil:
		return nil, notStarted("invalid", err, "%s: the %s is no private key that can be read (%v): store an OpenSSH or PEM key, and check its passphrase", hopName, c.source, err)
	}
	if cert := c.certificate(signer); cert != nil {
		return cert, nil
	}
	return signer, nil
}

// certificate looks for an OpenSSH certificate behind the private key in the same
// value.
func (c credentials) certificate(signer xssh.Signer) xssh.Signer {
	for line := range bytes.Lines(c.key) {
		if !bytes.Contains(line, []byte("-cert-v01@openssh.com ")) {
			continue
		}
		key, _, _, _, err := xssh.ParseAuthorizedKey(line)
		if err != nil {
			continue
		}
		if cert, ok := key.(*xssh.Certificate); ok {
			if s, err := xssh.NewCertSigner(cert, signer); err == nil {
				return s
			}
		}
	}
	return nil
}
