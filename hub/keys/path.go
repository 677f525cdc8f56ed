package keys

import (
	"strings"

	"github.com/fairlead/fairlead/hub"
)

const (
	pathRoot = "keys/"
	maxPath  = 512
	// MaxValue bounds a key's value in bytes.
	MaxValue = 64 << 10
)

// CheckPath tells whether path is one that a key may have: "keys/" and names of
// letters, digits and -_.@+ divided by slashes. Anything else could mean two things in
// a URL, a job file and here.
func CheckPath(path string) error {
	rest, ok := strings.CutPrefix(path, pathRoot)
	if !ok {
		return hub.Errorf(hub.CodeInvalid, "The key path %q does not begin with keys/, as keys/project/web/deploy does.", path)
	}
	if len(path) > maxPath {
		return hub.Errorf(hub.CodeInvalid, "The key path is longer than %d bytes.", maxPath)
	}
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, notInPath) {
			return hub.Errorf(hub.CodeInvalid, "The key path %q has a part %q; parts are letters, digits, spaces and -_.@+.", path, name)
		}
	}
	return nil
}

func notInPath(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	default:
		return !strings.ContainsRune("-_.@+ ", r)
	}
}

// allowed tells whether a project may use a key: what lies under keys/project/NAME is
// that project's alone, so that a runner of another can never be granted it.
func allowed(path, projectName string) bool {
	rest, ok := strings.CutPrefix(path, "keys/project/")
	if !ok {
		return true
	}
	owner, _, _ := strings.Cut(rest, "/")
	return owner == projectName
}
