package dispatch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// TestLostAnswers cuts transactions at random, before and after their commits, while
// jobs run: whoever asks again gets the same, and everything is there once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		var on atomic.Bool
		var mu sync.Mutex
		rnd := rand.New(rand.NewPCG(7, 7))
		fault := func(point string) error {
			mu.Lock()
			defer mu.Unlock()
			if !on.Load() || point == store.FaultBegin || rnd.IntN(4) > 0 {
				return nil
			}
			return &hub.Error{Code: hub.CodeUnavailable, Message: "cut " + point}
		}
		b := newBench(t, open(t, func(c *store.Config) { c.Fault = fault }))
		r := b.runner("one", 100)
		on.Store(true)
		again := func(f func() error) {
			t.Helper()
			for range 200 {
				err := f()
				if err == nil {
					return
				}
				if hub.ErrorCode(err) != hub.CodeUnavailable {
					t.Fatal(err)
				}
			}
			t.Fatal("200 cuts in a row")
		}
		for range 20 {
			id := startAgain(t, b)
			o := offerOf(t, b, r, id)
			again(func() error { _, err := b.d.Claim(t.Context(), r.ref, o.Fence); return err })
			a := &attemptSim{r: r, offer: o, fence: o.Fence}
			a.add(hub.StepRecord{Kind: hub.RecordGranted})
			a.started(0, 0)
			again(func() error { _, err := b.d.Steps(t.Context(), a.steps(0)); return err })
			a.ended(0, 0, hub.StatusSucceeded)
			for range 4 {
				a.print(0, 0, "one", "two")
			}
			again(func() error { _, err := b.o.Append(t.Context(), a.chunks[:2]); return err })
			again(func() error {
				_, err := b.d.Result(t.Context(), a.result(hub.StatusSucceeded, 2, 2))
				return err
			})
			b.wantEnd(&hub.Execution{OrganisationID: hub.DefaultOrganisationID, ID: id}, hub.StatusSucceeded, true)
			if text, _ := b.text(output.Query{ExecutionID: id}); text != "one\ntwo\none\ntwo\none\ntwo\none\ntwo\n" {
				t.Errorf("log is %q", text)
			}
			rows, err := b.st.NodeSteps(t.Context(), id)
			if err != nil || len(rows) != 1 {
				t.Errorf("node steps %+v, %v", rows, err)
			}
		}
		// Starts whose answer was cut off were offered: they are all that is left.
		on.Store(false)
		left, err := b.st.OpenAttemptsOfRunner(t.Context(), r.row.ID)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); b.d.Runners(hub.DefaultOrganisationID)[r.row.ID].Live != len(left); {
			if time.Now().After(deadline) {
				t.Fatalf("the hub counts %+v, the rows %d", b.d.Runners(hub.DefaultOrganisationID)[r.row.ID], len(left))
			}
			b.later(t)
		}
	})
}

// startAgain starts until a start is answered; those whose answer was cut off are
// cancelled.
func startAgain(t *testing.T, b *bench) string {
	t.Helper()
	for range 200 {
		e, err := b.d.Start(t.Context(), dispatch.StartRequest{OrganisationID: hub.DefaultOrganisationID, ProjectID: "web", Definition: job("a")})
		if err == nil {
			return e.ID
		}
		if hub.ErrorCode(err) != hub.CodeUnavailable {
			t.Fatal(err)
		}
	}
	t.Fatal("200 cuts in a row")
	return ""
}

// offerOf waits for the offer of one execution.
func offerOf(t *testing.T, b *bench, r *runnerSim, executionID string) hub.Offer {
	t.Helper()
	for {
		if o := receive(t, "offer", r.offers); o.Execution.ID == executionID {
			return o
		}
	}
}

// TestTwoMembers has two members over one database: each finishes what the other began.
func TestTwoMembers(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.NewPostgres(t))
	first, firstOutput := b.d, b.o
	r := b.runner("one", 10)
	e := b.run(job("a"))
	a := r.claim()
	a.started(0, 0)
	a.report()
	a.print(0, 0, "one")
	if _, err := firstOutput.Append(t.Context(), a.chunks); err != nil {
		t.Fatal(err)
	}
	b.start(func(c *dispatch.Config) { c.MemberID = "m2" })
	// Started at a member that has no runner: the other one's poll offers it.
	other := b.run(job("b"))
	// The runner moves over.
	r.d, r.epoch = b.d, r.ref.Epoch
	r.connect(hub.Holding{Fence: a.fence, State: hub.HoldingGranted})
	a.ended(0, 0, hub.StatusSucceeded)
	a.print(0, 0, "two")
	a.finish(hub.StatusSucceeded)
	row, err := first.Execution(t.Context(), e.OrganisationID, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	ended, err := first.Wait(t.Context(), row, false)
	if err != nil || ended.Status != hub.StatusSucceeded || !ended.LogComplete {
		t.Fatalf("seen from the other member: %+v, %v", ended, err)
	}
	if text, _ := b.text(output.Query{ExecutionID: e.ID, Follow: true}); text != "one\ntwo\n" {
		t.Errorf("log is %q", text)
	}
	a = r.claimOffer(offerOf(t, b, r, other.ID))
	a.runAll(hub.StatusSucceeded)
	a.finish(hub.StatusSucceeded)
	b.wantEnd(other, hub.StatusSucceeded, true)
}

// TestOneOfTwoMembersOffers lets two members offer what both read as ready.
func TestOneOfTwoMembersOffers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		b := newBench(t, open(t))
		one := b.d
		b.start(func(c *dispatch.Config) { c.MemberID = "m2" })
		const rounds, jobs = 15, 20
		second := b.runner("second", 3*rounds*jobs)
		first := &runnerSim{b: b, d: one, boot: []byte("boot"), host: []byte("host"), row: &hub.Runner{OrganisationID: hub.DefaultOrganisationID, Name: "first", Slots: 3 * rounds * jobs}}
		if err := b.st.CreateRunner(t.Context(), first.row); err != nil {
			t.Fatal(err)
		}
		first.connect()
		seen := make(map[string]hub.Fence)
		for round := range rounds {
			for _, r := range []*runnerSim{first, second} {
				r.d.SetCredits(r.ref, 0)
			}
			for range jobs {
				b.run(job("a"))
			}
			var wg sync.WaitGroup
			for _, r := range []*runnerSim{first, second} {
				wg.Go(func() { r.d.SetCredits(r.ref, 1) })
			}
			wg.Wait()
			for len(seen) < (round+1)*jobs || len(first.offers)+len(second.offers) > 0 {
				var o hub.Offer
				select {
				case o = <-first.offers:
				case o = <-second.offers:
				case <-time.After(patience):
					t.Fatalf("%d of %d jobs were offered", len(seen), (round+1)*jobs)
				}
				if f, again := seen[o.Execution.ID]; again && f != o.Fence {
					t.Fatalf("offered as %v and as %v", f, o.Fence)
				}
				seen[o.Execution.ID] = o.Fence
			}
		}
	})
}

// TestManyAtOnce runs many jobs over several runners and two members, all at once.
func TestManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		const runners, jobs = 4, 100
		var work, waits sync.WaitGroup
		done := make(chan struct{})
		for i := range runners {
			r := b.runner(string(rune('a'+i)), jobs)
			work.Go(func() {
				seen := make(map[hub.Fence]bool)
				for {
					select {
					case <-done:
						return
					case o := <-r.offers:
						if seen[o.Fence] {
							continue // an offer may be repeated
						}
						seen[o.Fence] = true
						work.Go(func() {
							a := r.claimOffer(o)
							a.runAll(hub.StatusSucceeded)
							a.print(0, 0, "x")
							a.finish(hub.StatusSucceeded)
						})
					}
				}
			})
		}
		before := b.st.Stats()
		for range jobs {
			waits.Go(func() { b.wantEnd(b.run(job("a")), hub.StatusSucceeded, true) })
		}
		waits.Wait()
		close(done)
		work.Wait()
		commits := b.st.Stats().Transactions - before.Transactions
		if commits > 3*jobs {
			t.Errorf("%d commits for %d jobs: batches do not form", commits, jobs)
		}
	})
}

// TestResultsOfOneExecutionAtOnce ends many assignments of one execution together.
func TestResultsOfOneExecutionAtOnce(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		tags := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		b.routes(tags...)
		var names []string
		var runners []*runnerSim
		for _, tag := range tags {
			names = append(names, tag+"1", tag+"2")
			runners = append(runners, b.runner(tag, 10, tag))
		}
		b.nodes(names...)
		e := b.run(onNodes(job("x"), "16", true))
		var wg sync.WaitGroup
		for _, r := range runners {
			a := r.claim()
			wg.Go(func() {
				a.run(0, 0, hub.StatusSucceeded)
				a.run(1, 0, hub.StatusSucceeded)
				a.finish(hub.StatusSucceeded)
			})
		}
		wg.Wait()
		if got := b.wantEnd(e, hub.StatusSucceeded, true); got.NodeCounts[hub.StatusSucceeded] != 16 {
			t.Errorf("counts are %v", got.NodeCounts)
		}
	})
}

func TestStartRefusesWhatCannotRun(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.nodes("a1")
		filter := onNodes(job("x"), "1", true)
		filter.Dispatch.Filter = "tags: nowhere"
		empty := *filter
		empty.Dispatch.SuccessOnEmpty = true
		start := func(r dispatch.StartRequest) error {
			r.OrganisationID, r.ProjectID = hub.DefaultOrganisationID, "web"
			_, err := b.d.Start(t.Context(), r)
			return err
		}
		if err := start(dispatch.StartRequest{Definition: filter}); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("no node: %v", err)
		}
		if err := start(dispatch.StartRequest{Definition: job("x"), NodeFilter: "a1"}); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("a filter that is not allowed: %v", err)
		}
		if err := start(dispatch.StartRequest{Definition: job("x"), Options: map[string]string{"none": "1"}}); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("an option that is not there: %v", err)
		}
		undone := errors.New("undone")
		err := start(dispatch.StartRequest{Definition: job("x"), InTx: func(context.Context, *store.Store, *hub.Execution) error { return undone }})
		if !errors.Is(err, undone) {
			t.Errorf("an error of InTx: %v", err)
		}
		list, err := b.st.ListExecutions(t.Context(), store.ExecutionFilter{OrganisationID: hub.DefaultOrganisationID, Limit: 10})
		if err != nil || len(list) != 0 {
			t.Errorf("%d executions were left, %v", len(list), err)
		}
		b.wantEnd(b.run(&empty), hub.StatusSucceeded, true)
	})
}

// The filter that a run gives may refer to options, as its job's may. One that is empty with
// them would be all nodes: what an option that was left out must never mean.
func TestFiltersOfOptions(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.nodes("a1", "a2", "b1")
		by := func(filter, exclude string) *hub.Job {
			j := onNodes(job("x"), "1", true)
			j.Options = []hub.Option{{Name: "nodes"}, {Name: "not"}}
			j.Dispatch.Filter, j.Dispatch.FilterExclude = filter, exclude
			j.Dispatch.Editable, j.Dispatch.ExcludePrecedence = true, true
			return j
		}
		for _, tt := range []struct {
			filter, exclude, override, nodes, not string
			want                                  string // "": refused
		}{
			{filter: "${option.nodes}", nodes: "tags: a", want: "a1 a2"},
			{filter: "${option.nodes}", nodes: ".*", want: "a1 a2 b1"},
			{filter: "${option.nodes}"},
			{filter: "${option.nodes}", nodes: " "},
			{filter: "${option.nodes}", exclude: "a1"},
			{filter: "a.*", exclude: "${option.not}", want: "a1 a2"},
			{filter: "a.*", exclude: "${option.not}", not: "a1", want: "a2"},
			{filter: "a1", override: ".* !name: ${option.not}", not: "a2", want: "a1 b1"},
			{filter: "a1", override: "${option.nodes}", nodes: "b1", want: "b1"},
			{filter: "${option.nodes}", exclude: "${option.not}", override: "b1", want: "b1"},
			{filter: "a1", override: "${option.nodes}"},
			{filter: "a1", override: "name: ${option.other}"},
			{filter: "a1", override: " "},
			{filter: " "},
		} {
			row, err := b.d.Start(t.Context(), dispatch.StartRequest{
				OrganisationID: hub.DefaultOrganisationID, ProjectID: "web", Definition: by(tt.filter, tt.exclude), NodeFilter: tt.override,
				Options: map[string]string{"nodes": tt.nodes, "not": tt.not},
			})
			if tt.want == "" {
				if hub.ErrorCode(err) != hub.CodeInvalid {
					t.Errorf("%+v: %v", tt, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%+v: %v", tt, err)
				continue
			}
			var names []string
			for _, n := range row.Nodes {
				names = append(names, n.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("%+v selects %q", tt, got)
			}
		}
	})
}

func TestEvents(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		events, cancel := b.d.Subscribe(hub.DefaultOrganisationID, "")
		r := b.runner("one", 10)
		e := b.run(job("a"))
		a := r.claim()
		a.runAll(hub.StatusSucceeded)
		a.finish(hub.StatusSucceeded)
		var seen []hub.Status
		for {
			ev := receive(t, "event", events)
			if ev.Kind == hub.EventExecution && ev.ExecutionID == e.ID {
				seen = append(seen, ev.Status)
				if ev.Status.Final() {
					break
				}
			}
		}
		if len(seen) != 3 || seen[0] != hub.StatusQueued || seen[1] != hub.StatusRunning {
			t.Errorf("events tell %v", seen)
		}
		cancel()
		slow, cancel := b.d.Subscribe(hub.DefaultOrganisationID, "")
		defer cancel()
		for range 300 {
			b.cancel(b.run(job("a")))
		}
		resync := false
		for deadline := time.After(patience); !resync; {
			select {
			case ev := <-slow:
				resync = ev.Kind == hub.EventResync
			case <-deadline:
				t.Fatal("a slow reader is not told to read again")
			}
		}
	})
}
