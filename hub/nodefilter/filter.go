// Package nodefilter selects nodes by Rundeck's filter language, as Rundeck implements
// it and not as people assume it to be:
//
//	web.*                 name, as a regular expression or literally
//	tags: db+prod,cache   (db and prod) or cache
//	osFamily: /unix|bsd/  an attribute, regular expression only
//	!tags: retired        not
//
// Several keys must all match. Several negated keys drop a node only when all of them
// match it. Patterns are RE2 in place of Java's: they match whole values, in linear
// time, without look-around and back-references; a pattern that needs those is an
// error and never another meaning.
package nodefilter

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// MaxFilterBytes bounds the text of a filter.
const MaxFilterBytes = 64 << 10

// Filter is a parsed filter. It does not change, so many goroutines may use it.
type Filter struct {
	text             string
	include, exclude []clause
}

// Parse reads a filter. A blank one matches every node.
func Parse(text string) (*Filter, error) {
	pairs, err := parsePairs(text)
	if err != nil {
		return nil, err
	}
	f := &Filter{text: text}
	for _, p := range pairs {
		c, err := newClause(p)
		if err != nil {
			return nil, err
		}
		if p.negated {
			f.exclude = append(f.exclude, c)
		} else {
			f.include = append(f.include, c)
		}
	}
	return f, nil
}

// String returns the text that was parsed.
func (f *Filter) String() string { return f.text }

// Blank reports whether the filter says nothing.
func (f *Filter) Blank() bool { return len(f.include) == 0 && len(f.exclude) == 0 }

// Match reports whether the filter selects n.
func (f *Filter) Match(n *hub.Node) bool {
	return f.included(n) && !f.excluded(n)
}

// included reports whether all positive keys match; without any, every node is in.
func (f *Filter) included(n *hub.Node) bool { return all(f.include, n) }

// excluded reports whether there are negated keys and all of them match.
func (f *Filter) excluded(n *hub.Node) bool { return len(f.exclude) > 0 && all(f.exclude, n) }

func all(clauses []clause, n *hub.Node) bool {
	for i := range clauses {
		if !clauses[i].match(n) {
			return false
		}
	}
	return true
}

// pair is one key with its values joined as they came.
type pair struct {
	key     string
	negated bool
	value   string
}

func (p pair) name() string {
	if p.negated {
		return "!" + p.key
	}
	return p.key
}

// parsePairs reads the keys of a filter, in order; a repeated key adds to the first.
func parsePairs(text string) ([]pair, error) {
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	return pairWords(words)
}

func pairWords(words []string) ([]pair, error) {
	var pairs []pair
	for i := 0; i < len(words); i++ {
		key, value, err := pairAt(words, &i)
		if err != nil {
			return nil, err
		}
		p := pair{key: key, value: value}
		if bare, negated := strings.CutPrefix(key, "!"); negated {
			p.key, p.negated = bare, true
		}
		if strings.Contains(p.key, "${") {
			return nil, hub.Errorf(hub.CodeInvalid, "The node filter has a reference in the key %q: only values may have one, and a whole filter may be one.", p.key)
		}
		if p.key == "" {
			return nil, hub.Errorf(hub.CodeInvalid, "The node filter has a value %q without a key: write \"name: VALUE\" or \"!name: VALUE\".", value)
		}
		at := slices.IndexFunc(pairs, func(q pair) bool { return q.key == p.key && q.negated == p.negated })
		if at < 0 {
			pairs = append(pairs, p)
			continue
		}
		pairs[at].value += "," + p.value
	}
	return pairs, nil
}

// pairAt reads the pair that begins at words[*i] and leaves *i at its last word.
func pairAt(words []string, i *int) (key, value string, err error) {
	w := words[*i]
	colon := strings.IndexByte(w, ':')
	switch {
	case strings.HasSuffix(w, ":"):
		key = w[:len(w)-1]
		if *i++; *i < len(words) {
			value = words[*i]
		}
	case colon >= 0:
		key, value = w[:colon], w[colon+1:]
	case strings.HasPrefix(w, "!"):
		return "", "", hub.Errorf(hub.CodeInvalid, "The node filter says %q, which negates no key: write \"!name: %s\".", w, strings.TrimPrefix(w, "!"))
	default:
		key, value = "name", w
	}
	if strings.TrimSpace(value) == "" {
		return "", "", hub.Errorf(hub.CodeInvalid, "The node filter has no value for key %q: write %q, or leave the key out.", key, key+": VALUE")
	}
	return key, value, nil
}

const blanks = " \t\r\n\f\v"

// split cuts a filter into words at blanks. A quote at the beginning of a word, or
// right after its key's colon, groups; doubled inside it stands for itself.
func split(text string) ([]string, error) {
	if len(text) > MaxFilterBytes {
		return nil, hub.Errorf(hub.CodeInvalid, "The node filter has %d bytes, at most %d are taken: select by tags or by a pattern.", len(text), MaxFilterBytes)
	}
	if strings.IndexByte(text, 0) >= 0 {
		return nil, hub.Errorf(hub.CodeInvalid, "The node filter holds a NUL byte: remove it.")
	}
	var words []string
	for {
		text = strings.TrimLeft(text, blanks)
		if text == "" {
			return words, nil
		}
		w, rest, closed := cutWord(text)
		if !closed {
			return nil, hub.Errorf(hub.CodeInvalid, "The node filter has a quote that is never closed, at %q: close it, or double it inside other quotes.", text)
		}
		words = append(words, w)
		text = rest
	}
}

func cutWord(text string) (w, rest string, closed bool) {
	var b strings.Builder
	quote := byte(0) // the one that groups in this word
	inside := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if quote == 0 && (c == '"' || c == '\'') && (i == 0 || text[i-1] == ':' && strings.IndexByte(text[:i-1], ':') < 0) {
			quote, inside = c, true
			continue
		}
		switch {
		case inside && c == quote && i+1 < len(text) && text[i+1] == quote:
			b.WriteByte(c)
			i++
		case quote != 0 && c == quote:
			inside = !inside
		case !inside && strings.IndexByte(blanks, c) >= 0:
			return b.String(), text[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !inside
}

// quoteWord writes a word so that split returns it whole.
func quoteWord(w string) string {
	return `"` + strings.ReplaceAll(w, `"`, `""`) + `"`
}

// attribute returns what a node has under a filter's key, "" for nothing.
func attribute(n *hub.Node, key string) string {
	switch key {
	case "name", "nodename":
		return n.Name
	case "hostname":
		return n.Hostname
	case "username":
		return n.Username
	case "description":
		return n.Description
	case "os-name":
		return n.Attributes["osName"]
	case "os-family":
		return n.Attributes["osFamily"]
	case "os-arch":
		return n.Attributes["osArch"]
	case "os-version":
		return n.Attributes["osVersion"]
	default:
		return n.Attributes[key]
	}
}

// compareNames orders nodes by name.
func compareNames(a, b *hub.Node) int { return cmp.Compare(a.Name, b.Name) }
