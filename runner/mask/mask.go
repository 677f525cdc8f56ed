// Package mask keeps secrets out of what is stored: it replaces every secret in a
// stream of output, also one that is split over several writes, and also in the forms
// in which programs like to print values (base64, URL, JSON, shell quoting, hex).
package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Replacement stands where a secret stood. Neighbouring secrets share one, so that
// their lengths and number are not told.
const Replacement = "*****"

// minEncoded is the shortest secret that is also looked for in encoded forms, and
// minLine the shortest line of a secret with several lines that counts by itself:
// shorter ones would match half of any output. Nor are encoded texts below minWrapped
// looked for with line breaks in them: they would match where two lines meet by chance.
const (
	minEncoded = 4
	minLine    = 8
	minWrapped = 8
)

// Masker knows the secrets of one attempt. It is immutable, so that all streams of the
// attempt share it. The zero value and nil mask nothing.
type Masker struct {
	m *machine
	// runs finds base64, also with line breaks in it; nil: no secret is long enough.
	runs *machine
}

// New makes a masker for the secrets; empty ones are left out. A line break at a
// secret's end does not count as part of it, since files end in one and output may not.
func New(secrets [][]byte) *Masker {
	var patterns, runs [][]byte
	for _, secret := range secrets {
		secret = bytes.TrimRight(secret, "\r\n")
		patterns = append(patterns, forms(secret)...)
		for _, form := range base64Forms(secret) {
			if len(form) < minWrapped {
				patterns = append(patterns, form)
			} else {
				runs = append(runs, form)
			}
		}
	}
	m := &Masker{}
	if len(patterns) > 0 {
		m.m = build(patterns)
	}
	if len(runs) > 0 {
		m.runs = build(runs)
	}
	return m
}

// Writer makes a writer for one stream. It calls dst with masked bytes, which alias
// memory of the writer and hold only during the call.
func (m *Masker) Writer(dst func([]byte) error) *Writer {
	return m.MarkedWriter(func(p []byte, _ bool) error { return dst(p) })
}

// Text returns s with every secret replaced.
func (m *Masker) Text(s string) string {
	var out strings.Builder
	w := m.Writer(func(p []byte) error {
		out.Write(p)
		return nil
	})
	_, _ = w.Write([]byte(s)) // fails only if the writer's own function does
	_ = w.Flush()
	return out.String()
}

// MarkedWriter is Writer, with a word for each piece whether it is a replacement.
func (m *Masker) MarkedWriter(dst func(p []byte, masked bool) error) *Writer {
	w := &Writer{dst: dst}
	if m != nil {
		w.m, w.runs = m.m, m.runs
	}
	return w
}

// forms lists how a secret may show up in output.
func forms(secret []byte) [][]byte {
	if len(secret) == 0 {
		return nil
	}
	out := [][]byte{secret}
	if len(secret) < minEncoded {
		return out
	}
	text := string(secret)
	query, path := url.QueryEscape(text), url.PathEscape(text)
	out = append(out,
		[]byte(query), lowerEscapes(query), []byte(path), lowerEscapes(path),
		[]byte(strings.ReplaceAll(text, "'", `'\''`)),
		[]byte(strings.ReplaceAll(text, "'", `'"'"'`)),
		[]byte(inDoubleQuotes.Replace(text)), ansiQuoted(secret, true), ansiQuoted(secret, false), backslashed(secret),
		[]byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret))))
	out = append(out, jsonForms(text)...)
	for line := range bytes.Lines(secret) {
		line = bytes.TrimSpace(line)
		// The fences of a PEM file are no secret and stand in every key's output.
		if len(line) >= minLine && len(line) < len(secret) && !bytes.HasPrefix(line, []byte("-----")) {
			out = append(out, line)
		}
	}
	return out
}

// inDoubleQuotes writes a value as it stands between a shell's double quotes.
var inDoubleQuotes = strings.NewReplacer(`\`, `\\`, "`", "\\`", `"`, `\"`, `$`, `\$`)

// ansiQuoted writes a value as it stands in $'...', which is how bash shows one in its own
// complaints and traces as soon as a byte of it cannot be printed. In the C locale those
// are all that are not ASCII.
func ansiQuoted(secret []byte, onlyASCII bool) []byte {
	var out []byte
	for _, b := range secret {
		at := strings.IndexByte("\a\b\x1b\f\n\r\t\v\\'", b)
		switch {
		case at >= 0:
			out = append(out, '\\', `abEfnrtv\'`[at])
		case b < ' ' || b == 0x7f || onlyASCII && b >= utf8.RuneSelf:
			out = fmt.Appendf(out, `\%03o`, b)
		default:
			out = append(out, b)
		}
	}
	return out
}

// backslashed writes a value as bash's printf %q does where all of it can be printed.
func backslashed(secret []byte) []byte {
	var out []byte
	for i, b := range secret {
		if strings.IndexByte(" !\"$&'()*,;<>?[\\]^`{|}", b) >= 0 || i == 0 && (b == '#' || b == '~') {
			out = append(out, '\\')
		}
		out = append(out, b)
	}
	return out
}

// lowerEscapes writes the hex digits of %XX in lower case, as many programs do.
func lowerEscapes(escaped string) []byte {
	out := []byte(escaped)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i:], bytes.ToLower(out[i:i+3]))
		}
	}
	return out
}

// jsonForms are JSON as Go writes it, as most others do (<, > and & as they are), and
// in ASCII alone, with hex digits of either case.
func jsonForms(text string) [][]byte {
	var out [][]byte
	if quoted, err := json.Marshal(text); err == nil {
		out = append(out, quoted[1:len(quoted)-1])
	}
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if enc.Encode(text) != nil {
		return out
	}
	quoted := bytes.TrimRight(plain.Bytes(), "\n")
	quoted = quoted[1 : len(quoted)-1]
	return append(out, quoted, asciiJSON(quoted, "%04x"), asciiJSON(quoted, "%04X"))
}

func asciiJSON(quoted []byte, hex string) []byte {
	var out []byte
	for _, r := range string(quoted) {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u`+hex, unit)
		}
	}
	return out
}

// base64Forms encodes the secret at each of the three positions it can have within a
// longer encoded text (user:secret), leaving out the characters that its neighbours
// share.
func base64Forms(secret []byte) [][]byte {
	if len(secret) < minEncoded {
		return nil
	}
	var out [][]byte
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		skip := [3]int{0, 2, 3}[shift] // characters that hold bits of what stands before
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString(padded)
			if len(padded)%3 != 0 {
				text = text[:len(text)-1] // holds bits of what follows
			}
			if len(text)-skip >= minEncoded {
				out = append(out, []byte(text[skip:]))
			}
		}
	}
	return out
}
