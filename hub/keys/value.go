package keys

import (
	"bytes"
	"errors"

	"golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/hub"
)

// checkValue tells whether value is what its type says, and returns it as it is kept:
// a key that SSH cannot read is better refused now than at 3 a.m.
func checkValue(path string, typ hub.KeyType, value []byte) ([]byte, error) {
	if len(value) > MaxValue {
		return nil, hub.Errorf(hub.CodeInvalid, "The value for %s has %d bytes; at most %d are kept.", path, len(value), MaxValue)
	}
	switch typ {
	case hub.KeyPrivate:
		return value, checkPrivate(path, value)
	case hub.KeyPublic:
		if _, _, _, _, err := ssh.ParseAuthorizedKey(value); err != nil {
			return nil, &hub.Error{Code: hub.CodeInvalid, Message: "The value for " + path + " is no SSH public key; a line like \"ssh-ed25519 AAAA... name\" is.", Cause: err}
		}
		return value, nil
	case hub.KeyPassword:
		// A file made by echo or an editor ends with a newline that no password has.
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
		if len(value) == 0 {
			return nil, hub.Errorf(hub.CodeInvalid, "The password for %s is empty.", path)
		}
		return value, nil
	default:
		return nil, hub.Errorf(hub.CodeInvalid, "The type %q of %s is none of private-key, public-key and password.", typ, path)
	}
}

func checkPrivate(path string, value []byte) error {
	_, err := ssh.ParseRawPrivateKey(value)
	var locked *ssh.PassphraseMissingError
	if err == nil || errors.As(err, &locked) {
		return nil
	}
	// The parser's words may quote the value; they are not told and not logged.
	return hub.Errorf(hub.CodeInvalid, "The value for %s is no private key that SSH can read. It should begin with -----BEGIN OPENSSH PRIVATE KEY----- or be PEM (PKCS#1, PKCS#8, EC).", path)
}
