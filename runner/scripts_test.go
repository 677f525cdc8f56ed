package runner_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

// A script that was told in a session before may be told by its digest alone: it runs
// as it was, and as it was after a restart too, when no session knows it any more.
func TestScriptToldByItsDigest(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w, h := newWorld(t), newFakeHub(t)
		text := strings.Repeat("echo hello\n", 500)
		ran := make(chan string, 10)
		w.script = func(ctx context.Context, c *task.Command, _ task.Output) task.End {
			ran <- c.Script.Content()
			if c.AttemptID == "a3" && c.Cell.Node == 0 {
				<-ctx.Done() // until the runner is killed
			}
			return succeeded()
		}
		digest := wire.ScriptDigest(text)
		short := func(nodes int, text string) *runnerv1.Spec {
			s := spec(nodes, 1)
			s.Keepgoing = true
			s.Steps[0].Work = &runnerv1.Step_Script{Script: &runnerv1.Script{Text: text, Digest: digest[:]}}
			return s
		}
		r := w.boot(h)
		h.until("connected", func() bool { return len(h.streams) == 1 })
		h.untilClosed(h.offer("a1", short(1, text)))
		h.untilClosed(h.offer("a2", short(1, "")))
		a3 := h.offer("a3", short(2, ""))
		for i := range 4 {
			if got := receive(t, "a script", ran); strings.TrimSpace(got) != strings.TrimSpace(text) {
				t.Errorf("script %d ran as %q", i, got)
			}
			if i == 2 {
				r.kill()
				w.boot(h) // the other node's is begun from the disk
			}
		}
		h.untilClosed(a3)
	})
}

// What the hub believes to be here and is not ends the session: the next one begins
// with nothing kept at either end.
func TestScriptThatIsNotKept(t *testing.T) {
	for name, script := range map[string]*runnerv1.Script{
		"unknown": {Digest: make([]byte, 32)}, "cut": {Digest: []byte("short")}, "forged": {Text: "rm -rf /", Digest: make([]byte, 32)},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				w, h := newWorld(t), newFakeHub(t)
				w.boot(h)
				h.until("connected", func() bool { return len(h.streams) == 1 })
				s := spec(1, 1)
				s.Steps[0].Work = &runnerv1.Step_Script{Script: script}
				b, err := proto.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				h.sendAll(offerFrame(&hubAttempt{fence: &runnerv1.Fence{Incarnation: 1, AttemptId: name, Epoch: 1}, spec: b}))
				h.until("there is another session", func() bool { return h.epoch == 2 && len(h.streams) == 1 })
				if w.started("n0/") != 0 {
					t.Error("the script was started")
				}
			})
		})
	}
}
