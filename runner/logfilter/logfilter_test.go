package logfilter_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/logfilter"
)

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func chain(t fataler, level string, defs ...logfilter.Definition) *logfilter.Chain {
	t.Helper()
	c, err := logfilter.New(defs, level)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run filters pieces of a stream and returns what comes out, and what was captured.
func run(t fataler, c *logfilter.Chain, stream wire.Stream, pieces ...string) (string, map[string]string) {
	t.Helper()
	var out bytes.Buffer
	s := c.Stream(stream, func(p []byte, _ bool) error { out.Write(p); return nil })
	for _, p := range pieces {
		if err := s.Write([]byte(p), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), s.Data()
}

func def(kind string, config ...string) logfilter.Definition {
	d := logfilter.Definition{Type: kind, Config: map[string]string{}}
	for i := 0; i < len(config); i += 2 {
		d.Config[config[i]] = config[i+1]
	}
	return d
}

func TestFilters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		level string
		defs  []logfilter.Definition
		in    string
		want  string
		data  map[string]string
	}{
		{"none", "INFO", nil, "a\nb", "a\nb", nil},
		{"mask-passwords changes nothing", "INFO", []logfilter.Definition{def("mask-passwords")}, "a\nb", "a\nb", nil},
		{
			"captures by Rundeck's pattern", "INFO",
			[]logfilter.Definition{def("key-value-data")},
			"hi\nRUNDECK:DATA:version = 1.2.3\r\nRUNDECK:DATA: a key=x\n RUNDECK:DATA:no=1\nRUNDECK:DATA:k{1}=v",
			"hi\nRUNDECK:DATA:version = 1.2.3\r\nRUNDECK:DATA: a key=x\n RUNDECK:DATA:no=1\nRUNDECK:DATA:k{1}=v",
			map[string]string{"version": "1.2.3", "k_1_": "v"},
		},
		{
			"the last value counts, and is logged", "INFO",
			[]logfilter.Definition{def("key-value-data", "regex", `^(\w+): (.*)$`, "logData", "true")},
			"a: 1\nb: 2\na: 3\n", "a: 1\nb: 2\na: 3\n{\"a\":\"3\",\"b\":\"2\"}\n",
			map[string]string{"a": "3", "b": "2"},
		},
		{
			"one group with a name", "INFO",
			[]logfilter.Definition{def("key-value-data", "regex", `id=(\d+)`, "name", "id", "matchSubstrings", "true")},
			"created id=17 now\n", "created id=17 now\n",
			map[string]string{"id": "17"},
		},
		{"whole lines only", "INFO", []logfilter.Definition{def("key-value-data", "regex", `(\w+)=(\w+)`)}, "see a=b\n", "see a=b\n", nil},
		{
			"all matches of a line", "INFO",
			[]logfilter.Definition{def("key-value-data", "regex", `(\w+)=(\w+)`, "allowMultipleMatches", "true")},
			"see a=b c=d\n", "see a=b c=d\n",
			map[string]string{"a": "b", "c": "d"},
		},
		{
			"values of several lines", "INFO",
			[]logfilter.Definition{def("key-value-data-multilines", "regex", `^BEGIN (\w+)\n(.+?)\nEND$`, "captureMultipleKeysValues", "true", "hideOutput", "true")},
			"BEGIN a\n1\n2\nEND\nBEGIN b\n3\nEND\n", "",
			map[string]string{"a": "1\n2", "b": "3"},
		},
		{"masks", "INFO", []logfilter.Definition{def("mask-log-output-regex", "regex", `token=\S+`)}, "x token=abc y\nno", "x [SECURE] y\nno", nil},
		{
			"masks groups alone", "INFO",
			[]logfilter.Definition{def("mask-log-output-regex", "regex", `(?i)password: (\S+)`, "maskOnlyValue", "true", "replacement", "***")},
			"Password: abc Password: d\n", "Password: *** Password: ***\n", nil,
		},
		{
			"masks come before what captures", "INFO",
			[]logfilter.Definition{def("key-value-data"), def("mask-log-output-regex", "regex", "secret")},
			"RUNDECK:DATA:k=a secret\n", "RUNDECK:DATA:k=a [SECURE]\n",
			map[string]string{"k": "a [SECURE]"},
		},
		{
			"masks that overlap", "INFO",
			[]logfilter.Definition{def("mask-log-output-regex", "regex", "ab+"), def("mask-log-output-regex", "regex", "b+c", "replacement", "-")},
			"xabbcx\n", "x[SECURE]x\n", nil,
		},
		{"quiets what matches", "INFO", []logfilter.Definition{def("quiet-output", "regex", "^debug")}, "debug 1\nx\ndebug 2", "x\n", nil},
		{"quiets the rest", "INFO", []logfilter.Definition{def("quiet-output", "regex", "^debug", "matchLines", "false")}, "debug 1\nx\n", "debug 1\n", nil},
		{"inverted", "INFO", []logfilter.Definition{def("quiet-output", "regex", "^debug", "invert", "true")}, "debug 1\nx\n", "debug 1\n", nil},
		{"quiets all", "INFO", []logfilter.Definition{def("quiet-output")}, "a\nb\n", "", nil},
		{"a verbose job keeps it", "VERBOSE", []logfilter.Definition{def("quiet-output", "regex", "^debug")}, "debug 1\nx\n", "debug 1\nx\n", nil},
		{"but not what is for debug", "VERBOSE", []logfilter.Definition{def("quiet-output", "loglevel", "debug")}, "x\n", "", nil},
		{
			"highlights", "INFO",
			[]logfilter.Definition{def("highlight-output", "regex", "err", "fgcolor", "light_red", "bgcolor", "white", "mode", "bold")},
			"an err, err\n", "an \x1b[1;47;91merr\x1b[0m, \x1b[1;47;91merr\x1b[0m\n", nil,
		},
		{"highlights groups", "INFO", []logfilter.Definition{def("highlight-output", "regex", `x=(\d)`, "fgcolor", "green")}, "x=1 2\n", "x=\x1b[32m1\x1b[0m 2\n", nil},
		{
			"marks a type", "INFO",
			[]logfilter.Definition{def("render-datatype", "datatype", "application/json")},
			"{}\n", "#BEGIN:RUNDECK:DATATYPE:application/json\n{}\n#END:RUNDECK:DATATYPE\n", nil,
		},
		{"leaves marks", "INFO", []logfilter.Definition{def("render-datatype")}, "#BEGIN:RUNDECK:DATATYPE:text/csv\n1,2\n#END:RUNDECK:DATATYPE\n", "#BEGIN:RUNDECK:DATATYPE:text/csv\n1,2\n#END:RUNDECK:DATATYPE\n", nil},
		{
			"one after the other", "INFO",
			[]logfilter.Definition{def("quiet-output", "regex", "b"), def("key-value-data", "regex", `(\w)=(\w+)`), def("highlight-output", "regex", "=")},
			"a=1\nb=2\n", "a\x1b[1m=\x1b[0m1\n",
			map[string]string{"a": "1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := chain(t, tt.level, tt.defs...)
			for _, pieces := range [][]string{{tt.in}, strings.Split(tt.in, "")} {
				got, data := run(t, c, wire.Stdout, pieces...)
				if got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if diff := cmp.Diff(tt.data, data); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// Of stderr nothing is captured; the runner's own words are masked and no more.
func TestStreams(t *testing.T) {
	t.Parallel()
	c := chain(t, "INFO", def("key-value-data"), def("mask-log-output-regex", "regex", "secret"), def("quiet-output"))
	if out, data := run(t, c, wire.Stderr, "RUNDECK:DATA:a=b\n"); out != "" || data != nil {
		t.Errorf("stderr: %q %v", out, data)
	}
	if out, _ := run(t, c, wire.System, "running secret\n"); out != "running [SECURE]\n" {
		t.Errorf("system: %q", out)
	}
}

// A mask finds what is split over any writes and any windows of a long line.
func TestMaskInLongLines(t *testing.T) {
	t.Parallel()
	c := chain(t, "INFO", def("mask-log-output-regex", "regex", `key-[0-9]{30}`))
	rapid.Check(t, func(t *rapid.T) {
		secret := "key-" + strings.Repeat("7", 30)
		gaps := rapid.SliceOfN(rapid.IntRange(0, 300<<10), 1, 6).Draw(t, "gaps")
		var in, want strings.Builder
		for _, n := range gaps {
			in.WriteString(strings.Repeat(".", n) + secret)
			want.WriteString(strings.Repeat(".", n) + "[SECURE]")
		}
		in.WriteString(".\n")
		want.WriteString(".\n")
		text, size := in.String(), rapid.IntRange(1000, 100_000).Draw(t, "size")
		var pieces []string
		for len(text) > 0 {
			n := min(size, len(text))
			pieces, text = append(pieces, text[:n]), text[n:]
		}
		if got, _ := run(t, c, wire.Stdout, pieces...); got != want.String() {
			t.Fatalf("gaps %v: %d bytes came out, want %d", gaps, len(got), want.Len())
		}
	})
}

// What a mask finds up to where a long line is cut may go on: then all of the rest is
// hidden, and the next line is not.
func TestMaskWithoutEnd(t *testing.T) {
	t.Parallel()
	c := chain(t, "INFO", def("mask-log-output-regex", "regex", `token .*`))
	got, _ := run(t, c, wire.Stdout, "a token "+strings.Repeat("x", 1<<20)+"\nb\n")
	if got != "a [SECURE]\nb\n" {
		t.Errorf("%d bytes came out: %.40q", len(got), got)
	}
}

// Of captured values no more is held than a record takes, and a little.
func TestCaptureIsBounded(t *testing.T) {
	t.Parallel()
	c := chain(t, "INFO", def("key-value-data", "regex", `(\w+)=(\w+)`))
	var in strings.Builder
	for i := range 1000 {
		in.WriteString(strings.Repeat("k", i+1) + "=" + strings.Repeat("v", 1000) + "\n")
	}
	_, data := run(t, c, wire.Stdout, in.String())
	size := 0
	for k, v := range data {
		size += len(k) + len(v)
	}
	if size <= wire.MaxRecordData || size > wire.MaxRecordData+4096 {
		t.Errorf("%d bytes are held", size)
	}
}

func TestWrongFilters(t *testing.T) {
	t.Parallel()
	for _, d := range []logfilter.Definition{
		def("killhandler"), def("mask-log-output-regex"), def("mask-log-output-regex", "regex", "("), def("highlight-output"),
		def("highlight-output", "regex", "a", "fgcolor", "pink"), def("highlight-output", "regex", "a", "mode", "loud"),
		def("key-value-data", "regex", "a"), def("key-value-data", "regex", "a(.)"), def("key-value-data", "invalidKeyPattern", "["),
		def("quiet-output", "loglevel", "LOUD"), def("quiet-output", "regex", "a(?=b)"),
	} {
		if _, err := logfilter.New([]logfilter.Definition{d}, "INFO"); err == nil {
			t.Errorf("%+v is taken", d)
		}
	}
}

// FuzzFilters: whatever a command prints, in whatever pieces, the filters give the same.
func FuzzFilters(f *testing.F) {
	f.Add([]byte("RUNDECK:DATA:a=b\nsecret\r\nx"), uint8(3))
	c := chain(f, "INFO",
		def("key-value-data", "logData", "true"), def("mask-log-output-regex", "regex", `se\w+t|[0-9]+$`), def("quiet-output", "regex", "^q"),
		def("key-value-data-multilines", "regex", `(a)\n(b)`), def("highlight-output", "regex", "x+"), def("render-datatype", "datatype", "t"))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		whole, data := run(t, c, wire.Stdout, string(in))
		var pieces []string
		for rest := string(in); rest != ""; {
			n := min(int(size)+1, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		split, again := run(t, c, wire.Stdout, pieces...)
		if whole != split {
			t.Errorf("whole %q, split %q", whole, split)
		}
		if diff := cmp.Diff(data, again); diff != "" {
			t.Error(diff)
		}
	})
}
