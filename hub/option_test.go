package hub_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
)

func optionJob() *hub.Job {
	return &hub.Job{Group: "ops", Name: "deploy", Options: []hub.Option{
		{Name: "env", Value: "staging", Values: []string{"staging", "prod"}, Enforced: true, Required: true},
		{Name: "version", Regex: `\d+(\.\d+)*`},
		{Name: "hosts", Multivalued: true, Delimiter: "+", Regex: "[a-z0-9]+"},
		{Name: "note"},
		{Name: "password", Secure: true, ValueExposed: true, Required: true, Regex: ".{4,}"},
		{Name: "key", Secure: true, Required: true, StoragePath: "keys/a"},
	}}
}

func TestResolveOptions(t *testing.T) {
	t.Parallel()
	plain, secure, err := optionJob().ResolveOptions(map[string]string{
		"version": "1.20", "hosts": "a+b2", "note": "it's\n", "password": "s3cret",
	})
	if err != nil {
		t.Fatal(err)
	}
	wantPlain := map[string]string{"env": "staging", "version": "1.20", "hosts": "a+b2", "note": "it's\n"}
	if diff := cmp.Diff(wantPlain, plain); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"password": "s3cret"}, secure); diff != "" {
		t.Error(diff)
	}
}

func TestResolveOptionsTellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := optionJob().ResolveOptions(map[string]string{
		"env": "dev", "version": "1.x", "hosts": "a+B", "note": "a\x00b", "password": "abc", "nope": "1",
	})
	var e *hub.Error
	if !errors.As(err, &e) || e.Code != hub.CodeInvalid {
		t.Fatalf("got %v", err)
	}
	want := map[string]string{
		"options.env": "allowed are staging, prod", "options.version": `"1.x" does not match`, "options.hosts": `"B" does not match`,
		"options.note": "NUL", "options.password": "does not match", "options.nope": "no such option; it has env,",
	}
	for _, f := range e.Fields {
		if !strings.Contains(f.Message, want[f.Path]) || want[f.Path] == "" {
			t.Errorf("%s: %s", f.Path, f.Message)
		}
		if strings.Contains(f.Message, "abc") {
			t.Errorf("%s shows a secure value: %s", f.Path, f.Message)
		}
		delete(want, f.Path)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	if !strings.Contains(e.Message, "ops/deploy") {
		t.Errorf("message %q names no job", e.Message)
	}
}

func TestResolveOptionsEdges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		option hub.Option
		given  map[string]string
		ok     bool
	}{
		{"required and missing", hub.Option{Name: "o", Required: true}, nil, false},
		{"required and blank", hub.Option{Name: "o", Value: "d", Required: true}, map[string]string{"o": ""}, false},
		{"enforced, optional and blank", hub.Option{Name: "o", Enforced: true, Values: []string{"a"}}, nil, true},
		{"multivalued and enforced", hub.Option{Name: "o", Multivalued: true, Enforced: true, Values: []string{"a", "b"}}, map[string]string{"o": "a,b"}, true},
		{"one of several not allowed", hub.Option{Name: "o", Multivalued: true, Enforced: true, Values: []string{"a", "b"}}, map[string]string{"o": "a,c"}, false},
		{"a pattern matches whole values only", hub.Option{Name: "o", Regex: "a|b"}, map[string]string{"o": "ab"}, false},
		{"a pattern cannot end its own anchor", hub.Option{Name: "o", Regex: "a)|(?:.*"}, map[string]string{"o": "x"}, false},
		{"a newline is no end", hub.Option{Name: "o", Regex: "[a-z]+"}, map[string]string{"o": "a\n"}, false},
		{"a pattern of Java alone", hub.Option{Name: "o", Regex: "(?!x).*"}, map[string]string{"o": "a"}, false},
		{"a slow pattern", hub.Option{Name: "o", Regex: "(a+)+$"}, map[string]string{"o": strings.Repeat("a", 100_000) + "b"}, false},
		{"too large", hub.Option{Name: "o"}, map[string]string{"o": strings.Repeat("a", hub.MaxOptionBytes+1)}, false},
		{"large", hub.Option{Name: "o"}, map[string]string{"o": strings.Repeat("a", hub.MaxOptionBytes)}, true},
		{"too large for a grant", hub.Option{Name: "o", Secure: true}, map[string]string{"o": strings.Repeat("a", hub.MaxSecureOptionBytes+1)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			job := &hub.Job{Name: "j", Options: []hub.Option{test.option}}
			if _, _, err := job.ResolveOptions(test.given); (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	good := map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 90s ": 90 * time.Second, "6h 30m": 6*time.Hour + 30*time.Minute,
		"1d12h": 36 * time.Hour, "2w": 14 * 24 * time.Hour, "1y": 365 * 24 * time.Hour, "1m 5": 65 * time.Second,
	}
	for text, want := range good {
		if got, err := hub.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "1x", "h", "-5", "1.5h", "999999999999999999999", "300y", "10h h", "5 minutes"} {
		if got, err := hub.ParseDuration(text); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestFormatDurationIsReadBack(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, time.Second, 90 * time.Second, time.Hour, 36*time.Hour + 5*time.Second, 400 * 24 * time.Hour} {
		if got, err := hub.ParseDuration(hub.FormatDuration(d)); err != nil || got != d {
			t.Errorf("%v became %v, %v", d, got, err)
		}
	}
}

func TestExpandOptionsThreadsAndTimeout(t *testing.T) {
	t.Parallel()
	options := map[string]string{"n": " 5 ", "t": "2m"}
	threads := map[string]int{"": 1, "3": 3, "${option.n}": 5}
	for text, want := range threads {
		if got, err := (&hub.Dispatch{Threadcount: text}).Threads(options); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "-1", "x", "${option.t}", "${option.nope}", "${option.n", "99999999999"} {
		if got, err := (&hub.Dispatch{Threadcount: text}).Threads(options); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	if got, err := (&hub.Job{Timeout: "${option.t} 30s"}).ResolveTimeout(options); err != nil || got != 150*time.Second {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("6h 30m")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := hub.ParseDuration(text)
		if err == nil && d < 0 {
			t.Errorf("%q is %v", text, d)
		}
	})
}
