package command

import (
	"errors"
	"strings"
)

// SplitArgs splits arguments at blanks. Quotes of either kind at the beginning of a
// word group what they hold; doubled inside they stand for one. Backslashes mean
// nothing. An unclosed quote reaches to the end.
func SplitArgs(text string) []string {
	var args []string
	for {
		text = strings.TrimLeft(text, " \t\r\n\f\v")
		if text == "" {
			return args
		}
		var arg string
		arg, text = cutArg(text)
		args = append(args, arg)
	}
}

// cutArg returns the first word of text, which begins with it, and the rest.
func cutArg(text string) (string, string) {
	var arg strings.Builder
	quote := text[0]
	if quote != '"' && quote != '\'' {
		quote = 0
	}
	inside := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote && inside && i+1 < len(text) && text[i+1] == quote:
			arg.WriteByte(c)
			i++
		case quote != 0 && c == quote:
			inside = !inside
		case !inside && strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			return arg.String(), text[i:]
		default:
			arg.WriteByte(c)
		}
	}
	return arg.String(), ""
}

// ExpandArgs splits an argument text and then expands each word: a value is part of
// one argument, whatever it holds, and arrives as it is. A word that is nothing but
// ${unquotedoption.x} is split again, as the author asked for.
func ExpandArgs(text string, c Context) ([]string, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, errors.New("the arguments hold a NUL byte, which no command can take: remove it")
	}
	var args []string
	for _, word := range SplitArgs(text) {
		v, err := ExpandText(word, c)
		if err != nil {
			return nil, err
		}
		if ref, ok := parseReference(word); ok && ref.unquoted() && ref.size == len(word) {
			args = append(args, SplitArgs(v)...)
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
