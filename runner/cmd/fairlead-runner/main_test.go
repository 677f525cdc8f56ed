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
		"frobnicate":            {exitUsage, `no command "frobnicate"`},
		"frobnicate --hub x":    {exitUsage, `no command "frobnicate"`},
		"run --frobnicate":      {exitUsage, "unknown flag: --frobnicate"},
		"run now":               {exitUsage, "takes no arguments"},
		"run --data-dir " + dir: {exitOther, "enroll"},
		"enroll --hub http://127.0.0.1:1 --token x --data-dir " + dir: {exitUsage, "not a whole enrolment token"},
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

// A mistyped variable, and an address that nobody can dial, are told at the start.
func TestEnvironmentIsChecked(t *testing.T) {
	t.Parallel()
	for entry, says := range map[string]string{
		"FAIRLEAD_RUNNER_SLOT=3":                               "did you mean FAIRLEAD_RUNNER_SLOTS?",
		"FAIRLEAD_RUNNER_DRAIN_TIMEOT=3s":                      "did you mean FAIRLEAD_RUNNER_DRAIN_TIMEOUT?",
		"FAIRLEAD_RUNNER_DRAIN_TIMEOT=":                        "",
		"FAIRLEAD_RUNNER_TOKEN=x":                              "",
		"FAIRLEAD_RUNNER_HUB=https://hub":                      "",
		"FAIRLEAD_RUNNER_SERVICE_HOST=10.0.0.1":                "",
		"FAIRLEAD_RUNNER_PORT=tcp://10.0.0.1:80":               "",
		"FAIRLEAD_RUNNER_GATEWAYS=hub1.example:8441,[::1]:443": "",
		"FAIRLEAD_RUNNER_GATEWAYS=hub1.example":                `"hub1.example" is not host:port`,
		"FAIRLEAD_RUNNER_GATEWAYS=hub1.example:99999":          "is not host:port",
		"FAIRLEAD_RUNNER_GATEWAYS=https://hub1.example:8441":   "is not host:port",
	} {
		p := &program{environ: []string{"HOME=" + t.TempDir(), entry}}
		_, err := p.load()
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || exitCode(err) != exitUsage) {
			t.Errorf("%s: %v, want %q", entry, err, says)
		}
	}
}
