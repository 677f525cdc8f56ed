package dispatch_test

import (
	"errors"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// both runs a test on a hub over each database.
func both(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) { test(t, newBench(t, open(t))) })
}

func wantRefused(t *testing.T, err error, want hub.RefusedReason) {
	t.Helper()
	var r *hub.Refused
	if !errors.As(err, &r) || r.Reason != want {
		t.Fatalf("got error %v, want refused: %s", err, want)
	}
}

func TestRepeatsAreAppliedOnce(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a", "b"))
		a := r.claim()
		if _, err := b.d.Claim(t.Context(), r.ref, a.fence); err != nil {
			t.Fatalf("the same claim again: %v", err)
		}
		a.run(0, 0, hub.StatusSucceeded)
		a.report()
		for first := range a.records {
			if next, err := b.d.Steps(t.Context(), a.steps(first)); err != nil || next != 3 {
				t.Fatalf("records again from %d: next %d, %v", first, next, err)
			}
		}
		a.run(0, 1, hub.StatusSucceeded)
		a.print(0, 0, "x")
		for range 3 {
			for first := range 3 {
				next, err := b.d.Result(t.Context(), a.result(hub.StatusSucceeded, first, 0))
				if err != nil || next != 1 {
					t.Fatalf("result: log next %d, %v", next, err)
				}
			}
		}
		b.wantEnd(e, hub.StatusSucceeded, true)
		rows, err := b.st.NodeSteps(t.Context(), e.ID)
		if err != nil || len(rows) != 2 {
			t.Errorf("node steps %+v, %v", rows, err)
		}
	})
}

func TestGapIsAnsweredWithWhatIsMissing(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.run(0, 0, hub.StatusSucceeded)
		_, err := b.d.Steps(t.Context(), a.steps(2))
		var behind *hub.Behind
		if !errors.As(err, &behind) || behind.NextN != 0 {
			t.Fatalf("steps after a gap: %v", err)
		}
		if _, err = b.d.Result(t.Context(), a.result(hub.StatusSucceeded, 2, 0)); !errors.As(err, &behind) {
			t.Fatalf("result before its records: %v", err)
		}
		short := a.result(hub.StatusSucceeded, 0, 0)
		short.Records = short.Records[:2]
		if _, err = b.d.Result(t.Context(), short); !errors.As(err, &behind) || behind.NextN != 2 && behind.NextN != 0 {
			t.Fatalf("result without its last records: %v", err)
		}
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

func TestAnotherHistoryIsRefused(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.started(0, 0)
		a.report()
		forged := &attemptSim{r: r, offer: a.offer, fence: a.fence}
		forged.add(hub.StepRecord{Kind: hub.RecordGranted})
		forged.ended(0, 0, hub.StatusFailed)
		forged.ended(0, 0, hub.StatusFailed)
		_, err := b.d.Steps(t.Context(), forged.steps(2))
		wantRefused(t, err, hub.RefusedQuarantined)
		row, err := b.st.Runner(t.Context(), r.row.ID)
		if err != nil || row.Quarantined == "" {
			t.Errorf("runner is %+v, %v; want it in quarantine", row, err)
		}
		// What runs still reports.
		a.ended(0, 0, hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusSucceeded, true)
	})
}

func TestReportsOfStrangersAreRefused(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.run(job("a"))
		offer := receive(t, "offer", r.offers)
		unclaimed := &attemptSim{r: r, offer: offer, fence: offer.Fence}
		unclaimed.add(hub.StepRecord{Kind: hub.RecordGranted})
		_, err := b.d.Result(t.Context(), unclaimed.result(hub.StatusSucceeded, 0, 0))
		wantRefused(t, err, hub.RefusedGone)
		a := r.claimOffer(offer)
		a.run(0, 0, hub.StatusSucceeded)
		stolen := a.steps(0)
		stolen.RunnerID = b.runner("two", 10).row.ID
		_, err = b.d.Steps(t.Context(), stolen)
		wantRefused(t, err, hub.RefusedGone)
		wrong := a.steps(0)
		wrong.Fence.Epoch++
		_, err = b.d.Steps(t.Context(), wrong)
		wantRefused(t, err, hub.RefusedGone)
	})
}

func TestOutcomes(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		b.nodes("a1", "a2")
		tests := []struct {
			statuses [2]hub.Status
			told     hub.Status
			want     hub.Status
		}{
			{[2]hub.Status{"succeeded", "succeeded"}, "succeeded", "succeeded"},
			{[2]hub.Status{"succeeded", "failed"}, "failed", "failed"},
			{[2]hub.Status{"failed", "unknown"}, "unknown", "unknown"},
			{[2]hub.Status{"timed_out", "failed"}, "timed_out", "timed_out"},
			// The fold of the node steps counts, not the word of the runner.
			{[2]hub.Status{"failed", "succeeded"}, "succeeded", "failed"},
		}
		for _, tt := range tests {
			e := b.run(onNodes(job("a"), "2", true))
			a := r.claim()
			a.run(0, 0, tt.statuses[0])
			a.run(1, 0, tt.statuses[1])
			a.finish(tt.told)
			got := b.wantEnd(e, tt.want, true)
			if got.NodeCounts[tt.statuses[0]] == 0 || got.NodeCounts[tt.statuses[1]] == 0 {
				t.Errorf("counts are %v, want %v", got.NodeCounts, tt.statuses)
			}
		}
	})
}

func TestStepWithoutEndIsUnknown(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.started(0, 0)
		a.report()
		a.finish(hub.StatusSucceeded)
		b.wantEnd(e, hub.StatusUnknown, true)
	})
}

func TestBadTextOfARunnerIsStoredClean(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.started(0, 0)
		a.add(hub.StepRecord{
			Kind: hub.RecordEnded, Cell: hub.Cell{Try: 1}, Status: hub.StatusFailed, Message: "a\x00b\xff", Data: map[string]string{"k\x00": "v\xfe"},
		})
		a.finish(hub.StatusFailed)
		b.wantEnd(e, hub.StatusFailed, true)
		rows, err := b.st.NodeSteps(t.Context(), e.ID)
		if err != nil || len(rows) != 1 || rows[0].Message != "a\ufffdb\ufffd" {
			t.Errorf("node steps %+v, %v", rows, err)
		}
	})
}

func TestEndWaitsForTheLog(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.run(0, 0, hub.StatusSucceeded)
		for range 3 {
			a.print(0, 0, "line")
		}
		result := a.result(hub.StatusSucceeded, 0, 0)
		result.Chunks = a.chunks[:1]
		if next, err := b.d.Result(t.Context(), result); err != nil || next != 1 {
			t.Fatalf("result: log next %d, %v", next, err)
		}
		got, err := b.st.GetExecution(t.Context(), e.OrganisationID, e.ID)
		if err != nil || got.Status != hub.StatusRunning || got.Outcome != hub.StatusSucceeded || got.LogComplete {
			t.Fatalf("execution with a log that is not whole: %+v, %v", got, err)
		}
		acks, err := b.o.Append(t.Context(), a.chunks[1:])
		if err != nil || len(acks) != 1 || acks[0].NextSeq != 3 {
			t.Fatalf("acks %+v, %v", acks, err)
		}
		b.wantEnd(e, hub.StatusSucceeded, true)
		if text, _ := b.text(output.Query{ExecutionID: e.ID}); text != "line\nline\nline\n" {
			t.Errorf("log is %q", text)
		}
	})
}

func TestLogThatNeverComesIsGivenUp(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.run(0, 0, hub.StatusFailed)
		a.print(0, 0, "line")
		result := a.result(hub.StatusFailed, 0, 0)
		result.Chunks = nil
		if _, err := b.d.Result(t.Context(), result); err != nil {
			t.Fatal(err)
		}
		b.tick.Add(590)
		b.later(t)
		if got, _ := b.st.GetExecution(t.Context(), e.OrganisationID, e.ID); got.Status != hub.StatusRunning {
			t.Fatalf("execution is %s before lost_after", got.Status)
		}
		b.tick.Add(20)
		b.wantEnd(e, hub.StatusFailed, false)
	})
}
