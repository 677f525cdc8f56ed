package nodefilter

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// clause is one key with what its value may be.
type clause struct {
	key string
	// whole is the value as one test. Items are the parts of a comma list, which are
	// compared literally: "a.*,b.*" is one pattern, and two odd names.
	whole test
	items []string
	// groups are of tags: one group must match, with all of its tests.
	groups [][]test
}

func newClause(p pair) (clause, error) {
	c := clause{key: p.key}
	if p.key == "tags" {
		for group := range strings.SplitSeq(p.value, ",") {
			if group == "" {
				continue // "a,,b", as joined values come
			}
			tests, err := newTests(p, strings.Split(group, "+"))
			if err != nil {
				return clause{}, err
			}
			c.groups = append(c.groups, tests)
		}
		return c, nil
	}
	tests, err := newTests(p, []string{p.value})
	if err != nil {
		return clause{}, err
	}
	c.whole = tests[0]
	c.items = strings.Split(p.value, ",")
	return c, nil
}

func newTests(p pair, values []string) ([]test, error) {
	tests := make([]test, len(values))
	for i, v := range values {
		t, err := newTest(v)
		if err != nil {
			return nil, hub.Errorf(hub.CodeInvalid, "The node filter's key %q has a pattern that cannot be used: %s.", p.name(), err.Error())
		}
		tests[i] = t
	}
	return tests, nil
}

// match reports whether n has a value under the key and it fits. A missing or blank
// one never does.
func (c *clause) match(n *hub.Node) bool {
	if c.key == "tags" {
		return slices.ContainsFunc(c.groups, func(group []test) bool {
			return !slices.ContainsFunc(group, func(t test) bool { return !slices.ContainsFunc(n.Tags, t.match) })
		})
	}
	value := attribute(n, c.key)
	if strings.TrimSpace(value) == "" {
		return false
	}
	return c.whole.match(value) || slices.Contains(c.items, value)
}

// test is one value of a filter: a pattern, a literal, or either.
type test struct {
	literal string
	// patternOnly is set for /.../.
	patternOnly bool
	pattern     *regexp.Regexp // nil if the value is no pattern
}

func (t test) match(value string) bool {
	if !t.patternOnly && value == t.literal {
		return true
	}
	return t.pattern != nil && t.pattern.MatchString(value)
}

// newTest compiles one value. Within slashes it must be a pattern. Without, what is no
// pattern in any dialect is a literal; what is one in Java's alone is refused, since a
// literal would select other nodes than the author meant.
func newTest(value string) (test, error) {
	value = strings.TrimSpace(value)
	if len(value) >= 2 && value[0] == '/' && value[len(value)-1] == '/' {
		pattern, err := compile(strings.TrimSpace(value[1 : len(value)-1]))
		if err != nil {
			return test{}, badPattern(value, err)
		}
		return test{pattern: pattern, patternOnly: true}, nil
	}
	pattern, err := compile(value)
	if err != nil && javaOnly(err) {
		return test{}, badPattern(value, err)
	}
	return test{literal: value, pattern: pattern}, nil
}

// errIntersection is of a pattern that RE2 would take for another one.
var errIntersection = errors.New("it has an intersection of classes (&&)")

func compile(pattern string) (*regexp.Regexp, error) {
	if hub.IntersectsClasses(pattern) {
		return nil, errIntersection
	}
	// Parsed on its own: "a)(?:b" must not become valid by our parentheses.
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + tree.String() + `)\z`)
}

type patternError struct {
	pattern string
	cause   error
}

func (p *patternError) Error() string {
	text := "\"" + p.pattern + "\": " + strings.TrimPrefix(p.cause.Error(), "error parsing regexp: ")
	if javaOnly(p.cause) {
		return text + " (patterns are RE2, which has no look-around, back-references, possessive quantifiers, atomic groups and intersections of classes: say it without, for example with a negated key)"
	}
	return text
}

func badPattern(pattern string, cause error) error {
	return &patternError{pattern: pattern, cause: cause}
}

// javaOnly reports whether Java takes what was refused.
func javaOnly(err error) bool {
	if errors.Is(err, errIntersection) {
		return true
	}
	var e *syntax.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidEscape, syntax.ErrInvalidRepeatSize, syntax.ErrNestingDepth, syntax.ErrLarge:
		return true
	case syntax.ErrInvalidRepeatOp:
		return strings.HasSuffix(e.Expr, "+") // possessive
	default:
		return false
	}
}
