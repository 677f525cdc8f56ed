//go:build failpoints

package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/runner/stepdir"
	"github.com/fairlead/fairlead/runner/task"
)

// shimWith starts a shim that breaks a rule or dies at a point.
func shimWith(t *testing.T, env ...string) *Executor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shim")
	text := "#!/bin/sh\n" + strings.Join(env, " ") + " exec '" + os.Args[0] + "' " + ShimCommand + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Dir: t.TempDir(), Shim: []string{path}, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// startsTwice kills the shim at its point, recovers as a runner does, prepares the
// step anew where that is allowed, and counts the starts.
func startsTwice(t *testing.T, e *Executor) int {
	t.Helper()
	counter := filepath.Join(t.TempDir(), "count")
	c := newCommand("echo x >>" + counter)
	p, err := e.Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	end := p.Run(t.Context(), newRecorder())
	if end.NotStarted {
		again := newExecutor(t, e.config.Dir)
		if p, err := again.Prepare(t.Context(), c); err == nil {
			p.Run(t.Context(), newRecorder())
		}
	}
	text, _ := os.ReadFile(counter)
	return strings.Count(string(text), "x")
}

// A shim that is killed between a script and its start leaves nothing of the script.
func TestShimDiesBehindItsScript(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(e *Executor, c *task.Command) error{
		"at once": func(*Executor, *task.Command) error { return nil },
		"at the runner's restart": func(e *Executor, c *task.Command) error {
			_, found, err := e.Reattach(t.Context(), c, task.Offsets{})
			if found {
				t.Error("it was found, though it never started")
			}
			return err
		},
		"with the attempt": func(e *Executor, c *task.Command) error { return e.Forget(t.Context(), c.AttemptID) },
		"when it is prepared anew": func(e *Executor, c *task.Command) error {
			_, err := e.Prepare(t.Context(), c)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := shimWith(t, "FAIRLEAD_FAILPOINT=shim.script")
			c := newCommand("", func(c *task.Command) { c.Script = &task.Script{Text: "echo x"} })
			p, err := e.Prepare(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			own := p.(*process)
			if name == "at once" {
				if end := p.Run(t.Context(), newRecorder()); !end.NotStarted {
					t.Errorf("got %+v", end)
				}
			} else { // the runner is killed, too
				if err := own.shim.Send(toShim{Run: own.request}); err != nil {
					t.Fatal(err)
				}
				for range own.shim.messages {
					t.Error("the shim lives")
				}
				if _, err := os.Stat(own.request.ScriptPath); err != nil {
					t.Fatalf("there is no script to be removed: %v", err)
				}
			}
			if err := then(newExecutor(t, e.config.Dir), c); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Dir(own.request.ScriptPath)); err == nil {
				t.Errorf("%s is still there", own.request.ScriptPath)
			}
		})
	}
}

func TestShimDiesAtItsPoints(t *testing.T) {
	t.Parallel()
	for point, want := range map[string]int{"shim.locked": 1, "shim.started": 0, "shim.exited": 1} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			if got := startsTwice(t, shimWith(t, "FAIRLEAD_FAILPOINT="+point)); got != want {
				t.Errorf("%d starts, want %d", got, want)
			}
		})
	}
}

// TestMutantM2 breaks "started is written before the start": a step starts twice.
func TestMutantM2(t *testing.T) {
	t.Parallel()
	const tries = 20 // the first start must act before the shim dies at its point
	for range tries {
		if startsTwice(t, shimWith(t, "FAIRLEAD_MUTANT=M2", "FAIRLEAD_FAILPOINT=shim.started")) == 2 {
			return
		}
	}
	t.Error("no second start was seen: the tests above prove nothing")
}

// TestMutantM10 breaks lock and tombstone: a late shim starts what was given up.
func TestMutantM10(t *testing.T) {
	t.Parallel()
	for _, mutant := range []string{"", "M10"} {
		e := shimWith(t, "FAIRLEAD_MUTANT="+mutant)
		c := newCommand("")
		if _, found, err := e.Reattach(t.Context(), c, task.Offsets{}); found || err != nil {
			t.Fatalf("got %v %v", found, err)
		}
		dir := filepath.Join(e.config.Dir, stepName(c.AttemptID, c.Cell))
		shim, err := e.pool.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := shim.Send(toShim{Run: &request{Dir: dir, Argv: []string{"/bin/touch", dir + "/ran"}, WorkDir: "/"}}); err != nil {
			t.Fatal(err)
		}
		receive(t, "the shim's word", shim.messages)
		if ran := stepdir.Exists(dir, "ran"); ran != (mutant == "M10") {
			t.Errorf("mutant %q: ran %v", mutant, ran)
		}
	}
}
