package command

import (
	"errors"
	"fmt"
	"strings"
)

// SplitArgs splits arguments at blanks. Quotes of either kind group what they hold,
// anywhere in a word; doubled inside they stand for one. Backslashes mean nothing.
func SplitArgs(text string) ([]string, error) {
	var args []string
	for {
		text = strings.TrimLeft(text, blanks)
		if text == "" {
			return args, nil
		}
		arg, rest, closed := cutArg(text)
		if !closed {
			return nil, unclosedError(text)
		}
		args = append(args, arg)
		text = rest
	}
}

// unclosedError is a quote that is never closed, in the text that begins with it.
type unclosedError string

// Error shows where, for people to find it.
func (e unclosedError) Error() string {
	return fmt.Sprintf("the arguments have a quote that is never closed, at %q: close it, or double it inside other quotes", head(string(e)))
}

const blanks = " \t\r\n\f\v"

// cutArg returns the first word of text, which begins with it, and the rest.
func cutArg(text string) (arg, rest string, closed bool) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote && i+1 < len(text) && text[i+1] == quote:
			b.WriteByte(c)
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && strings.IndexByte(blanks, c) >= 0:
			return b.String(), text[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", quote == 0
}

// head returns enough of text to be found again.
func head(text string) string {
	if len(text) > 40 {
		return text[:40] + "..."
	}
	return text
}

// ExpandArgs splits an argument text and then expands each word: a value is part of
// one argument, whatever it holds, and arrives as it is. A word that is nothing but
// ${unquotedoption.x} is split again, as the author asked for.
func ExpandArgs(text string, c Context) ([]string, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, errors.New("the arguments hold a NUL byte, which no command can take: remove it")
	}
	words, err := SplitArgs(text)
	if err != nil {
		return nil, err
	}
	var args []string
	for _, word := range words {
		v, err := ExpandText(word, c)
		if err != nil {
			return nil, err
		}
		if ref, ok := parseReference(word); ok && ref.unquoted() && ref.size == len(word) {
			parts, err := SplitArgs(v)
			if err != nil { // does not show the value, which may be a secret
				return nil, fmt.Errorf("the value of %s has a quote that is never closed: close it, or double it inside other quotes", ref)
			}
			args = append(args, parts...)
			continue
		}
		args = append(args, v)
	}
	return args, nil
}

// ExpandText puts values into a text that no shell will read, as they are.
func ExpandText(text string, c Context) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		out.WriteString(text[:i])
		text = text[i:]
		ref, ok := parseReference(text)
		if !ok {
			out.WriteString("${")
			text = text[2:]
			continue
		}
		v, err := c.value(ref)
		if err != nil {
			return "", err
		}
		out.WriteString(v)
		text = text[ref.size:]
	}
}
