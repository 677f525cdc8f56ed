package dispatch_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

// patience is how long a test waits for what must come: long, since a machine may be
// busy; no test that passes waits for it. With a rule broken on purpose it is short.
var patience = func() time.Duration {
	if os.Getenv("FAIRLEAD_MUTANT") != "" { //nolint:forbidigo // a test has no cmd to read it
		return 10 * time.Second
	}
	return time.Minute
}()

// bench is a hub without its edges: real store, real dispatch and output.
type bench struct {
	t       testing.TB
	st      *store.Store
	d       *dispatch.Dispatcher
	o       *output.Output
	tick    atomic.Int64
	project *hub.Project
}

// newBench starts a hub on a store. Ticks stand still unless the test moves them.
func newBench(t testing.TB, st *store.Store, change ...func(*dispatch.Config)) *bench {
	t.Helper()
	b := &bench{t: t, st: st}
	b.project = &hub.Project{OrganisationID: hub.DefaultOrganisationID, Name: "web"}
	if p, err := st.Project(t.Context(), hub.DefaultOrganisationID, "web"); err == nil {
		b.project = p
	} else if err := st.CreateProject(t.Context(), b.project); err != nil {
		t.Fatal(err)
	}
	b.tick.Store(100)
	b.start(change...)
	return b
}

func (b *bench) clock() (int64, hub.DBMark) { return b.tick.Load(), hub.DBMark{Tick: b.tick.Load()} }

// start makes a member on the bench's store; called again, a second one.
func (b *bench) start(change ...func(*dispatch.Config)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	log := storetest.Logger(b.t)
	var o *output.Output
	cfg := dispatch.Config{
		MemberID: "m1", Clock: b.clock, Poll: 25 * time.Millisecond,
		Published: func(id string, chunks []hub.Chunk) { o.Publish(id, chunks) },
	}
	for _, c := range change {
		c(&cfg)
	}
	d := dispatch.New(b.st, cfg, log)
	o = output.New(b.st, output.Config{MemberID: "m1", Clock: b.clock, Whole: d.LogWhole, Events: d.Subscribe, Poll: 25 * time.Millisecond}, log)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	wg.Go(func() {
		if err := o.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	b.d, b.o = d, o
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	b.t.Cleanup(stop)
	// The first tick that a member reads is the one it counts a lease from before it calls a
	// runner silent: it must be the one of before whatever the test adds.
	if cfg.Poll < time.Second {
		b.await("the member's first look", func() bool { return d.Looked() > 0 })
	}
	return stop
}

// nodes makes the inventory of the project.
func (b *bench) nodes(names ...string) {
	b.t.Helper()
	var list []hub.Node
	for _, n := range names {
		list = append(list, hub.Node{Name: n, Hostname: n, Tags: []string{n[:1]}, Attributes: map[string]string{"node-executor": "local"}})
	}
	if _, err := b.st.ReplaceNodes(b.t.Context(), b.project.ID, list); err != nil {
		b.t.Fatal(err)
	}
}

// routes sends nodes tagged with a letter to runners with that tag.
func (b *bench) routes(tags ...string) {
	b.t.Helper()
	for _, t := range tags {
		b.project.Routes = append(b.project.Routes, hub.Route{Filter: "tags: " + t, Tags: []string{t}})
	}
	if err := b.st.UpdateProject(b.t.Context(), b.project); err != nil {
		b.t.Fatal(err)
	}
}

// runnerSim is a runner's side of the protocol, as far as the hub sees it.
type runnerSim struct {
	b     *bench
	d     *dispatch.Dispatcher
	row   *hub.Runner
	ref   hub.SessionRef
	boot  []byte
	host  []byte
	epoch int64 // on its disk, as are the marks and their incarnation
	marks []hub.DBMark
	inc   int64
	nonce []byte
	// protocol is the version that its build speaks; 0: this one's.
	protocol uint32
	detach   func()
	*inbox   // of the latest session
}

// inbox is what one session of a runner was sent. The hub may send to a session that
// the runner has left already.
type inbox struct {
	offers chan hub.Offer
	stops  chan hub.StopScope
	forget chan hub.Fence

	ended atomic.Bool

	mu      sync.Mutex
	offered map[hub.Fence]bool
}

func newInbox() *inbox {
	return &inbox{
		offers: make(chan hub.Offer, 1000), stops: make(chan hub.StopScope, 1000), forget: make(chan hub.Fence, 1000),
		offered: make(map[hub.Fence]bool),
	}
}

// Offer keeps an offer once: the hub may repeat it at any time, and a runner knows it
// from its journal.
func (i *inbox) Offer(o hub.Offer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.offered[o.Fence] {
		return
	}
	i.offered[o.Fence] = true
	select {
	case i.offers <- o:
	default:
	}
}

func (i *inbox) Stop(_ hub.Fence, s hub.StopScope) {
	select {
	case i.stops <- s:
	default:
	}
}

func (i *inbox) Forget(f hub.Fence) {
	select {
	case i.forget <- f:
	default:
	}
}
func (i *inbox) Drain([]string) {}
func (i *inbox) End(error)      { i.ended.Store(true) }

var nonces atomic.Int64

// runner enrols and connects a runner.
func (b *bench) runner(name string, slots int, tags ...string) *runnerSim {
	b.t.Helper()
	row := &hub.Runner{OrganisationID: hub.DefaultOrganisationID, Name: name, Tags: tags, Slots: slots}
	if err := b.st.CreateRunner(b.t.Context(), row); err != nil {
		b.t.Fatal(err)
	}
	r := &runnerSim{b: b, d: b.d, row: row, boot: []byte("boot-" + name), host: []byte("host-" + name)}
	r.connect()
	return r
}

// copyOf is another process that uses the same identity and the same disk.
func (r *runnerSim) copyOf() *runnerSim {
	return &runnerSim{b: r.b, d: r.d, row: r.row, boot: []byte("boot-copy"), host: []byte("host-copy"), epoch: r.epoch}
}

func (r *runnerSim) hello(inventory ...hub.Holding) hub.Welcome {
	r.b.t.Helper()
	w, err := r.tryHello(inventory...)
	if err != nil {
		r.b.t.Fatalf("hello: %v", err)
	}
	return w
}

func (r *runnerSim) tryHello(inventory ...hub.Holding) (hub.Welcome, error) {
	if r.nonce == nil {
		r.nonce = fmt.Appendf(nil, "process-%d", nonces.Add(1))
	}
	w, err := r.d.Hello(r.b.t.Context(), hub.Hello{
		RunnerID: r.row.ID, OrganisationID: r.row.OrganisationID, Nonce: r.nonce, BootID: r.boot, HostID: r.host,
		SessionEpoch: r.epoch, Slots: r.row.Slots, Version: "1", Inventory: inventory, DBMarks: r.marks, Incarnation: r.inc,
		Protocol: cmp.Or(r.protocol, wire.MaxProtocolVersion),
	})
	r.ref = hub.SessionRef{
		RunnerID: r.row.ID, OrganisationID: r.row.OrganisationID, Epoch: w.SessionEpoch, Protocol: cmp.Or(r.protocol, wire.MaxProtocolVersion),
	}
	return w, err
}

// connect is Hello, the sync of the epoch, Confirm.
func (r *runnerSim) connect(inventory ...hub.Holding) hub.Welcome {
	r.b.t.Helper()
	w := r.hello(inventory...)
	r.epoch, r.inc = w.SessionEpoch, w.Incarnation
	if w.DBMark.MAC != nil {
		r.marks = []hub.DBMark{w.DBMark}
	}
	if err := r.d.Confirm(r.b.t.Context(), r.ref); err != nil {
		r.b.t.Fatalf("confirm: %v", err)
	}
	r.inbox = newInbox()
	r.detach = r.d.Attach(r.ref, r.inbox)
	return w
}

func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	var v T
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("no %s in time", what)
	}
	return v
}

// claim takes an offer and claims it.
func (r *runnerSim) claim() *attemptSim {
	r.b.t.Helper()
	o := receive(r.b.t, "offer for "+r.row.Name, r.offers)
	return r.claimOffer(o)
}

func (r *runnerSim) claimOffer(o hub.Offer) *attemptSim {
	r.b.t.Helper()
	g, err := r.d.Claim(r.b.t.Context(), r.ref, o.Fence)
	if err != nil {
		r.b.t.Fatalf("claim: %v", err)
	}
	if g.SessionEpoch != r.ref.Epoch || g.Fence != o.Fence {
		r.b.t.Fatalf("grant is for %v in session %d, want %v in %d", g.Fence, g.SessionEpoch, o.Fence, r.ref.Epoch)
	}
	a := &attemptSim{r: r, offer: o, fence: o.Fence, mac: g.MAC, boot: r.boot}
	a.add(hub.StepRecord{Kind: hub.RecordGranted})
	return a
}

// attemptSim is the journal and spool of one attempt.
type attemptSim struct {
	r       *runnerSim
	offer   hub.Offer
	fence   hub.Fence
	mac     []byte // the hub's proof of the grant, and the boot that it was made to
	boot    []byte
	records []hub.StepRecord
	sent    int
	outcome hub.Status // of the result
	chunks  []hub.Chunk
}

func (a *attemptSim) hash(n int) [32]byte {
	if n == 0 {
		return [32]byte{}
	}
	return a.records[n-1].Hash
}

func (a *attemptSim) add(r hub.StepRecord) {
	r.N = int64(len(a.records))
	r.Time = time.Unix(1_800_000_000, 0).UTC()
	prev := a.hash(len(a.records))
	r.Hash = sha256.Sum256(fmt.Appendf(prev[:], "%v %v %v", r.Kind, r.Cell, r.Status))
	a.records = append(a.records, r)
}

func (a *attemptSim) started(node, step int) {
	a.add(hub.StepRecord{Kind: hub.RecordStarted, Cell: hub.Cell{Node: node, Step: step, Try: 1}})
}

func (a *attemptSim) ended(node, step int, status hub.Status) {
	a.add(hub.StepRecord{Kind: hub.RecordEnded, Cell: hub.Cell{Node: node, Step: step, Try: 1}, Status: status, EndProven: true, Exited: true})
}

func (a *attemptSim) run(node, step int, status hub.Status) {
	a.started(node, step)
	a.ended(node, step, status)
}

// runAll runs every step on every node.
func (a *attemptSim) runAll(status hub.Status) {
	for n := range a.offer.Assignment.Nodes {
		for s := range a.offer.Assignment.Steps {
			a.run(n, s, status)
		}
	}
}

// print cuts one chunk of lines of a cell.
func (a *attemptSim) print(node, step int, lines ...string) hub.Chunk {
	var frames []byte
	for _, l := range lines {
		frames = wire.AppendFrame(frames, wire.Frame{Node: uint32(node), Step: uint32(step), Try: 1, Time: 1, Data: []byte(l)})
	}
	var prev [32]byte
	if n := len(a.chunks); n > 0 {
		prev = a.chunks[n-1].Hash
	}
	c := hub.Chunk{
		RunnerID: a.r.row.ID, Fence: a.fence, Seq: int64(len(a.chunks)), Lines: len(lines), Bytes: len(frames),
		Hash: wire.NextChunkHash(prev, uint64(len(a.chunks)), frames), Data: encoder().EncodeAll(frames, nil), Nodes: []int{node},
	}
	a.chunks = append(a.chunks, c)
	return c
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e
})

// steps is the frame with the records from first on.
func (a *attemptSim) steps(first int) hub.Steps {
	return hub.Steps{RunnerID: a.r.row.ID, Fence: a.fence, FirstN: int64(first), PrevHash: a.hash(first), Records: a.records[first:]}
}

// report sends what was not sent.
func (a *attemptSim) report() {
	a.r.b.t.Helper()
	next, err := a.r.d.Steps(a.r.b.t.Context(), a.steps(a.sent))
	if err != nil || next != int64(len(a.records)) {
		a.r.b.t.Fatalf("steps: next %d, err %v; want %d", next, err, len(a.records))
	}
	a.sent = len(a.records)
}

// result closes the journal and makes the frame, with the records from first and the
// chunks from chunk on.
func (a *attemptSim) result(outcome hub.Status, first, chunk int) hub.Result {
	if last := a.records[len(a.records)-1]; last.Kind != hub.RecordClosed {
		a.add(hub.StepRecord{Kind: hub.RecordClosed, Total: int64(len(a.records) + 1)})
	}
	r := hub.Result{
		Steps: a.steps(first), Outcome: outcome, StepsTotal: int64(len(a.records)), StepsHash: a.hash(len(a.records)),
		LogTotal: int64(len(a.chunks)), Signature: []byte("signed"), Chunks: a.chunks[chunk:],
	}
	if n := len(a.chunks); n > 0 {
		r.LogHash = a.chunks[n-1].Hash
	}
	return r
}

// finish sends the result with everything that was not sent.
func (a *attemptSim) finish(outcome hub.Status) {
	a.r.b.t.Helper()
	next, err := a.r.d.Result(a.r.b.t.Context(), a.result(outcome, a.sent, 0))
	if err != nil || next != int64(len(a.chunks)) {
		a.r.b.t.Fatalf("result: log next %d, err %v; want %d", next, err, len(a.chunks))
	}
}

// job makes a definition of exec steps.
func job(steps ...string) *hub.Job {
	j := &hub.Job{Name: "test"}
	j.Workflow.Strategy = hub.StrategyNodeFirst
	for _, s := range steps {
		j.Workflow.Steps = append(j.Workflow.Steps, hub.Step{Exec: s})
	}
	return j
}

// onNodes sends a job to all nodes, some at once.
func onNodes(j *hub.Job, threads string, keepgoing bool) *hub.Job {
	j.Dispatch = hub.Dispatch{Nodes: true, Filter: ".*", Threadcount: threads, Keepgoing: keepgoing}
	return j
}

func (b *bench) run(j *hub.Job) *hub.Execution {
	b.t.Helper()
	e, err := b.d.Start(b.t.Context(), dispatch.StartRequest{OrganisationID: hub.DefaultOrganisationID, ProjectID: "web", Definition: j, By: "test"})
	if err != nil {
		b.t.Fatalf("start: %v", err)
	}
	return &e.Execution
}

// wait returns an execution that must end. What is told of its end, without a reading,
// must be what the database has.
func (b *bench) wait(e *hub.Execution) *hub.Execution {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	row, err := b.d.Execution(ctx, e.OrganisationID, e.ID)
	if err == nil {
		row, err = b.d.Wait(ctx, row, false)
	}
	if err != nil || !row.Status.Final() {
		b.t.Fatalf("execution did not end: %+v, err %v", row, err)
	}
	stored, err := b.d.Execution(b.t.Context(), e.OrganisationID, e.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if diff := gocmp.Diff(stored, row, cmpopts.IgnoreUnexported(store.ExecutionRow{}), cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("told of the end is not what is stored: %s", diff)
	}
	return &row.Execution
}

// wantEnd waits for an execution and compares its end.
func (b *bench) wantEnd(e *hub.Execution, want hub.Status, logComplete bool) *hub.Execution {
	b.t.Helper()
	got := b.wait(e)
	if got.Status != want || got.Outcome != want || got.LogComplete != logComplete {
		b.t.Fatalf("execution ended %s (outcome %s, log complete %v), want %s (%v)", got.Status, got.Outcome, got.LogComplete, want, logComplete)
	}
	return got
}

// cell is the newest try of a step on a node, or none.
func (b *bench) cell(e *hub.Execution, node, step int) (newest hub.NodeStep) {
	b.t.Helper()
	rows, err := b.st.NodeSteps(b.t.Context(), e.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range rows {
		if r.Node == node && r.Step == step && r.Try > newest.Try {
			newest = r
		}
	}
	return newest
}

// text reads a log whole.
func (b *bench) text(q output.Query) (text string, cursor string) {
	b.t.Helper()
	q.OrganisationID = hub.DefaultOrganisationID
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	for batch, err := range b.o.Read(ctx, q) {
		if err != nil {
			b.t.Fatal(err)
		}
		for _, l := range batch.Lines {
			text += string(l.Data) + "\n"
		}
		cursor = batch.Cursor()
	}
	return text, cursor
}
