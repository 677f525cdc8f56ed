package command

import (
	"errors"
	"fmt"
	"strings"
)

// Expand returns a command line with every ${option.x}, ${node.x} and ${job.x}
// replaced by its value, quoted for the place where it stands: one value is part of
// one word, whatever bytes it holds. ${unquotedoption.x} is put in as it is. Other
// ${...} are left for the shell.
//
// A reference that is unknown, or stands where no quoting is safe, is an error that
// names it; then nothing may be run.
func Expand(text string, c Context) (string, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return "", errors.New("the command holds a NUL byte, which no shell can take: remove it")
	}
	if !strings.Contains(text, "${") {
		return text, nil
	}
	e := expander{text: text, context: c, frames: []frame{{kind: bare}}, wordStart: true, named: -1}
	for e.pos < len(e.text) {
		if err := e.step(); err != nil {
			return "", err
		}
	}
	return e.out.String(), nil
}

// kind is how a shell reads the text at some place.
type kind int

const (
	bare kind = iota
	single
	double
)

// frame is an open quote or command substitution.
type frame struct {
	kind kind
	// nested is set for the inside of $( ), which ends at the parenthesis that brings
	// depth below zero.
	nested bool
	depth  int
}

// expander walks over the author's text as a shell would and keeps which quotes are
// open. It sees values only when it has already decided how to write them.
type expander struct {
	text    string
	pos     int
	out     strings.Builder
	context Context
	frames  []frame
	// wordStart is whether a word may begin here: only there does # begin a comment.
	wordStart bool
	// named is where the last name behind a $ ends, and lone whether there is none: a
	// value right there would be read as more of the name, or as what the $ begins.
	named int
	lone  bool
	// unsure is why the quoting of what follows cannot be told; "" while it can.
	unsure string
}

func (e *expander) top() *frame { return &e.frames[len(e.frames)-1] }

func (e *expander) rest() string { return e.text[e.pos:] }

// copyText copies n bytes of the author's text.
func (e *expander) copyText(n int) {
	n = min(n, len(e.text)-e.pos)
	e.out.WriteString(e.text[e.pos : e.pos+n])
	e.pos += n
}

func (e *expander) push(k kind, nested bool) {
	e.frames = append(e.frames, frame{kind: k, nested: nested})
}

func (e *expander) pop() { e.frames = e.frames[:len(e.frames)-1] }

// step copies or replaces what stands at pos.
func (e *expander) step() error {
	if ref, ok := parseReference(e.rest()); ok {
		return e.substitute(ref)
	}
	switch {
	case e.unsure != "":
		e.copyText(1)
		return nil
	case e.top().kind == single:
		if e.text[e.pos] == '\'' {
			e.pop()
		}
		e.copyText(1)
		return nil
	case e.top().kind == double:
		return e.stepDouble()
	default:
		return e.stepBare()
	}
}

// substitute writes a value in the way of the place.
func (e *expander) substitute(ref reference) error {
	v, err := e.context.value(ref)
	if err != nil {
		return err
	}
	if e.unsure != "" && !ref.unquoted() {
		return refuse(ref, e.unsure)
	}
	joined := e.pos == e.named
	if joined && e.lone && e.top().kind == bare && !ref.unquoted() {
		return refuse(ref, "right behind a $")
	}
	e.pos += ref.size
	switch {
	case ref.unquoted():
		e.out.WriteString(v)
	case e.top().kind == single:
		e.out.WriteString(insideSingle(v))
	case e.top().kind == double && joined:
		e.out.WriteString(`"` + Quote(v) + `"`)
	case e.top().kind == double:
		e.out.WriteString(insideDouble(v))
	default:
		e.out.WriteString(Quote(v))
	}
	e.wordStart = false
	return nil
}

// refuse is the error for a reference at a place where no quoting is safe.
func refuse(ref reference, place string) error {
	if ref.space == "option" || ref.space == "unquotedoption" {
		return fmt.Errorf("%s stands %s, where its value cannot be quoted safely: use \"$%s\" there, or move it out", ref, place, envName("RD_OPTION_", ref.name))
	}
	return fmt.Errorf("%s stands %s, where its value cannot be quoted safely: use \"$%s\" there, or move it out", ref, place, envName("RD_"+strings.ToUpper(ref.space)+"_", ref.name))
}

func (e *expander) stepDouble() error {
	switch c := e.text[e.pos]; c {
	case '\\':
		e.copyText(2)
	case '"':
		e.pop()
		e.copyText(1)
	case '`':
		return e.backquotes()
	case '$':
		return e.dollar()
	default:
		e.copyText(1)
	}
	return nil
}

func (e *expander) stepBare() error {
	start := e.wordStart
	e.wordStart = false
	switch c := e.text[e.pos]; c {
	case '\\':
		// A continued line goes on with whatever it was.
		e.wordStart = start && strings.HasPrefix(e.rest(), "\\\n")
		e.copyText(2)
	case '\'':
		e.push(single, false)
		e.copyText(1)
	case '"':
		e.push(double, false)
		e.copyText(1)
	case '`':
		return e.backquotes()
	case '$':
		return e.dollar()
	case '#':
		if start {
			return e.comment()
		}
		e.copyText(1)
	case '(', ')':
		return e.parenthesis(start)
	case '<':
		e.redirect()
	case ' ', '\t', '\n', ';', '&', '|', '>':
		e.wordStart = true
		e.copyText(1)
	default:
		if start && e.top().nested && startsWord(e.rest(), "case") {
			// Its patterns end in a lone parenthesis, so the end of $( ) cannot be told.
			e.unsure = "after a case inside $( )"
		}
		e.copyText(1)
	}
	return nil
}

// startsWord reports whether text begins with word, and the word ends there.
func startsWord(text, word string) bool {
	after, ok := strings.CutPrefix(text, word)
	return ok && (after == "" || strings.ContainsRune(" \t\n;&|()<>\\", rune(after[0])))
}

// comment skips to the end of the line. A reference in it is left out: a value with a
// newline would end the comment and be run.
func (e *expander) comment() error {
	for e.pos < len(e.text) && e.text[e.pos] != '\n' {
		if ref, ok := parseReference(e.rest()); ok {
			e.pos += ref.size
			continue
		}
		e.copyText(1)
	}
	e.wordStart = true
	return nil
}

func (e *expander) parenthesis(start bool) error {
	if strings.HasPrefix(e.rest(), "((") && start {
		e.copyText(2)
		return e.arithmetic()
	}
	f := e.top()
	e.wordStart = true
	if e.text[e.pos] == '(' {
		f.depth++
		e.copyText(1)
		return nil
	}
	f.depth--
	e.copyText(1)
	if f.nested && f.depth < 0 {
		e.pop()
		e.wordStart = false
	}
	return nil
}

// redirect takes <, <<< and <<. What stands in a here-document ends at a line that a
// value may hold too.
func (e *expander) redirect() {
	switch rest := e.rest(); {
	case strings.HasPrefix(rest, "<<<"):
		e.copyText(3)
	case strings.HasPrefix(rest, "<<"):
		e.unsure = "after a here-document begins"
		e.copyText(2)
	default:
		e.copyText(1)
	}
	e.wordStart = true
}

// dollar takes what begins with $ and is no reference of ours.
func (e *expander) dollar() error {
	rest := e.rest()
	quoted := e.top().kind == double
	switch {
	case strings.HasPrefix(rest, "$(("):
		e.copyText(3)
		return e.arithmetic()
	case strings.HasPrefix(rest, "$("):
		e.copyText(2)
		e.push(bare, true)
		e.wordStart = true
	case strings.HasPrefix(rest, "${"):
		return e.parameter()
	case strings.HasPrefix(rest, "$["):
		e.unsure = "after $[ ]"
		e.copyText(2)
	case strings.HasPrefix(rest, "$'") && !quoted:
		// Shells do not agree on where it ends.
		e.unsure = "after $' '"
		e.copyText(2)
	case strings.HasPrefix(rest, "$$") && !references(rest[1:]):
		if len(rest) > 2 && strings.IndexByte("({[", rest[2]) >= 0 {
			// Shells do not agree on whether the second $ begins something, too.
			e.unsure = "after $$ and a bracket"
		}
		e.copyText(2)
	default:
		e.copyText(1)
		e.name()
	}
	return nil
}

func references(text string) bool {
	_, ok := parseReference(text)
	return ok
}

// name copies the name behind a $.
func (e *expander) name() {
	e.lone = true
	for e.pos < len(e.text) {
		switch c := e.text[e.pos]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
			e.lone = false
			e.copyText(1)
			continue
		case strings.HasPrefix(e.rest(), "\\\n"):
			if e.lone {
				e.unsure = "after a $ whose line is continued"
			}
			e.copyText(2)
			continue
		}
		break
	}
	e.named = e.pos
}

// parameter copies the shell's own ${...}. Where it holds more than plain text, shells
// disagree on its quotes, so nothing after it is sure.
func (e *expander) parameter() error {
	e.copyText(2)
	for depth := 0; e.pos < len(e.text); {
		if ref, ok := parseReference(e.rest()); ok {
			return refuse(ref, "inside another ${ }")
		}
		c := e.text[e.pos]
		if depth > 0 && (c == '}' || c == '#' || startsWord(e.rest(), "case")) {
			// Of a command in it, whose end cannot be told then.
			e.unsure = "after a ${ } that holds such a command"
			return nil
		}
		switch c {
		case '(':
			depth++
		case ')':
			depth = max(0, depth-1)
		case '}':
			e.copyText(1)
			return nil
		case '\'', '"', '\\', '`', '{':
			e.unsure = "after a ${ } that holds quotes or braces"
			return nil
		}
		e.copyText(1)
	}
	return nil
}

// backquotes copies `...`, inside which each quoting is read twice.
func (e *expander) backquotes() error {
	e.copyText(1)
	for e.pos < len(e.text) {
		if ref, ok := parseReference(e.rest()); ok {
			return refuse(ref, "inside backquotes (use $( ) in their place)")
		}
		switch e.text[e.pos] {
		case '\\':
			e.copyText(2)
		case '`':
			e.copyText(1)
			return nil
		default:
			e.copyText(1)
		}
	}
	return nil
}

// arithmetic copies what follows $(( or ((. Shells evaluate names and subscripts in it
// even when they are quoted, so only digits are let in.
func (e *expander) arithmetic() error {
	for depth := 2; e.pos < len(e.text); {
		if ref, ok := parseReference(e.rest()); ok {
			if err := e.digits(ref); err != nil {
				return err
			}
			continue
		}
		if startsWord(e.rest(), "case") {
			e.unsure = "in or after arithmetic that cannot be told from commands"
			return nil
		}
		switch e.text[e.pos] {
		case '\'', '"', '\\', '`', '{', '#':
			e.unsure = "in or after arithmetic that cannot be told from commands"
			return nil
		case '(':
			depth++
		case ')':
			depth--
			if depth == 1 && !strings.HasPrefix(e.rest(), "))") {
				e.unsure = "in or after arithmetic that cannot be told from commands"
				return nil
			}
		}
		e.copyText(1)
		if depth == 0 {
			return nil
		}
	}
	return nil
}

func (e *expander) digits(ref reference) error {
	v, err := e.context.value(ref)
	if err != nil {
		return err
	}
	if !ref.unquoted() && (v == "" || strings.Trim(v, "0123456789") != "") {
		return fmt.Errorf("%s stands in arithmetic, where only digits are safe, and its value is something else: check the value, or move it out", ref)
	}
	e.pos += ref.size
	e.out.WriteString(v)
	return nil
}
