package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// twoMembers are two members that never look at a row unasked, so that only what one
// tells the other can move anything; the runner's session is at the second.
func twoMembers(t *testing.T, open storetest.Opener) (near, far *testHub, r *testRunner, s *testSession) {
	t.Helper()
	st := open(t)
	near = newMember(t, st, "near", time.Hour)
	far = newMember(t, st, "far", time.Hour)
	near.must(st.CreateProject(t.Context(), near.project))
	r = far.enrol()
	s = far.start(r)
	near.eventually("knows the runner of the other", func() bool { return near.dispatch.Runners(org)[r.id].Connected })
	return near, far, r, s
}

func (h *testHub) eventually(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.After(testTime)
	for !ok() {
		select {
		case <-deadline:
			h.t.Fatalf("a member never %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (h *testHub) run(change ...func(*hub.Job)) *store.ExecutionRow {
	h.t.Helper()
	j := &hub.Job{Name: "hello", Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{{Exec: "echo"}}}}
	for _, c := range change {
		c(j)
	}
	e, err := h.dispatch.Start(h.t.Context(), dispatch.StartRequest{OrganisationID: org, ProjectID: "web", By: "ann", Definition: j})
	h.must(err)
	return e
}

// work runs an offered attempt to its end and returns the line it printed last.
func (h *testHub) work(r *testRunner, s *testSession, offer *runnerv1.Offer) {
	h.t.Helper()
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: offer.GetFence()}}})
	if s.recv().GetGrant() == nil {
		h.t.Fatal("no grant")
	}
	c := &chain{fence: offer.GetFence()}
	cell := &runnerv1.Cell{Try: 1}
	c.add(h.t, &runnerv1.Record{Record: &runnerv1.Record_Granted{Granted: &runnerv1.Granted{Fence: c.fence, BootId: hello().GetBootId()}}})
	c.add(h.t, &runnerv1.Record{Record: &runnerv1.Record_Started{Started: &runnerv1.Started{Cell: cell}}})
	logHash := h.print(r, c.fence, "you\n")
	c.add(h.t, &runnerv1.Record{Record: &runnerv1.Record_Ended{Ended: &runnerv1.Ended{Cell: cell, Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, Exited: true, EndProven: true}}})
	c.add(h.t, &runnerv1.Record{Record: &runnerv1.Record_Closed{Closed: &runnerv1.Closed{Total: c.n + 1}}})
	result := &runnerv1.Result{
		Fence: c.fence, Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, StepsTotal: c.n, StepsHash: c.hash[:], LogTotal: 1, LogHash: logHash[:],
		PrevHash: make([]byte, 32), Records: c.records,
	}
	result.Signature = r.sign(h, result)
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Result{Result: result}})
	if s.recv().GetResultAck() == nil {
		h.t.Fatal("the result was not taken")
	}
}

// A job that is started at one member runs at once on a runner of another, its output
// arrives, and its end is known.
func TestJobThroughTwoMembers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		near, far, r, s := twoMembers(t, open)
		e := near.run()
		ctx, cancel := context.WithTimeout(t.Context(), testTime)
		defer cancel()
		text := make(chan string, 1)
		go func() {
			var all bytes.Buffer
			for batch, err := range near.output.Read(ctx, output.Query{OrganisationID: org, ExecutionID: e.ID, Follow: true}) {
				if err != nil {
					t.Error(err)
					break
				}
				for _, l := range batch.Lines {
					all.Write(l.Data)
				}
			}
			text <- all.String()
		}()
		far.work(r, s, s.recv().GetOffer())
		done, err := near.dispatch.Wait(ctx, e, false)
		if err != nil || done.Status != hub.StatusSucceeded {
			t.Errorf("the execution ended as %+v, %v", done, err)
		}
		select { // its reader ends with ctx
		case got := <-text:
			if got != "you\n" {
				t.Errorf("followed %q", got)
			}
		case <-time.After(2 * testTime):
			t.Error("who follows read no end")
		}
	})
}

// What waits for a runner at one member is taken by the runner that connects to another,
// and a cancel reaches it there.
func TestWaitingAndCancelThroughTwoMembers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		near, far, r, s := twoMembers(t, open)
		e := near.run()
		offer := s.recv().GetOffer()
		s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: offer.GetFence()}}})
		if s.recv().GetGrant() == nil {
			t.Fatal("no grant")
		}
		near.must(near.dispatch.Cancel(t.Context(), org, e.ID, dispatch.CancelRequest{By: "ann"}))
		if stop := s.recv().GetStop(); !stop.GetScope().GetAll() {
			t.Errorf("told %v", stop)
		}
		near.must(s.stream.CloseSend())
		near.eventually("learns that the runner has gone", func() bool { return !near.dispatch.Runners(org)[r.id].Connected })
		waiting := near.run()
		if waiting.WaitingFor == nil {
			t.Fatal("it waits for nothing")
		}
		s = far.start(r)
		for range 2 {
			if o := s.recv().GetOffer(); o != nil && o.GetFence().GetAttemptId() != offer.GetFence().GetAttemptId() {
				return
			}
		}
		t.Error("what waited was not offered")
	})
}

// A runner that moved between the choice and the wake costs no lease of an offer: the
// member that lacks it gives the work back at once.
func TestOfferForARunnerThatLeft(t *testing.T) {
	t.Parallel()
	near, far, r, s := twoMembers(t, storetest.New)
	near.must(near.dispatch.Fleet(t.Context(), "nobody", true, nil))
	near.must(s.stream.CloseSend())
	near.eventually("learns that the runner has gone", func() bool { return !near.dispatch.Runners(org)[r.id].Connected })
	// As if the word of it had not come yet.
	far.must(near.dispatch.Fleet(t.Context(), far.gateway.cfg.Gateways()[0], false, []hub.FleetRunner{{ID: r.id, Slots: 4}}))
	e := near.run()
	list, err := near.st.AssignmentsOf(t.Context(), []string{e.ID})
	near.must(err)
	open, err := near.st.OpenAttemptsOf(t.Context(), e.ID)
	near.must(err)
	if len(open) != 1 || list[0].State != hub.AssignmentActive {
		t.Fatalf("assignment %+v, attempts %+v", list[0], open)
	}
	near.must(far.dispatch.Woken(t.Context(), hub.Wake{Offers: []string{open[0].AttemptID}}))
	list, err = near.st.AssignmentsOf(t.Context(), []string{e.ID})
	near.must(err)
	if list[0].State != hub.AssignmentReady {
		t.Errorf("the assignment is %s, want ready", list[0].State)
	}
	near.must(far.dispatch.Woken(t.Context(), hub.Wake{Offers: []string{store.NewID()}})) // one that is no attempt
}

// A job that hides output waits, at whichever member it is started, while the only runner
// is of a build before log filters, and says so; the runner's upgrade is what it waits for.
func TestOlderRunnerThroughTwoMembers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		near, far, r, s := twoMembers(t, open)
		near.must(s.stream.CloseSend())
		near.eventually("learns that the runner has gone", func() bool { return !near.dispatch.Runners(org)[r.id].Connected })
		r.protocol = wire.ProtocolLogFilters - 1
		far.start(r)
		near.eventually("knows the older runner", func() bool { return near.dispatch.Runners(org)[r.id].Connected })
		e := near.run(func(j *hub.Job) { j.Workflow.LogFilters = []hub.LogFilter{{Type: hub.FilterMaskRegex}} })
		if e.WaitingFor == nil || !strings.Contains(e.WaitingFor.Message, "runner r is older than its hub: it knows no log filters") {
			t.Fatalf("it waits for %+v", e.WaitingFor)
		}
		r.protocol = 0
		s = far.start(r)
		far.work(r, s, s.recv().GetOffer())
		done, err := near.dispatch.Wait(t.Context(), e, false)
		if err != nil || done.Status != hub.StatusSucceeded {
			t.Errorf("the execution ended as %+v, %v", done, err)
		}
	})
}

// Only a member is answered by a member, and only to a member does one speak.
func TestPeersRefuseWhoIsNoMember(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	if got := h.codes(r.cert)["Watch"]; got != codes.PermissionDenied {
		t.Errorf("a runner is answered %v", got)
	}
	lis, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*r.cert}, MinVersion: tls.VersionTLS13})
	h.must(err)
	defer func() { _ = lis.Close() }()
	go func() {
		if c, err := lis.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake() // the other side refuses it
			_ = c.Close()
		}
	}()
	for what, address := range map[string]string{"runner": lis.Addr().String(), "member": h.address} {
		conn, err := tls.Dial("tcp", address, h.ca.MemberTLS(h.gateway.cfg.Certificate, store.NewID()))
		if err == nil {
			_ = conn.Close()
			t.Errorf("another %s is taken for the member that was called", what)
		}
	}
}

// A runner is told of a member that joins after its session began.
func TestRunnerIsToldOfNewMember(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		first := newMember(t, st, "first", time.Second)
		s := first.start(first.enrol())
		s.members = true
		second := newMember(t, st, "second", time.Second)
		got := s.recv().GetMembers().GetGateways()
		if want := []string{first.address, second.address}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

// wayTo is an address that leads to another member once it is open; until then it hangs up.
type wayTo struct {
	address string
	open    atomic.Bool
	called  atomic.Int64
}

func (h *testHub) wayTo(t *testing.T) *wayTo {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	t.Cleanup(func() { _ = lis.Close() })
	w := &wayTo{address: lis.Addr().String()}
	go func() {
		for {
			from, err := lis.Accept()
			if err != nil {
				return
			}
			w.called.Add(1)
			if !w.open.Load() {
				_ = from.Close()
				continue
			}
			go func() {
				defer from.Close()
				to, err := net.Dial("tcp", h.address)
				if err != nil {
					return
				}
				defer to.Close()
				go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
	return w
}

// peersBy makes the peers of a member that knows h alone, by that way.
func (h *testHub) peersBy(t *testing.T, w *wayTo, deliver func(hub.Event)) *Peers {
	t.Helper()
	members, err := h.st.Members(t.Context())
	h.must(err)
	own, err := h.ca.Member(store.NewID())
	h.must(err)
	p := NewPeers(PeersConfig{
		Others:    func() []*hub.Member { return []*hub.Member{{ID: members[0].ID, Name: "far", Address: w.address}} },
		TLS:       func(id string) *tls.Config { return h.ca.MemberTLS(func() *tls.Certificate { return own }, id) },
		Deliver:   deliver,
		Fleet:     func(context.Context, string, bool, []hub.FleetRunner) error { return nil },
		FleetGone: func(string) {}, Chunks: func(string, []store.ChunkRow, bool) {},
	}, storetest.Logger(t))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); h.must(<-done) })
	return p
}

// What came and went while another member could not be reached, more than can wait for it,
// ends nothing that is wanted when it can.
func TestInterestsOutliveALongSilence(t *testing.T) {
	t.Parallel()
	far := newHub(t)
	way := far.wayTo(t)
	var heard, began atomic.Bool
	p := far.peersBy(t, way, func(e hub.Event) {
		switch {
		case e.Kind == hub.EventRunner && e.OrganisationID == org:
			heard.Store(true)
		case e.Kind == hub.EventResync && e.OrganisationID == "last":
			began.Store(true)
		}
	})
	far.eventually("is called", func() bool { return way.called.Load() > 0 })
	i := hub.Interest{OrganisationID: org}
	for range maxQueued {
		p.Watch(i)()
	}
	defer p.Watch(i)()
	way.open.Store(true)
	far.eventually("hears who calls it", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, one := range p.list {
			return one.heard.Load()
		}
		return false
	})
	defer p.Watch(hub.Interest{OrganisationID: "last"})()
	far.eventually("knows the last interest", began.Load)
	far.dispatch.Publish(hub.Event{Kind: hub.EventRunner, OrganisationID: org})
	far.eventually("tells an event", heard.Load)
}

// Members find each other soon however long they could not.
func TestPeersAreTriedOften(t *testing.T) {
	t.Parallel()
	far := newHub(t)
	way := far.wayTo(t)
	far.peersBy(t, way, func(hub.Event) {})
	began := time.Now()
	far.eventually("is called", func() bool { return way.called.Load() >= 5 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("five tries took %v", took)
	}
}
