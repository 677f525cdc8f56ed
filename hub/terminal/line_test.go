package terminal_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub/terminal"
)

// shown is the text of a line alone, codes in brackets.
func shown(line string) string {
	runs, _ := terminal.Line([]byte(line), terminal.Style{})
	var b strings.Builder
	for _, r := range runs {
		if r.Code {
			b.WriteString("[" + r.Text + "]")
			continue
		}
		b.WriteString(r.Text)
	}
	return b.String()
}

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                  "plain",
		"dos\r":                  "dos",
		"10%\r50%\r100%":         "100%",
		"long line\rshort":       "shortline",
		"long line\r\x1b[Kshort": "short",
		"wait -\b\\\b|":          "wait |",
		"abc\b\b\b\b\bx":         "xbc",
		"ab\x1b[2K\rc":           "c",
		"abcdef\x1b[3Dx\x1b[1K":  "     f",
		"a\x1b[5Cb":              "a     b",
		"abc\x1b[1Gx":            "xbc",
		"a\tb":                   "a       b",
		"e\u0301\bx":             "x",
		"a\x1b[999999999Cb":      "a" + strings.Repeat(" ", 999) + "b",
		"\x1b]0;title\x07a":      "a",
		"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\": "link",
		"\x1b[?1049h\x1b[2J\x1b[10;3Hx\x1bc":          "x",
		"\x1b]52;c;aGk=\x07\x1bP$q\x1b\\x":            "x",
		"open \x1b]0;never ends":                      "open 0;never ends",
		"\x1b":                                        "",
		"\x1b[31":                                     "31",
		"bell\x07":                                    "bell[\u2407]",
		"\u202eevil\u200b\u0085":                      "[U+202E]evil[U+200B][U+0085]",
		"bad \xff byte":                               "bad \ufffd byte",
		"<b>&amp;":                                    "<b>&amp;",
		"\u65e5\u672c \U0001f44d":                     "\u65e5\u672c \U0001f44d",
	} {
		if got := shown(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want terminal.Style
	}{
		{"\x1b[1;31mx", terminal.Style{Bold: true, Foreground: 2}},
		{"\x1b[1;31m\x1b[mx", terminal.Style{}},
		{"\x1b[97;100mx", terminal.Style{Foreground: 16, Background: 9}},
		{"\x1b[38;5;196;4mx", terminal.Style{Foreground: 197, Underline: true}},
		{"\x1b[48;2;1;2;3mx", terminal.Style{Background: 1<<24 | 1<<16 | 2<<8 | 3}},
		{"\x1b[38:2::1:2:3;48:5:7mx", terminal.Style{Foreground: 1<<24 | 1<<16 | 2<<8 | 3, Background: 8}},
		{"\x1b[4:3m\x1b[4:0;9;7mx", terminal.Style{Strike: true, Inverted: true}},
		{"\x1b[38;5;999;3mx", terminal.Style{Italic: true}},
		{"\x1b[8m\x1b[5mx", terminal.Style{}},
	} {
		runs, after := terminal.Line([]byte(tt.in), terminal.Style{})
		if diff := cmp.Diff([]terminal.Run{{Text: "x", Style: tt.want}}, runs); diff != "" || after != tt.want {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
	if r, g, b := terminal.Colour(197).RGB(); r != 255 || g != 0 || b != 0 {
		t.Errorf("colour 196 is %d %d %d", r, g, b)
	}
	if runs, _ := terminal.Line([]byte("still"), terminal.Style{Bold: true}); !runs[0].Style.Bold {
		t.Error("a style that was left on is lost")
	}
}

// Whatever a program prints, what is shown is text and nothing that acts.
func FuzzLine(f *testing.F) {
	f.Add([]byte("a\x1b[31mb\rc\b\x1b[K\t\u202e\xff"))
	f.Fuzz(func(t *testing.T, line []byte) {
		runs, _ := terminal.Line(line, terminal.Style{})
		size := 0
		for _, r := range runs {
			size += len(r.Text)
			if !utf8.ValidString(r.Text) || strings.ContainsAny(r.Text, "\x1b\r\n\b\x00\u202e\u200b") {
				t.Errorf("%q shows %q", line, r.Text)
			}
		}
		if size > 4*(1000+8*len(line))+16 {
			t.Errorf("%d bytes became %d", len(line), size)
		}
		terminal.Plain(line)
	})
}
