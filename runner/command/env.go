package command

import (
	"maps"
	"slices"
	"strings"
)

// Env returns the context as variables, "RD_OPTION_X=value", sorted by name. Secure
// options are there when they are exposed. Of two members with the same variable name
// ("a-b" and "a_b") the one that sorts first wins. A value with a NUL byte is left
// out, since no environment can hold it; the hub takes none.
func Env(c Context) []string {
	vars := map[string]string{}
	add := func(prefix string, members map[string]string) {
		for _, member := range slices.Sorted(maps.Keys(members)) {
			name := envName(prefix, member)
			if _, taken := vars[name]; taken || strings.IndexByte(members[member], 0) >= 0 {
				continue
			}
			vars[name] = members[member]
		}
	}
	add("RD_OPTION_", c.Options)
	add("RD_OPTION_", c.Exposed)
	add("RD_NODE_", c.Node)
	add("RD_JOB_", c.Job)
	add("RD_DATA_", c.Data[c.Node["name"]])
	env := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env
}

// envName returns prefix and member as a variable name: upper case, everything that is
// no letter or digit as "_", so that it is valid in every shell.
func envName(prefix, member string) string {
	return prefix + strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, member)
}
