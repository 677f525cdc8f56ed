package main

import (
	"bytes"
	"strings"
	"testing"
)

// A wrong call ends with 2 and says what is wrong, a call that failed with 5.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for line, want := range map[string]struct {
		code int
		says string
	}{
		"frobnicate":                 {exitUsage, `no command "frobnicate"`},
		"run --frobnicate":           {exitUsage, "unknown flag: --frobnicate"},
		"run now":                    {exitUsage, "takes no arguments"},
		"run --data-dir " + dir:      {exitOther, "enroll"},
		"version":                    {0, ""},
		"":                           {0, ""},
		"status --data-dir " + dir:   {exitOther, "not enrolled"},
		"--data-dir " + dir + " run": {exitOther, "enroll"},
	} {
		var out, errs bytes.Buffer
		p := &program{environ: []string{"HOME=" + dir}, stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
		c := p.command()
		c.SetArgs(strings.Fields(line))
		err := c.ExecuteContext(t.Context())
		if got := exitCode(err); got != want.code || err != nil && !strings.Contains(err.Error(), want.says) {
			t.Errorf("%q: exit %d, %v; want %d, %q", line, got, err, want.code, want.says)
		}
	}
}

// A setting that is not one of its choices is refused with the choices.
func TestSpoolFullIsAChoice(t *testing.T) {
	t.Parallel()
	for value, says := range map[string]string{"": "", "truncate": "", "backpressure": "", "drop": `backpressure or truncate, not "drop"`} {
		p := &program{environ: []string{"HOME=" + t.TempDir(), "FAIRLEAD_RUNNER_SPOOL_FULL=" + value}}
		_, err := p.load()
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", value, err, says)
		}
	}
}
