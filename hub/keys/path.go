package keys

import "strings"

// MaxValue bounds a key's value in bytes.
const MaxValue = 64 << 10

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
