package apitest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/retention"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
)

// services makes dispatch and output, each knowing the other.
func (h *Hub) services(members *cluster.Cluster, secrets *keys.Keys, t testing.TB) {
	log := storetest.Logger(t)
	h.Dispatch = dispatch.New(h.Store, dispatch.Config{
		MemberID: members.MemberID(), Clock: members.Clock, Hold: members.Hold, GrantMAC: members.GrantMAC,
		MarkIncarnation: members.MarkIncarnation, NewestMark: members.NewestMark, Secrets: secrets.Secrets, SealOptions: secrets.SealOptions,
		Published: func(id string, chunks []hub.Chunk) { h.Output.Publish(id, chunks) },
	}, log)
	h.Output = output.New(h.Store, output.Config{
		MemberID: members.MemberID(), Clock: members.Clock,
		Whole:  h.Dispatch.LogWhole,
		Events: h.Dispatch.Subscribe, Archives: &h.archives,
	}, log)
	path, err := archive.ParsePath(archive.DefaultPath)
	must(t, err)
	h.Purger = retention.New(h.Store, retention.Config{MemberID: members.MemberID(), Archives: &h.archives, Age: 90 * 24 * time.Hour}, log)
	h.Packer = output.NewPacker(h.Store, output.PackerConfig{MemberID: members.MemberID(), Archives: &h.archives, Path: path}, log)
}

func serverTLS(cert *tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert}}
}

// Play is what a runner does with a granted attempt: a stop asked for ends ctx.
type Play func(ctx context.Context, a *Attempt) error

// Runner is a runner in the test's own process, connected to dispatch as the gateway
// would connect it.
type Runner struct {
	ID   string
	hub  *Hub
	ref  hub.SessionRef
	play Play
	t    testing.TB
	// key signs results; nil: they bear no good signature.
	key *ecdsa.PrivateKey

	mu      sync.Mutex // guards gone and running
	gone    bool       // nothing is taken any more
	running map[string]context.CancelFunc
	work    sync.WaitGroup
}

// Runner connects a runner; nil plays Succeed.
func (h *Hub) Runner(t testing.TB, name string, play Play) *Runner {
	t.Helper()
	if play == nil {
		play = Succeed
	}
	_, sealing, err := wire.SealingKey()
	must(t, err)
	row := &hub.Runner{OrganisationID: hub.DefaultOrganisationID, Name: name, SealingKey: sealing, Slots: 16}
	must(t, h.Store.CreateRunner(t.Context(), row))
	return h.connect(t, row, play)
}

// Signer connects a runner that was enrolled, and signs its results as runners do.
func (h *Hub) Signer(t testing.TB, name string, play Play) *Runner {
	t.Helper()
	_, sealing, err := wire.SealingKey()
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	token, _, err := h.CA.CreateToken(t.Context(), ca.NewToken{OrganisationID: hub.DefaultOrganisationID, By: "admin"})
	must(t, err)
	enrolled, err := h.CA.Enrol(t.Context(), ca.Enrolment{Token: token, Request: request, SealingKey: sealing, Name: name})
	must(t, err)
	r := h.connect(t, enrolled.Runner, play)
	r.key = key
	return r
}

// connect opens the session of a runner.
func (h *Hub) connect(t testing.TB, row *hub.Runner, play Play) *Runner {
	t.Helper()
	name := row.Name
	welcome, err := h.Dispatch.Hello(t.Context(), hub.Hello{
		RunnerID: row.ID, OrganisationID: row.OrganisationID, Nonce: random(16), BootID: random(32), HostID: random(32),
		Slots: 16, Version: "test", OS: "linux", Arch: "amd64", Hostname: name,
		Protocol: wire.MaxProtocolVersion,
	})
	must(t, err)
	r := &Runner{
		ID: row.ID, hub: h, play: play, t: t, running: map[string]context.CancelFunc{},
		ref: hub.SessionRef{RunnerID: row.ID, OrganisationID: row.OrganisationID, Epoch: welcome.SessionEpoch, Protocol: wire.MaxProtocolVersion},
	}
	must(t, h.Dispatch.Confirm(t.Context(), r.ref))
	detach := h.Dispatch.Attach(r.ref, r)
	t.Cleanup(func() {
		detach()
		r.mu.Lock()
		r.gone = true // an offer may be on its way to here still
		for _, cancel := range r.running {
			cancel()
		}
		r.mu.Unlock()
		r.work.Wait()
	})
	return r
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// Offer implements dispatch.Sink.
func (r *Runner) Offer(o hub.Offer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.running[o.Fence.AttemptID]; known || r.gone {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.running[o.Fence.AttemptID] = cancel
	r.work.Go(func() { r.run(ctx, o) })
}

// Stop implements dispatch.Sink.
func (r *Runner) Stop(f hub.Fence, _ hub.StopScope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.running[f.AttemptID]; cancel != nil {
		cancel()
	}
}

// Forget implements dispatch.Sink.
func (r *Runner) Forget(hub.Fence) {}

// Drain implements dispatch.Sink.
func (r *Runner) Drain([]string) {}

// End implements dispatch.Sink.
func (r *Runner) End(error) {}

// run claims an offer and plays it.
func (r *Runner) run(ctx context.Context, o hub.Offer) {
	background := context.WithoutCancel(ctx)
	grant, err := r.hub.Dispatch.Claim(background, r.ref, o.Fence)
	if err != nil {
		if _, ok := errors.AsType[*hub.Refused](err); !ok {
			r.t.Errorf("claim: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.running, o.Fence.AttemptID) // it may be offered again
		return
	}
	a := &Attempt{Offer: o, Secrets: grant.Secrets, runner: r}
	a.record(background, hub.StepRecord{Kind: hub.RecordGranted})
	if err := r.play(ctx, a); err != nil {
		return // the test plays a runner that is gone
	}
	a.close(background)
}

// Attempt is a granted attempt.
type Attempt struct {
	hub.Offer
	Secrets *hub.Secrets // of the grant
	runner  *Runner

	mu      sync.Mutex // guards what follows
	n       int64
	hash    wire.Hash
	seq     uint64
	logHash wire.Hash
	lines   int64
	outcome hub.Status
}

// Started tells that a node step has started; positions are those of the assignment.
func (a *Attempt) Started(node, step int) {
	a.record(context.Background(), hub.StepRecord{Kind: hub.RecordStarted, Cell: hub.Cell{Node: node, Step: step, Try: 1}})
}

// Ended tells how a node step ended.
func (a *Attempt) Ended(node, step int, status hub.Status, code int) {
	a.mu.Lock()
	if a.outcome == "" {
		a.outcome = hub.StatusSkipped
	}
	a.outcome = hub.Fold(a.outcome, status)
	a.mu.Unlock()
	a.record(context.Background(), hub.StepRecord{
		Kind: hub.RecordEnded, Cell: hub.Cell{Node: node, Step: step, Try: 1}, Status: status, Code: code,
		Exited: status == hub.StatusSucceeded || status == hub.StatusFailed, EndProven: true,
	})
}

// record numbers, chains and tells a record.
func (a *Attempt) record(ctx context.Context, rec hub.StepRecord) {
	a.mu.Lock()
	defer a.mu.Unlock()
	prev := a.hash
	a.hash = wire.NextRecordHash(prev, binary.BigEndian.AppendUint64([]byte(rec.Kind), uint64(a.n)))
	rec.N, rec.Hash, rec.Time = a.n, a.hash, time.Now()
	if _, err := a.runner.hub.Dispatch.Steps(ctx, hub.Steps{
		RunnerID: a.runner.ID, Fence: a.Fence, FirstN: a.n, PrevHash: prev, Records: []hub.StepRecord{rec},
	}); err != nil {
		a.runner.t.Errorf("steps: %v", err)
	}
	a.n++
}

// Print tells lines of output of a node step, in one chunk, and waits until they are
// stored.
func (a *Attempt) Print(node, step int, lines ...string) {
	var frames []wire.Frame
	for _, l := range lines {
		frames = append(frames, wire.Frame{Node: uint32(node), Step: uint32(step), Try: 1, Time: time.Now().UnixMicro(), Data: []byte(l)})
	}
	a.Frames(frames...)
}

// Frames tells frames as they are.
func (a *Attempt) Frames(frames ...wire.Frame) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var raw []byte
	nodes := map[int]bool{}
	for _, f := range frames {
		raw = wire.AppendFrame(raw, f)
		nodes[int(f.Node)] = true
	}
	a.logHash = wire.NextChunkHash(a.logHash, a.seq, raw)
	c := hub.Chunk{
		RunnerID: a.runner.ID, Fence: a.Fence, Seq: int64(a.seq), FirstLine: a.lines, Lines: len(frames), Bytes: len(raw),
		Hash: a.logHash, Data: compress(raw),
	}
	for n := range nodes {
		c.Nodes = append(c.Nodes, n)
	}
	acks, err := a.runner.hub.Output.Append(context.Background(), []hub.Chunk{c})
	if err != nil || len(acks) != 1 || acks[0].NextSeq != int64(a.seq)+1 {
		a.runner.t.Errorf("chunk %d: %+v, %v", a.seq, acks, err)
	}
	a.seq++
	a.lines += int64(len(frames))
}

func compress(raw []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // no options contradict
	}
	return w.EncodeAll(raw, nil)
}

// close ends the attempt.
func (a *Attempt) close(ctx context.Context) {
	a.record(ctx, hub.StepRecord{Kind: hub.RecordClosed, Total: a.n})
	a.mu.Lock()
	defer a.mu.Unlock()
	r := hub.Result{Outcome: a.outcome, StepsTotal: a.n, LogTotal: int64(a.seq), StepsHash: a.hash, LogHash: a.logHash}
	sum := sha256.Sum256(a.hash[:])
	r.RunnerID, r.Fence, r.FirstN, r.PrevHash, r.Signature = a.runner.ID, a.Fence, a.n, a.hash, sum[:]
	if a.runner.key != nil {
		r.Signature = a.runner.sign(&r)
	}
	if _, err := a.runner.hub.Dispatch.Result(ctx, r); err != nil {
		a.runner.t.Errorf("result: %v", err)
	}
}

// sign signs a result. The contract numbers outcomes in this order.
func (r *Runner) sign(result *hub.Result) []byte {
	order := []hub.Status{"", hub.StatusSucceeded, hub.StatusFailed, hub.StatusTimedOut, hub.StatusCancelled, hub.StatusUnknown, hub.StatusSkipped}
	digest := wire.ResultDigest(wire.Result{
		Incarnation: uint64(result.Fence.Incarnation), AttemptID: result.Fence.AttemptID, Epoch: uint32(result.Fence.Epoch),
		Outcome: int32(slices.Index(order, result.Outcome)), StepsTotal: uint64(result.StepsTotal), StepsHash: result.StepsHash,
		LogTotal: uint64(result.LogTotal), LogHash: result.LogHash,
	})
	signature, err := ecdsa.SignASN1(rand.Reader, r.key, digest[:])
	if err != nil {
		r.t.Errorf("signing a result: %v", err)
	}
	return signature
}

// Node is the name of the node at a position of the assignment.
func (a *Attempt) Node(i int) string { return a.Execution.Nodes[a.Assignment.Nodes[i]].Name }

// Succeed runs every step on every node with one line of output each.
func Succeed(_ context.Context, a *Attempt) error {
	for n := range a.Assignment.Nodes {
		for s := range a.Assignment.Steps {
			a.Started(n, s)
			a.Print(n, s, "hello from "+a.Node(n))
			a.Ended(n, s, hub.StatusSucceeded, 0)
		}
	}
	return nil
}

// Fail ends every first step with exit status 3 and skips the others.
func Fail(_ context.Context, a *Attempt) error {
	for n := range a.Assignment.Nodes {
		a.Started(n, 0)
		a.Print(n, 0, "no such thing")
		a.Ended(n, 0, hub.StatusFailed, 3)
		for s := 1; s < len(a.Assignment.Steps); s++ {
			a.Ended(n, s, hub.StatusSkipped, 0)
		}
	}
	return nil
}

// Receive returns what must come; a test is told after a minute that it did not.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	var v T
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatalf("waited a minute in vain for %s", what)
	}
	return v
}

// Await waits, in a Play, for what the test says; the error tells that the attempt is
// stopped, or the test over: a Play that waited on would keep the test from ending.
func Await[T any](ctx context.Context, from <-chan T) error {
	select {
	case <-from:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// UntilStopped runs until it is told to stop, and then ends as cancelled.
func UntilStopped(ctx context.Context, a *Attempt) error {
	for n := range a.Assignment.Nodes {
		a.Started(n, 0)
		a.Print(n, 0, "running on "+a.Node(n))
	}
	<-ctx.Done()
	for n := range a.Assignment.Nodes {
		for s := range a.Assignment.Steps {
			a.Ended(n, s, hub.StatusCancelled, 0)
		}
	}
	return nil
}
