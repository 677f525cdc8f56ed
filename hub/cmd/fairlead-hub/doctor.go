package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/config"
)

// doctorTime bounds each check: one that waits longer has found something.
const doctorTime = 20 * time.Second

// finding is one line of doctor.
type finding struct {
	level string // ok, warn or fail
	text  string
	// todo is what to do about it, "" if nothing.
	todo string
}

func fine(format string, args ...any) finding {
	return finding{level: "ok", text: fmt.Sprintf(format, args...)}
}

func warn(todo, format string, args ...any) finding {
	return finding{level: "warn", text: fmt.Sprintf(format, args...), todo: todo}
}

func fail(todo, format string, args ...any) finding {
	return finding{level: "fail", text: fmt.Sprintf(format, args...), todo: todo}
}

// failed makes a finding of an error, whose message says what to do by itself.
func failed(err error) finding {
	if coded, ok := errors.AsType[*hub.Error](err); ok {
		f := fail("", "%s", coded.Message)
		if coded.Cause != nil {
			f.text += " (" + coded.Cause.Error() + ")"
		}
		return f
	}
	return fail("", "%v", err)
}

// check is one thing that doctor looks at. What it makes to see whether it can is gone after it.
type check struct {
	name string
	run  func(context.Context, *config.Config) []finding
}

func checks() []check {
	return []check{
		{"data directory", checkDataDir},
		{"disk", checkDisk},
		{"master key", checkMasterKey},
		{"certificate", checkCertificate},
		{"listeners", checkListeners},
		{"public URL", checkPublicURL},
		{"database", checkDatabase},
		{"schema", checkSchemaVersion},
		{"archive", checkArchive},
	}
}

// doctor runs all checks, also behind one that fails, and tells each.
func (p *program) doctor(c *cobra.Command, _ []string) error {
	cfg, _, err := p.load(c)
	if err != nil {
		p.tell("configuration", failed(err))
		if coded, ok := errors.AsType[*hub.Error](err); ok {
			for _, f := range coded.Fields {
				p.tell("configuration", fail("", "%s: %s", f.Path, f.Message))
			}
		}
		return hub.Errorf(hub.CodeConflict, "The configuration cannot be used; nothing else was looked at.")
	}
	p.tell("configuration", fine("read; `fairlead-hub config show` tells each value and its source"))
	failures := 0
	for _, check := range checks() {
		ctx, cancel := context.WithTimeout(c.Context(), doctorTime)
		for _, f := range check.run(ctx, cfg) {
			p.tell(check.name, f)
			if f.level == "fail" {
				failures++
			}
		}
		cancel()
	}
	if failures > 0 {
		return hub.Errorf(hub.CodeConflict, "Found %d that must be put right; see the lines that begin with fail.", failures)
	}
	return nil
}

func (p *program) tell(name string, f finding) {
	_, _ = fmt.Fprintf(p.env.stdout, "%-4s  %-14s  %s\n", f.level, name, f.text)
	if f.todo != "" {
		_, _ = fmt.Fprintf(p.env.stdout, "%-4s  %-14s  -> %s\n", "", "", f.todo)
	}
}
