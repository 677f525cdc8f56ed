// Package mask keeps secrets out of what is stored: it replaces every secret in a
// stream of output, also one that is split over several writes, and also in the forms
// in which programs like to print values (base64, URL, JSON, shell quoting, hex).
package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// Replacement stands where a secret stood. Neighbouring secrets share one, so that
// their lengths and number are not told.
const Replacement = "*****"

// minEncoded is the shortest secret that is also looked for in encoded forms, and
// minLine the shortest line of a secret with several lines that counts by itself:
// shorter ones would match half of any output.
const (
	minEncoded = 4
	minLine    = 8
)

// Masker knows the secrets of one attempt. It is immutable, so that all streams of the
// attempt share it. The zero value and nil mask nothing.
type Masker struct {
	m *machine
}

// New makes a masker for the secrets; empty ones are left out. A line break at a
// secret's end does not count as part of it, since files end in one and output may not.
func New(secrets [][]byte) *Masker {
	var patterns [][]byte
	for _, secret := range secrets {
		patterns = append(patterns, forms(secret)...)
	}
	if len(patterns) == 0 {
		return &Masker{}
	}
	return &Masker{m: build(patterns)}
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
		w.m = m.m
	}
	return w
}

// forms lists how a secret may show up in output.
func forms(secret []byte) [][]byte {
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 {
		return nil
	}
	out := [][]byte{secret}
	if len(secret) < minEncoded {
		return out
	}
	text := string(secret)
	out = append(out,
		[]byte(url.QueryEscape(text)), []byte(url.PathEscape(text)),
		[]byte(strings.ReplaceAll(text, "'", `'\''`)),
		[]byte(strings.ReplaceAll(text, "'", `'"'"'`)),
		[]byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret))))
	if quoted, err := json.Marshal(text); err == nil {
		out = append(out, quoted[1:len(quoted)-1])
	}
	var plain bytes.Buffer // JSON as most others write it: <, > and & as they are
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if enc.Encode(text) == nil {
		quoted := bytes.TrimRight(plain.Bytes(), "\n")
		out = append(out, quoted[1:len(quoted)-1])
	}
	out = append(out, base64Forms(secret)...)
	for line := range bytes.Lines(secret) {
		line = bytes.TrimSpace(line)
		// The fences of a PEM file are no secret and stand in every key's output.
		if len(line) >= minLine && len(line) < len(secret) && !bytes.HasPrefix(line, []byte("-----")) {
			out = append(out, line)
		}
	}
	return out
}

// base64Forms encodes the secret at each of the three positions it can have within a
// longer encoded text (user:secret), leaving out the characters that its neighbours
// share.
func base64Forms(secret []byte) [][]byte {
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
