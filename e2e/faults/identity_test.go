package faults

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// A second process on the same data directory is refused; the first does not notice.
func TestSecondProcessOnDataDirectory(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true})
	w.job(1, true, "node-first", w.witnessStep(30, "0.1"))
	id := w.run()
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	for program, args := range map[string][]string{
		binaries.Runner: {"run", "--data-dir", w.runner.DataDir},
		binaries.Hub:    {"serve", "--data-dir", w.hub.DataDir, "--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0"},
	} {
		out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
		if err == nil || ctx.Err() != nil {
			t.Fatalf("a second %s started: %v\n%s", program, err, out)
		}
		for _, word := range []string{"already", filepath.Base(filepath.Dir(args[2]))} {
			if !strings.Contains(string(out), word) {
				t.Errorf("the refusal does not say %q:\n%s", word, out)
			}
		}
	}
	w.end(id, "succeeded", 60*time.Second)
	w.startedOnce()
}

// A copied data directory is found out: no claim is granted to either until an
// operator decides, and work that runs still reports.
func TestCopiedDataDirectory(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"same host", "another host"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: true})
			w.job(1, true, "node-first", w.witnessStep(120, "0.1"))
			id := w.run()
			w.await("the command prints", 20*time.Second, func() bool { return len(w.lines("node001.copy")) > 3 })

			copied := filepath.Join(w.dir, "copy")
			w.must(exec.CommandContext(w.ctx, "cp", "-a", w.runner.DataDir, copied).Run())
			clone := *w.runner
			clone.Name, clone.DataDir = "clone", copied
			if host == "another host" {
				clone.SetEnv("FAIRLEAD_TEST_HOST=elsewhere", "FAIRLEAD_TEST_BOOT=elsewhere")
			}
			w.must(clone.Launch())
			t.Cleanup(clone.Process.Kill)
			w.await("the hub finds two instances of one identity", 60*time.Second, func() bool {
				runners, err := w.hub.Runners(w.ctx)
				return err == nil && len(runners) == 1 && runners[0].Quarantined != ""
			})
			// The copy may have closed the attempt first, as unknown: a false doubt, and never
			// a second start. What runs goes on, and its end is told, late or not. If the
			// copy told a record and did not come to the end, the two contradict each other,
			// and the execution waits for a person.
			e, err := w.hub.Wait(w.ctx, id, 60*time.Second)
			contradicted := e.Status == "running" && strings.Contains(w.runner.Process.Tail(), "the hub does not take what this runner tells")
			if !contradicted {
				w.must(err)
			} else if e.WaitingFor == nil || !strings.Contains(e.WaitingFor.Message, "fairlead runners release "+w.runner.Name) {
				t.Errorf("the execution waits for a person, and says %+v", e.WaitingFor)
			}
			w.await("the command ends by itself", 60*time.Second, func() bool { return len(w.lines("node001.ends")) == 1 })
			w.startedOnce()
			switch {
			case e.Status == "succeeded":
				w.logEqualsCopies(id)
			case e.Status == "unknown", contradicted:
			default:
				t.Errorf("execution ended %s", e.Status)
			}
			w.must(os.Rename(filepath.Join(w.dir, "node001.starts"), filepath.Join(w.dir, "before")))
			second := w.run()
			pause(t, 3*time.Second)
			if w.starts("node001") != 0 {
				t.Fatal("a claim was granted to a quarantined runner")
			}
			clone.Process.Kill()
			runners, err := w.hub.Runners(w.ctx)
			w.must(err)
			w.must(w.hub.Do(w.ctx, "POST", "/runners/"+runners[0].ID+"/release", nil, nil))
			w.end(second, "succeeded", 60*time.Second)
			w.startedOnce()
		})
	}
}

// A revoked runner is refused within five seconds.
func TestRevokedRunner(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true})
	runners, err := w.hub.Runners(w.ctx)
	w.must(err)
	w.must(w.hub.Do(w.ctx, "POST", "/runners/"+runners[0].ID+"/revoke", nil, nil))
	w.await("the runner is disconnected", 6*time.Second, func() bool {
		runners, err := w.hub.Runners(w.ctx)
		return err == nil && (len(runners) == 0 || !runners[0].Connected)
	})
}

// Enrolment with a token that is used, expired, forged or of another hub says what is
// wrong and leaves nothing behind.
func TestEnrolmentRefused(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true})
	other, _ := newWorld(t, setup{local: true, idle: true})
	used, err := w.hub.EnrolmentToken(w.ctx, "p")
	w.must(err)
	if out, err := w.enrol(used, "first"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	foreign, err := other.hub.EnrolmentToken(w.ctx, "p")
	w.must(err)
	var short struct{ Token string }
	w.must(w.hub.Do(w.ctx, "POST", "/runners/tokens", map[string]any{"projects": []string{"p"}, "ttlMs": 1000}, &short))
	pause(t, 1200*time.Millisecond)
	parts := strings.Split(used, ".")
	forged := strings.Join([]string{parts[0], parts[1], strings.Repeat("A", len(parts[2])), parts[3]}, ".")
	for name, tt := range map[string]struct{ token, says string }{
		"used": {used, "used"}, "expired": {short.Token, "expired"}, "forged": {forged, "token"},
		"of another hub": {foreign, "CA"}, "cut off": {used[:20], "whole"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := w.enrol(tt.token, strings.ReplaceAll(name, " ", "-"))
			if err == nil {
				t.Fatalf("enrolled:\n%s", out)
			}
			if !strings.Contains(out, tt.says) {
				t.Errorf("the refusal does not say %q:\n%s", tt.says, out)
			}
			if strings.Contains(out, parts[2]) {
				t.Error("the refusal repeats the token's secret")
			}
		})
	}
}

// enrol runs the enrolment command with a new data directory.
func (w *world) enrol(token, name string) (string, error) {
	cmd := exec.CommandContext(w.ctx, binaries.Runner, "enroll", "--hub", w.hub.URL, "--data-dir", filepath.Join(w.dir, "enrol-"+name), "--name", name)
	cmd.Env = lab.Environ("FAIRLEAD_RUNNER_TOKEN=" + token)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
