package mask

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func run(t interface{ Fatal(...any) }, m *Masker, pieces ...string) string {
	var out bytes.Buffer
	w := m.Writer(func(p []byte) error { out.Write(p); return nil })
	for _, p := range pieces {
		if n, err := w.Write([]byte(p)); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriter(t *testing.T) {
	t.Parallel()
	pem := "-----BEGIN KEY-----\nMIIBVAIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
	tests := []struct {
		name    string
		secrets []string
		in      []string
		want    string
	}{
		{"none", nil, []string{"plain"}, "plain"},
		{"whole", []string{"hunter2"}, []string{"pw=hunter2;"}, "pw=*****;"},
		{"split", []string{"hunter2"}, []string{"pw=hun", "t", "er2", ";"}, "pw=*****;"},
		{"start only", []string{"hunter2"}, []string{"hunt", "er!"}, "hunter!"},
		{"held at the end", []string{"hunter2"}, []string{"hunter"}, "hunter"},
		{"false start", []string{"aab"}, []string{"aaab"}, "a*****"},
		{"neighbours share", []string{"abc"}, []string{"abcabc."}, "*****."},
		{"overlap", []string{"abcd", "cdef"}, []string{"abcdef."}, "*****."},
		{"hole between", []string{"ab", "cd"}, []string{"ab-cd"}, "*****-*****"},
		{"longest", []string{"pass", "password"}, []string{"password1"}, "*****1"},
		{"inner of a longer start", []string{"bc", "abcde"}, []string{"abcdx"}, "a*****dx"},
		{"one byte", []string{"7"}, []string{"1 7 77"}, "1 ***** *****"},
		{"line break at the end", []string{"token\n"}, []string{"token"}, "*****"},
		{"url", []string{"a b&c"}, []string{url.QueryEscape("a b&c"), " ", url.PathEscape("a b&c")}, "***** *****"},
		{"json", []string{`a"b<c`}, []string{`"a\"b<c" "a\"b\u003cc"`}, `"*****" "*****"`},
		{"shell", []string{"it's"}, []string{`'it'\''s' `, `'it'"'"'s'`}, `'*****' '*****'`},
		{"url, lower case", []string{"a/b=c%"}, []string{"a%2fb%3dc%25 a%2fb=c%25"}, "***** *****"},
		{"json in ASCII", []string{`pä"ß😀`}, []string{`"p\u00e4\"\u00df\ud83d\ude00" "p\u00E4\"\u00DF\uD83D\uDE00"`}, `"*****" "*****"`},
		{"double quotes", []string{"a\"b$c`d\\"}, []string{"\"a\\\"b\\$c\\`d\\\\\""}, `"*****"`},
		{"bash's complaint", []string{"it's ü\t\x1b"}, []string{`$'it\'s \303\274\t\E' `, `$'it\'s ü\t\E'`}, `$'*****' $'*****'`},
		{"bash's %q", []string{`it's "h" #~,x`}, []string{`it\'s\ \"h\"\ #~\,x`}, "*****"},
		{"hex", []string{"secret"}, []string{"736563726574 "}, "***** "},
		{"lines of a key", []string{pem}, []string{"-----BEGIN KEY-----\r\nMIIBVAIBADANBgkq\r\n"}, "-----BEGIN KEY-----\r\n*****\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var secrets [][]byte
			for _, s := range tt.secrets {
				secrets = append(secrets, []byte(s))
			}
			if got := run(t, New(secrets), tt.in...); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNilMaskerPassesAll(t *testing.T) {
	t.Parallel()
	var m *Masker
	if got := run(t, m, "as it is"); got != "as it is" {
		t.Errorf("got %q", got)
	}
}

// TestBase64AtAnyPosition: a secret inside a longer encoded text stays hidden but for
// the characters it shares with its neighbours.
func TestBase64AtAnyPosition(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", "u", "us", "usr:"} {
		for _, after := range []string{"", "\n", "ab", "abc"} {
			text := base64.StdEncoding.EncodeToString([]byte(before + "correct horse" + after))
			got := run(t, New([][]byte{[]byte("correct horse")}), text)
			if !strings.Contains(got, Replacement) || len(got) > len(text)-10 {
				t.Errorf("%q in %q: %q became %q", "correct horse", before+"…"+after, text, got)
			}
		}
	}
}

// TestNeverLeaks: however output is cut into writes, no secret survives, and what is
// left is the input with spans replaced.
// TestWrappedBase64 breaks base64 into lines of every length, as base64, openssl and
// mail do: at most the few characters in front of the first break are seen.
func TestWrappedBase64(t *testing.T) {
	t.Parallel()
	secret := "correct horse battery staple, and a tail"
	m := New([][]byte{[]byte(secret)})
	for _, before := range []string{"", "x", "user:", "a longer start than the others:"} {
		encoded := base64.StdEncoding.EncodeToString([]byte(before + secret + " and more of it"))
		for width := 5; width < len(encoded); width++ {
			for _, end := range []string{"\n", "\r\n"} {
				var wrapped strings.Builder
				for rest := encoded; rest != ""; {
					n := min(width, len(rest))
					wrapped.WriteString(rest[:n] + end)
					rest = rest[n:]
				}
				in := "first line\n" + wrapped.String() + "last line\n"
				got := run(t, m, strings.Split(in, "")...)
				if got != run(t, m, in) {
					t.Fatalf("split otherwise it is masked otherwise: %q", in)
				}
				shown := strings.NewReplacer("\n", "", "\r", "").Replace(got)
				shown = strings.TrimSuffix(strings.TrimPrefix(shown, "first line"), "last line")
				head, tail, found := strings.Cut(shown, Replacement)
				bits := base64Forms([]byte(secret))[2*(len(before)%3)]
				at := strings.Index(encoded, string(bits))
				if !found || strings.Contains(tail, Replacement) || len(head) > at+minRun-1 || len(tail) > len(encoded)-at-len(bits) {
					t.Fatalf("width %d, %q: %q", width, end, got)
				}
			}
		}
	}
	// A line break in front of a run is none of it.
	if got := run(t, m, "a\n"+base64.StdEncoding.EncodeToString([]byte(secret))+"\nb"); !strings.HasPrefix(got, "a\n*****") || !strings.HasSuffix(got, "\nb") {
		t.Errorf("got %q", got)
	}
	plain := "nothing\nto see\nY29y\n\n"
	if got := run(t, m, plain); got != plain {
		t.Errorf("%q became %q", plain, got)
	}
}

func TestNeverLeaks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ab]{1,6}`)
		secrets := rapid.SliceOfN(word, 1, 4).Draw(t, "secrets")
		text := rapid.StringMatching(`[abc]{0,60}`).Draw(t, "text")
		var raw [][]byte
		for _, s := range secrets {
			raw = append(raw, []byte(s))
		}
		m := New(raw)
		whole := run(t, m, text)
		for _, s := range secrets {
			if strings.Contains(whole, s) {
				t.Fatalf("%q is left in %q", s, whole)
			}
		}
		var pieces []string
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if got := run(t, m, pieces...); got != whole {
			t.Fatalf("in pieces %q: %q, in one %q", pieces, got, whole)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	m := New([][]byte{[]byte("correct horse battery staple"), bytes.Repeat([]byte("Zm9v"), 400)})
	line := bytes.Repeat([]byte("2026-11-22 INFO request served in 12 ms, status 200, path /\n"), 64)
	w := m.Writer(func([]byte) error { return nil })
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		_, _ = w.Write(line)
	}
}

// Passed says, for each piece, where in what was written it ends: what is not masked
// stands right before, and at the end all has passed.
func TestPassed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab]{1,6}`), 0, 3).Draw(t, "secrets")
		text := rapid.StringMatching(`[abc]{0,60}`).Draw(t, "text")
		var raw [][]byte
		for _, s := range secrets {
			raw = append(raw, []byte(s))
		}
		var w *Writer
		before := uint64(0)
		w = New(raw).MarkedWriter(func(p []byte, masked bool) error {
			end := w.Passed()
			if end < before || !masked && text[int(end)-len(p):end] != string(p) {
				t.Fatalf("%q (masked %v) ends at %d, after %d", p, masked, end, before)
			}
			before = end
			return nil
		})
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			_, _ = w.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		_ = w.Flush()
		if w.Passed() != uint64(len(text)) {
			t.Fatalf("%d of %d bytes passed", w.Passed(), len(text))
		}
	})
}
