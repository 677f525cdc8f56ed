package gateway

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Work of one key keeps its order, that of different keys does not wait for another's.
func TestLanes(t *testing.T) {
	t.Parallel()
	l, ctx := newLanes(), context.Background()
	blocked, free := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var got []int
	l.do(ctx, "slow", func() { <-blocked })
	for i := range 100 {
		l.do(ctx, "slow", func() {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, i)
		})
	}
	l.do(ctx, "other", func() { close(free) })
	select {
	case <-free:
	case <-time.After(testTime):
		t.Fatal("one lane keeps another waiting")
	}
	close(blocked)
	l.close()
	for i, g := range got {
		if i != g {
			t.Fatalf("order %v", got)
		}
	}
	if len(got) != 100 {
		t.Errorf("%d of 100 were done", len(got))
	}
	l.do(ctx, "late", func() { t.Error("work was taken after close") })
}

// A session that is full is not read on, and its end frees who waits.
func TestLanesAreBounded(t *testing.T) {
	t.Parallel()
	l := newLanes()
	blocked := make(chan struct{})
	for range maxInLanes {
		l.do(context.Background(), "k", func() { <-blocked })
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l.do(ctx, "k", func() { t.Error("work was taken beyond the bound") })
	close(blocked)
	l.close()
}

func TestQueue(t *testing.T) {
	t.Parallel()
	q := newQueue[int](2)
	for i, want := range []bool{true, true, false} {
		if got := q.add(i); got != want {
			t.Errorf("add %d: %v", i, got)
		}
	}
	if got := q.take(context.Background()); len(got) != 2 {
		t.Errorf("took %v", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := q.take(ctx); got != nil {
		t.Errorf("took %v from nothing", got)
	}
	q.add(7)
	if rest := q.close(); len(rest) != 1 || q.add(8) {
		t.Errorf("rest %v, or it takes more after close", rest)
	}
}

func bigOffer(text string) hub.Offer {
	return hub.Offer{
		Fence: hub.Fence{Incarnation: 1, AttemptID: store.NewID(), Epoch: 1},
		Execution: &hub.Execution{
			ID: "e", Nodes: []hub.Node{{Name: "a"}, {Name: "b", Description: "the second"}},
			Definition: &hub.Job{
				Options: []hub.Option{{Name: "s", Secure: true}, {Name: "x", Secure: true, ValueExposed: true}},
				Workflow: hub.Workflow{Steps: []hub.Step{
					{Exec: "zero"},
					{Script: &hub.Script{Text: text, Args: "a b"}, ErrorHandler: &hub.Step{Exec: "handle one"}},
					{Exec: "two", ErrorHandler: &hub.Step{Exec: "handle two"}},
				}},
			},
		},
		Assignment: &hub.Assignment{Nodes: []int{1}, Steps: []int{1, 2}, Threads: 1},
		HostKeys:   map[string][]hub.HostKey{"b": {{Key: "ssh-ed25519 AAAA", State: hub.HostKeyAccepted}}},
		Project:    &hub.Project{Name: "p", Settings: map[string]string{"ssh-key-storage-path": "keys/${node.name}", "plain": "x"}},
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	spec := makeSpec(bigOffer("echo"))
	if n := spec.GetNodes(); len(n) != 1 || n[0].GetName() != "b" || n[0].GetHostKeys()[0] != "ssh-ed25519 AAAA" ||
		n[0].GetAttributes()["ssh-key-storage-path"] != "keys/b" || n[0].GetAttributes()["description"] != "the second" {
		t.Errorf("nodes %v", n)
	}
	s := spec.GetSteps()
	if len(s) != 4 || s[0].GetScript().GetArgsText() != "a b" || s[1].GetExec() != "two" || s[2].GetExec() != "handle one" || s[3].GetExec() != "handle two" {
		t.Fatalf("steps %v", s)
	}
	if s[0].GetErrorHandler() != 3 || s[1].GetErrorHandler() != 4 || s[0].GetIsHandler() || !s[2].GetIsHandler() || s[0].GetNumber() != 2 || s[3].GetNumber() != 3 {
		t.Errorf("handlers and numbers %v", s)
	}
	if strings.Join(spec.GetSecureOptions(), ",") != "s,x" || strings.Join(spec.GetExposedOptions(), ",") != "x" {
		t.Errorf("options %v, exposed %v", spec.GetSecureOptions(), spec.GetExposedOptions())
	}
}

// The quota of the organisation goes beside the job's own limit, and alone where there is
// none.
func TestSpecOfLogLimit(t *testing.T) {
	t.Parallel()
	o := bigOffer("echo")
	if l := makeSpec(o).GetLogLimit(); l != nil {
		t.Errorf("no limit: %v", l)
	}
	o.Execution.Definition.LogLimit.Quota = 1 << 30
	if l := makeSpec(o).GetLogLimit(); l.GetQuota() != 1<<30 || l.GetLines() != 0 || l.GetBytes() != 0 || l.GetText() != "" || l.GetStatus() != "" {
		t.Errorf("the quota alone: %v", l)
	}
	o.Execution.Definition.LogLimit = hub.LogLimit{Text: "5/node", Lines: 5, PerNode: true, Truncate: true, Quota: 1 << 20}
	if l := makeSpec(o).GetLogLimit(); l.GetQuota() != 1<<20 || l.GetLines() != 5 || !l.GetPerNode() || !l.GetTruncate() || l.GetText() != "5 lines for each node" {
		t.Errorf("both: %v", l)
	}
}

// What was printed before goes with the limit: of each node by itself in the spec's order.
func TestSpecOfWhatWasPrinted(t *testing.T) {
	t.Parallel()
	offer := bigOffer("echo")
	offer.Printed = map[int]hub.Printed{0: {Lines: 1, Bytes: 10}, 1: {Lines: 2, Bytes: 20}}
	if l := makeSpec(offer).GetLogLimit(); l != nil {
		t.Errorf("a job without a limit has %v", l)
	}
	for _, perNode := range []bool{false, true} {
		offer.Execution.Definition.LogLimit = hub.LogLimit{Text: "9", Lines: 9, PerNode: perNode}
		l := makeSpec(offer).GetLogLimit()
		if l.GetBefore().GetLines() != 3 || l.GetBefore().GetBytes() != 30 {
			t.Errorf("printed before: %v", l.GetBefore())
		}
		if n := l.GetNodesBefore(); perNode != (len(n) == 1 && n[0].GetLines() == 2 && n[0].GetBytes() == 20) {
			t.Errorf("of each node: %v", n)
		}
	}
}

// A hub that lost an execution learns from its runner's disk what it was to hide and where
// its output ends: whoever goes on with it must know that.
func TestLostSpecTellsWhatItHides(t *testing.T) {
	t.Parallel()
	offer := bigOffer("echo")
	j := offer.Execution.Definition
	j.LogLimit = hub.LogLimit{Text: "10B/node", Bytes: 10, PerNode: true, Status: hub.LogLimitAborted, Quota: 1 << 20}
	j.Workflow.LogFilters = []hub.LogFilter{{Type: hub.FilterMaskRegex, Config: map[string]string{"regex": "x=.*"}}}
	j.Workflow.Steps[2].ErrorHandler.LogFilters = []hub.LogFilter{{Type: hub.FilterQuiet}}
	raw, err := proto.Marshal(makeSpec(offer))
	if err != nil {
		t.Fatal(err)
	}
	got, err := lostIn(&runnerv1.Holding{Fence: fenceOut(offer.Fence), State: runnerv1.Holding_STATE_GRANTED}, raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(j.LogLimit, got.LogLimit); diff != "" {
		t.Errorf("log limit: %s", diff)
	}
	if diff := cmp.Diff(j.Workflow.LogFilters, got.LogFilters); diff != "" {
		t.Errorf("filters: %s", diff)
	}
	if diff := cmp.Diff(j.Workflow.Steps[2].ErrorHandler.LogFilters, got.Steps[1].ErrorHandler.LogFilters); diff != "" {
		t.Errorf("filters of a handler: %s", diff)
	}
}

// One bare host key is recorded, and nothing else that a runner calls one.
func TestHostKeyIn(t *testing.T) {
	t.Parallel()
	const (
		one = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
		two = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"
	)
	for text, want := range map[string]string{
		"": "", one: one, one + " a comment\n": one, one + "\n" + two: "", one + "\n# and\n" + two: "",
		"cert-authority " + one: "", "no-pty " + one: "", "ssh-ed25519 AAAA": "", "a host key": "", one + strings.Repeat(" ", maxText): "",
	} {
		r, err := endedIn(hub.StepRecord{}, &runnerv1.Ended{Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, NewHostKey: text})
		if err != nil || r.NewHostKey != want {
			t.Errorf("%.100q is recorded as %q, %v; want %q", text, r.NewHostKey, err, want)
		}
	}
}

// A key in conflict is never told as one that the node may show; the node is told as
// one that is not to be used.
func TestSpecOfHostKeyConflict(t *testing.T) {
	t.Parallel()
	o := bigOffer("echo")
	if n := makeSpec(o).GetNodes()[0]; n.GetHostKeyConflict() {
		t.Errorf("a node with one key is told as in conflict: %v", n)
	}
	o.HostKeys["b"] = append(o.HostKeys["b"], hub.HostKey{Key: "ssh-ed25519 BBBB", State: hub.HostKeyConflict})
	if n := makeSpec(o).GetNodes()[0]; !n.GetHostKeyConflict() || len(n.GetHostKeys()) != 1 || n.GetHostKeys()[0] != "ssh-ed25519 AAAA" {
		t.Errorf("node %v", n)
	}
}

// A spec that is too large for its offer comes in parts before it, and is whole.
func TestSpecInParts(t *testing.T) {
	t.Parallel()
	frames, err := offerFrames(bigOffer(strings.Repeat("0123456789", 200_000)), nil)
	if err != nil {
		t.Fatal(err)
	}
	var whole []byte
	for i, f := range frames[:len(frames)-1] {
		part := f.GetSpecPart()
		if int(part.GetIndex()) != i || proto.Size(f) > wire.MaxMessageBytes {
			t.Errorf("part %d has index %d and %d bytes", i, part.GetIndex(), proto.Size(f))
		}
		whole = append(whole, part.GetData()...)
	}
	spec := &runnerv1.Spec{}
	if err := proto.Unmarshal(whole, spec); err != nil || len(spec.GetSteps()[0].GetScript().GetText()) != 2_000_000 {
		t.Errorf("the parts do not make the spec: %v", err)
	}
	last := frames[len(frames)-1].GetOffer()
	if last == nil || len(last.GetSpec()) != 0 || len(frames) != 5 {
		t.Errorf("%d frames, the last %T", len(frames), frames[len(frames)-1].GetFrame())
	}
	if frames, err := offerFrames(bigOffer("echo"), nil); err != nil || len(frames) != 1 {
		t.Errorf("a small spec made %d frames, %v", len(frames), err)
	}
	if _, err := offerFrames(bigOffer(strings.Repeat("x", wire.MaxSpecBytes)), nil); err == nil {
		t.Error("a spec over all bounds was told")
	}
}

// A long script goes once to a runner that keeps it, and then by its digest.
func TestSpecOfKeptScript(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("echo hello\n", 1000)
	told := func(o hub.Offer, kept *wire.Scripts) *runnerv1.Script {
		frames, err := offerFrames(o, kept)
		if err != nil || len(frames) != 1 {
			t.Fatalf("%d frames, %v", len(frames), err)
		}
		spec := &runnerv1.Spec{}
		if err := proto.Unmarshal(frames[0].GetOffer().GetSpec(), spec); err != nil {
			t.Fatal(err)
		}
		return spec.GetSteps()[0].GetScript()
	}
	digest := wire.ScriptDigest(long)
	var kept wire.Scripts
	for i, want := range []string{long, "", ""} {
		if s := told(bigOffer(long), &kept); s.GetText() != want || !bytes.Equal(s.GetDigest(), digest[:]) {
			t.Errorf("offer %d tells %d bytes and digest %x", i, len(s.GetText()), s.GetDigest())
		}
	}
	if s := told(bigOffer("echo"), &kept); s.GetText() != "echo" || s.GetDigest() != nil {
		t.Errorf("a short script is told as %v", s)
	}
	if s := told(bigOffer(long), nil); s.GetText() != long || s.GetDigest() != nil {
		t.Error("a runner that keeps none is told a digest")
	}
	// An offer that cannot be told changes nothing of what the runner is believed to have.
	huge := bigOffer(long + "#")
	huge.Execution.Options = map[string]string{"x": strings.Repeat("x", wire.MaxSpecBytes)}
	if _, err := offerFrames(huge, &kept); err == nil {
		t.Error("a spec over all bounds was told")
	}
	if s := told(bigOffer(long+"#"), &kept); s.GetText() != long+"#" {
		t.Error("the runner is believed to have a script that it was never told")
	}
}

func TestWelcomePages(t *testing.T) {
	t.Parallel()
	w := hub.Welcome{SessionEpoch: 3}
	for range 2*wire.PageHoldings + 1 {
		w.Holdings = append(w.Holdings, hub.HoldingAnswer{Fence: hub.Fence{Incarnation: 1, AttemptID: store.NewID(), Epoch: 1}})
	}
	frames := welcomeFrames(1, w)
	if len(frames) != 3 || !frames[0].GetWelcome().GetMore() || !frames[1].GetHoldings().GetMore() || frames[2].GetHoldings().GetMore() || len(frames[2].GetHoldings().GetHoldings()) != 1 {
		t.Errorf("%d frames", len(frames))
	}
}

func TestTextForPeople(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"plain": "plain", "a\x00b": "a\uFFFDb", "a\xffb": "a\uFFFDb", "äöü": "äö"} {
		if got := text(in, 5); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// Whatever bytes a runner sends as records, they are refused or taken, and the chain
// is over the bytes as they came.
func FuzzSteps(f *testing.F) {
	id := wire.Identity{ID: "r"}
	fence := &runnerv1.Fence{Incarnation: 1, AttemptId: "0198a000-0000-7000-8000-000000000000", Epoch: 1}
	raw, err := proto.Marshal(&runnerv1.Record{Record: &runnerv1.Record_Ended{Ended: &runnerv1.Ended{
		Outcome: runnerv1.Outcome_OUTCOME_FAILED, Message: "x", Data: map[string]string{"a": "b"},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(0), raw)
	f.Add(uint64(1<<63), []byte{})
	f.Add(uint64(7), []byte{0x1a, 0xff})
	f.Fuzz(func(t *testing.T, first uint64, record []byte) {
		s, err := stepsIn(id, fence, first, make([]byte, 32), [][]byte{record})
		if err != nil {
			return
		}
		if want := wire.NextRecordHash(wire.Hash{}, record); s.Records[0].Hash != want || s.RunnerID != "r" || s.Records[0].N != s.FirstN {
			t.Errorf("record %+v", s.Records[0])
		}
		if strings.Contains(s.Records[0].Message, "\x00") || bytes.Contains([]byte(s.Records[0].Reason), []byte{0}) {
			t.Error("a NUL would reach the database")
		}
	})
}
