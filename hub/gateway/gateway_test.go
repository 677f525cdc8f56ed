package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Every method of every service is in the table, as what it is.
func TestMethodTable(t *testing.T) {
	t.Parallel()
	served := map[string]access{}
	for name, info := range newHub(t).gateway.server().GetServiceInfo() {
		for _, m := range info.Methods {
			full := "/" + name + "/" + m.Name
			a, ok := methods[full]
			if !ok {
				t.Errorf("%s has no entry", full)
			}
			if stream := m.IsClientStream || m.IsServerStream; a.stream != stream {
				t.Errorf("%s: stream is %v in the table, %v in the service", full, a.stream, stream)
			}
			served[full] = a
		}
	}
	for full := range methods {
		if _, ok := served[full]; !ok {
			t.Errorf("%s is in the table and not served", full)
		}
	}
}

// callers calls each method as somebody and tells the codes.
func (h *testHub) codes(cert *tls.Certificate) map[string]codes.Code {
	conn, out := h.dial(cert), map[string]codes.Code{}
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	for full, a := range methods {
		var err error
		if a.stream {
			var s grpc.ClientStream
			if s, err = conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, full); err == nil {
				_ = s.CloseSend() // a stream that is let in ends at once
				err = s.RecvMsg(&runnerv1.SessionResponse{})
			}
		} else {
			err = conn.Invoke(ctx, full, &runnerv1.EnrolRequest{}, &runnerv1.EnrolResponse{})
		}
		code := status.Code(err)
		if errors.Is(err, io.EOF) {
			code = codes.OK // let in, and ended with nothing to say
		}
		out[full[strings.LastIndexByte(full, '/')+1:]] = code
	}
	return out
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	now := time.Now()
	uri := r.cert.Leaf.URIs[0].String()
	other := h.enrol() // a first use ends a runner's older certificates, so each has its own
	remember := func(r *testRunner, cert *tls.Certificate) *tls.Certificate {
		key := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
		h.must(h.st.AddRunnerCertificate(context.Background(), &hub.RunnerCertificate{
			Serial: ca.Serial(cert.Leaf), RunnerID: r.id, PublicKey: key[:], DER: cert.Leaf.Raw, NotAfter: cert.Leaf.NotAfter,
		}))
		return cert
	}
	member, err := h.ca.Member(store.NewID())
	h.must(err)
	revoked := h.enrol()
	h.must(h.st.RevokeRunner(context.Background(), org, revoked.id))
	refused := func(code, forMembers codes.Code) map[string]codes.Code {
		// Enrol takes anyone, and refuses the empty request for its token.
		return map[string]codes.Code{
			"Enrol": codes.Unauthenticated, "RenewCertificate": code, "Session": code, "Output": code,
			"Wake": forMembers, "Commits": forMembers, "Watch": forMembers, "Follow": forMembers,
		}
	}
	all := func(code codes.Code) map[string]codes.Code {
		return map[string]codes.Code{
			"Enrol": code, "RenewCertificate": code, "Session": code, "Output": code,
			"Wake": code, "Commits": code, "Watch": code, "Follow": code,
		}
	}
	foreign := newHub(t)
	for name, tc := range map[string]struct {
		cert *tls.Certificate
		want map[string]codes.Code
	}{
		"nobody":   {nil, refused(codes.Unauthenticated, codes.Unauthenticated)},
		"member":   {member, refused(codes.PermissionDenied, codes.OK)},
		"revoked":  {revoked.cert, refused(codes.Unauthenticated, codes.PermissionDenied)},
		"stranger": {foreign.enrol().cert, all(codes.Unavailable)}, // the handshake fails
		"expired": {remember(r, h.forge(r, uri, now.Add(-48*time.Hour), now.Add(-time.Hour))), map[string]codes.Code{
			"Enrol": codes.Unauthenticated, "RenewCertificate": codes.InvalidArgument, "Session": codes.Unauthenticated, "Output": codes.Unauthenticated,
			"Wake": codes.Unauthenticated, "Commits": codes.Unauthenticated, "Watch": codes.Unauthenticated, "Follow": codes.Unauthenticated,
		}},
		"lost and expired":  {h.forge(r, uri, now.Add(-48*time.Hour), now.Add(-time.Hour)), refused(codes.Unauthenticated, codes.Unauthenticated)},
		"lost of a revoked": {h.forge(revoked, revoked.cert.Leaf.URIs[0].String(), now.Add(-time.Hour), now.Add(time.Hour)), refused(codes.Unauthenticated, codes.PermissionDenied)},
		"other project":     {remember(other, h.forge(other, strings.Replace(other.cert.Leaf.URIs[0].String(), org, store.NewID(), 1), now.Add(-time.Hour), now.Add(time.Hour))), refused(codes.Unauthenticated, codes.PermissionDenied)},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.codes(tc.cert)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
		})
	}
}

// A certificate that this CA signed and the database does not know was issued in what the
// database lost. Its runner is let in, but trusted with nothing before a person looked.
func TestCertificatesOfALostHistory(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	known := h.enrol()
	ctx, now, uri := context.Background(), time.Now(), known.cert.Leaf.URIs[0].String()
	renewed := h.forge(known, uri, now.Add(-time.Hour), now.Add(time.Hour))
	h.start(&testRunner{id: known.id, conn: h.dial(renewed)})
	if row, err := h.st.Runner(ctx, known.id); err != nil || row.Quarantined != "" {
		t.Errorf("a known runner with a lost certificate is %+v, %v", row, err)
	}
	lost := &testRunner{id: store.NewID()}
	lost.conn = h.dial(h.forge(known, strings.Replace(uri, known.id, lost.id, 1), now.Add(-time.Hour), now.Add(time.Hour)))
	h.start(lost)
	row, err := h.st.Runner(ctx, lost.id)
	if err != nil || row.Quarantined == "" || len(row.ProjectIDs) != 1 {
		t.Errorf("a lost runner is %+v, %v; want it under quarantine and for no project", row, err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	conn, err := tls.Dial("tcp", h.address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		_ = conn.Close()
		t.Error("TLS 1.2 was taken")
	}
}

func TestSessionRules(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	fence := &runnerv1.Fence{Incarnation: 1, AttemptId: store.NewID(), Epoch: 1}
	change := func(f func(*runnerv1.Hello)) *runnerv1.SessionRequest {
		m := hello()
		f(m)
		return &runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Hello{Hello: m}}
	}
	page := func(n int) []*runnerv1.Holding {
		return slices.Repeat([]*runnerv1.Holding{{Fence: fence, State: runnerv1.Holding_STATE_OFFERED}}, n)
	}
	greeting := &runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Hello{Hello: hello()}}
	for name, tc := range map[string]struct {
		frames []*runnerv1.SessionRequest
		code   codes.Code
		words  string
	}{
		"nothing":           {nil, codes.InvalidArgument, "Hello in time"},
		"claim first":       {[]*runnerv1.SessionRequest{{Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: fence}}}}, codes.InvalidArgument, "Hello"},
		"newer protocol":    {[]*runnerv1.SessionRequest{change(func(m *runnerv1.Hello) { m.MinVersion, m.MaxVersion = 90, 99 })}, codes.FailedPrecondition, "upgrade this side"},
		"no protocol":       {[]*runnerv1.SessionRequest{change(func(m *runnerv1.Hello) { m.MinVersion, m.MaxVersion = 0, 0 })}, codes.FailedPrecondition, "no valid protocol range"},
		"short nonce":       {[]*runnerv1.SessionRequest{change(func(m *runnerv1.Hello) { m.InstanceNonce = nil })}, codes.InvalidArgument, "nonce"},
		"no boot":           {[]*runnerv1.SessionRequest{change(func(m *runnerv1.Hello) { m.BootId = nil })}, codes.InvalidArgument, "Boot"},
		"huge epoch":        {[]*runnerv1.SessionRequest{change(func(m *runnerv1.Hello) { m.SessionEpoch = 1 << 63 })}, codes.InvalidArgument, "out of range"},
		"page too long":     {[]*runnerv1.SessionRequest{change(func(m *runnerv1.Hello) { m.Inventory = page(wire.PageHoldings + 1) })}, codes.InvalidArgument, "page"},
		"page without end":  {[]*runnerv1.SessionRequest{change(func(m *runnerv1.Hello) { m.More = true }), {Frame: &runnerv1.SessionRequest_Inventory{Inventory: &runnerv1.InventoryPage{More: true}}}}, codes.InvalidArgument, "empty page"},
		"two hellos":        {[]*runnerv1.SessionRequest{greeting, greeting}, codes.InvalidArgument, "one Hello"},
		"unknown frame":     {[]*runnerv1.SessionRequest{greeting, {}}, codes.Unimplemented, "upgrade"},
		"wrong epoch":       {[]*runnerv1.SessionRequest{greeting, {Frame: &runnerv1.SessionRequest_Confirm{Confirm: &runnerv1.Confirm{SessionEpoch: 999}}}}, codes.InvalidArgument, "confirms session 999"},
		"claim, bad fence":  {[]*runnerv1.SessionRequest{greeting, {Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: &runnerv1.Fence{AttemptId: "../x"}}}}}, codes.InvalidArgument, "fence"},
		"steps, bad hash":   {[]*runnerv1.SessionRequest{greeting, {Frame: &runnerv1.SessionRequest_Steps{Steps: &runnerv1.Steps{Fence: fence}}}}, codes.InvalidArgument, "hash"},
		"steps, bad record": {[]*runnerv1.SessionRequest{greeting, {Frame: &runnerv1.SessionRequest_Steps{Steps: &runnerv1.Steps{Fence: fence, PrevHash: make([]byte, 32), Records: [][]byte{{0xff}}}}}}, codes.InvalidArgument, "record"},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.open(r.conn)
			for _, f := range tc.frames {
				s.send(f)
			}
			var err error
			for err == nil { // a Welcome may come before
				_, err = s.stream.Recv()
			}
			if status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("ended with %v, want %v with %q", err, tc.code, tc.words)
			}
		})
	}
}

func TestMessageLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := h.start(h.enrol())
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Refuse{Refuse: &runnerv1.Refuse{Message: strings.Repeat("x", wire.MaxMessageBytes)}}})
	if _, err := s.stream.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message over 1 MiB: %v", err)
	}
}

func TestRevocationEndsAnIdleSession(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	s := h.start(r)
	h.must(h.st.RevokeRunner(context.Background(), org, r.id))
	start := time.Now()
	_, err := s.stream.Recv()
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestNewSessionEndsTheOld(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	first := h.start(r)
	second := h.open(r.conn)
	again := hello()
	again.SessionEpoch = first.epoch
	second.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Hello{Hello: again}})
	if w := second.recv().GetWelcome(); w.GetSessionEpoch() != first.epoch+1 || w.GetQuarantined() {
		t.Errorf("welcome %v after session %d", w, first.epoch)
	}
}

func TestRenewCertificateByWire(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, r.key)
	h.must(err)
	answer, err := runnerv1.NewRunnerServiceClient(r.conn).RenewCertificate(context.Background(), &runnerv1.RenewCertificateRequest{Csr: csr})
	h.must(err)
	if len(answer.GetCertificates()) != 1 || len(answer.GetCaCertificates()) != 1 || !slices.Contains(answer.GetGateways(), h.address) {
		t.Errorf("answer %v", answer)
	}
}

// chain keeps a test runner's journal of one attempt.
type chain struct {
	fence   *runnerv1.Fence
	n       uint64
	hash    wire.Hash
	records [][]byte
}

func (c *chain) add(t *testing.T, r *runnerv1.Record) {
	t.Helper()
	raw, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	c.records, c.n, c.hash = append(c.records, raw), c.n+1, wire.NextRecordHash(c.hash, raw)
}

// Keys of many nodes that are too large together for one frame leave some nodes without
// theirs, which can say so. They hold up no attempt.
func TestMoreKeysThanAGrantTakes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	s := h.start(r)
	ctx := context.Background()
	var nodes []hub.Node
	for i := range maxSecrets/keys.MaxValue + 2 {
		name := fmt.Sprintf("n%02d", i)
		_, err := h.keys.Set(ctx, org, "keys/project/web/"+name, hub.KeyPassword, bytes.Repeat([]byte{'x'}, keys.MaxValue), "ann")
		h.must(err)
		nodes = append(nodes, hub.Node{Name: name, Hostname: name, Attributes: map[string]string{"ssh-password-storage-path": "keys/project/web/" + name}})
	}
	_, err := h.st.ReplaceNodes(ctx, h.project.ID, nodes)
	h.must(err)
	_, err = h.dispatch.Start(ctx, dispatch.StartRequest{
		OrganisationID: org, ProjectID: h.project.ID, By: "ann",
		Definition: &hub.Job{
			Name: "many", LogLevel: "INFO", Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{{Exec: "true"}}},
			Dispatch: hub.Dispatch{Nodes: true, Filter: ".*", ExcludePrecedence: true},
		},
	})
	h.must(err)
	fence := s.recv().GetOffer().GetFence()
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: fence}}})
	answer := s.recv()
	if answer.GetGrant() == nil {
		t.Fatalf("the claim was answered by %v", answer)
	}
	plain, err := wire.Open(r.sealing, wire.SealInfo(h.ca.ClusterID(), fence.GetAttemptId()), answer.GetGrant().GetSealedSecrets())
	h.must(err)
	secrets := &runnerv1.Secrets{}
	h.must(proto.Unmarshal(plain, secrets))
	if n := len(secrets.GetKeys()); n != maxSecrets/keys.MaxValue-1 || len(secrets.GetKeys()["keys/project/web/n00"]) != keys.MaxValue {
		t.Errorf("%d keys came", n)
	}
}

// A job goes through the gateway from offer to result, with a secret that only this
// runner can open and a line of output on its own stream.
func TestJobOverTheWire(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.enrol()
	s := h.start(r)
	ctx := context.Background()
	_, err := h.keys.Set(ctx, org, "keys/project/web/pw", hub.KeyPassword, []byte("hunter2!"), "ann")
	h.must(err)
	_, err = h.st.ReplaceNodes(ctx, h.project.ID, []hub.Node{{Name: "n1", Hostname: "h1", Attributes: map[string]string{"ssh-password-storage-path": "keys/project/web/pw"}}})
	h.must(err)
	e, err := h.dispatch.Start(ctx, dispatch.StartRequest{
		OrganisationID: org, ProjectID: h.project.ID, By: "ann",
		Definition: &hub.Job{
			Name: "hello", LogLevel: "INFO",
			Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{{Exec: "echo ${option.who}"}}},
			Options:  []hub.Option{{Name: "who"}},
			Dispatch: hub.Dispatch{Nodes: true, Filter: ".*", ExcludePrecedence: true},
		},
		Options: map[string]string{"who": "you"},
	})
	h.must(err)

	offer := s.recv().GetOffer()
	spec := &runnerv1.Spec{}
	h.must(proto.Unmarshal(offer.GetSpec(), spec))
	if hash := sha256.Sum256(offer.GetSpec()); !bytes.Equal(hash[:], offer.GetSpecHash()) {
		t.Error("the spec has another hash than the offer says")
	}
	if spec.GetExecutionId() != e.ID || spec.GetNodes()[0].GetName() != "n1" || spec.GetSteps()[0].GetExec() != "echo ${option.who}" || spec.GetOptions()["who"] != "you" || spec.GetContext()["job.project"] != "web" {
		t.Errorf("spec %v", spec)
	}
	if bytes.Contains(offer.GetSpec(), []byte("hunter2")) {
		t.Error("the spec holds a secret")
	}

	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: offer.GetFence()}}})
	grant := s.recv().GetGrant()
	secrets := &runnerv1.Secrets{}
	plain, err := wire.Open(r.sealing, wire.SealInfo(h.ca.ClusterID(), offer.GetFence().GetAttemptId()), grant.GetSealedSecrets())
	h.must(err)
	h.must(proto.Unmarshal(plain, secrets))
	if string(secrets.GetKeys()["keys/project/web/pw"]) != "hunter2!" || grant.GetSessionEpoch() != s.epoch || len(grant.GetMac()) == 0 {
		t.Errorf("grant %v, secrets %v", grant, secrets)
	}

	c := &chain{fence: offer.GetFence()}
	cell := &runnerv1.Cell{Try: 1}
	c.add(t, &runnerv1.Record{Record: &runnerv1.Record_Granted{Granted: &runnerv1.Granted{Fence: c.fence, BootId: hello().GetBootId()}}})
	c.add(t, &runnerv1.Record{Record: &runnerv1.Record_Started{Started: &runnerv1.Started{Cell: cell}}})
	s.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Steps{Steps: &runnerv1.Steps{Fence: c.fence, PrevHash: make([]byte, 32), Records: c.records}}})
	if next := s.recv().GetStepsAck().GetNextN(); next != 2 {
		t.Errorf("acknowledged up to %d, want 2", next)
	}
	logHash := h.print(r, c.fence, "you\n")

	prev := c.hash
	c.records = nil
	c.add(t, &runnerv1.Record{Record: &runnerv1.Record_Ended{Ended: &runnerv1.Ended{Cell: cell, Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, Exited: true, EndProven: true}}})
	c.add(t, &runnerv1.Record{Record: &runnerv1.Record_Closed{Closed: &runnerv1.Closed{Total: c.n + 1}}})
	frame := &runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Result{Result: &runnerv1.Result{
		Fence: c.fence, Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, StepsTotal: c.n, StepsHash: c.hash[:], LogTotal: 1, LogHash: logHash[:],
		FirstN: 2, PrevHash: prev[:], Records: c.records,
	}}}
	frame.GetResult().Signature = r.sign(h, frame.GetResult())
	// Signed by nobody: not taken, also not with everything else right.
	forged := proto.CloneOf(frame)
	forged.GetResult().Signature[8] ^= 1
	s.send(forged)
	if why := s.recv().GetRefused().GetReason(); why != runnerv1.Refused_REASON_QUARANTINED {
		t.Errorf("a forged result is answered by %v", why)
	}
	for range 2 { // the second as after a lost answer
		s.send(frame)
		if ack := s.recv().GetResultAck(); ack.GetLogNext() != 1 {
			t.Fatalf("result answered by %v", ack)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	done, err := h.dispatch.Wait(waiting, e, false)
	if err != nil || done.Status != hub.StatusSucceeded || !done.LogComplete {
		t.Errorf("the execution ended as %+v, %v", done, err)
	}
}

// print sends one chunk of output and returns the chain's hash after it.
func (h *testHub) print(r *testRunner, fence *runnerv1.Fence, line string) wire.Hash {
	h.t.Helper()
	frames := wire.AppendFrame(nil, wire.Frame{Try: 1, Time: time.Now().UnixMicro(), Data: []byte(line)})
	hash := wire.NextChunkHash(wire.Hash{}, 0, frames)
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	stream, err := runnerv1.NewRunnerServiceClient(r.conn).Output(ctx)
	h.must(err)
	chunk := &runnerv1.Chunk{Fence: fence, Lines: 1, Bytes: uint32(len(frames)), Hash: hash[:], Data: compress(h.t, frames), Nodes: []uint32{0}}
	for range 2 { // the second as after a lost answer
		h.must(stream.Send(&runnerv1.OutputRequest{Frame: &runnerv1.OutputRequest_Chunk{Chunk: chunk}}))
		answer, err := stream.Recv()
		h.must(err)
		if answer.GetAck().GetNextSeq() != 1 {
			h.t.Fatalf("chunk answered by %v", answer)
		}
	}
	chunk = proto.Clone(chunk).(*runnerv1.Chunk)
	chunk.Seq = 5
	h.must(stream.Send(&runnerv1.OutputRequest{Frame: &runnerv1.OutputRequest_Chunk{Chunk: chunk}}))
	if answer, err := stream.Recv(); err != nil || answer.GetNack().GetNextSeq() != 1 || answer.GetNack().GetLasting() {
		h.t.Fatalf("a gap was answered by %v, %v", answer, err)
	}
	return hash
}

// Another runner's attempt is nobody else's business.
func TestForeignAttempt(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	owner := h.start(h.enrol())
	_, err := h.dispatch.Start(context.Background(), dispatch.StartRequest{
		OrganisationID: org, ProjectID: h.project.ID, By: "ann",
		Definition: &hub.Job{Name: "x", Workflow: hub.Workflow{Strategy: hub.StrategyNodeFirst, Steps: []hub.Step{{Exec: "true"}}}},
	})
	h.must(err)
	fence := owner.recv().GetOffer().GetFence()
	owner.send(&runnerv1.SessionRequest{Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: fence}}})
	if owner.recv().GetGrant() == nil {
		t.Fatal("the owner got no grant")
	}

	other := h.enrol()
	thief := h.start(other)
	zero := make([]byte, 32)
	c := &chain{fence: fence}
	c.add(t, &runnerv1.Record{Record: &runnerv1.Record_Closed{Closed: &runnerv1.Closed{Total: 1}}})
	for name, frame := range map[string]*runnerv1.SessionRequest{
		"claim":       {Frame: &runnerv1.SessionRequest_Claim{Claim: &runnerv1.Claim{Fence: fence}}},
		"resume":      {Frame: &runnerv1.SessionRequest_Resume{Resume: &runnerv1.Resume{Fence: fence}}},
		"not started": {Frame: &runnerv1.SessionRequest_NotStarted{NotStarted: &runnerv1.NotStarted{Fence: fence}}},
		"steps":       {Frame: &runnerv1.SessionRequest_Steps{Steps: &runnerv1.Steps{Fence: fence, PrevHash: zero, Records: c.records}}},
		"result": {Frame: &runnerv1.SessionRequest_Result{Result: &runnerv1.Result{
			Fence: fence, Outcome: runnerv1.Outcome_OUTCOME_SUCCEEDED, StepsTotal: 1, StepsHash: c.hash[:], LogHash: zero, PrevHash: zero, Records: c.records,
		}}},
	} {
		thief.send(frame)
		if f := thief.recv(); f.GetRefused() == nil {
			t.Errorf("%s was answered by %v", name, f)
		}
	}
	h.stealOutput(other, fence)
}

// stealOutput sends a chunk for an attempt that is not the runner's.
func (h *testHub) stealOutput(r *testRunner, fence *runnerv1.Fence) {
	h.t.Helper()
	frames := wire.AppendFrame(nil, wire.Frame{Try: 1, Data: []byte("x")})
	hash := wire.NextChunkHash(wire.Hash{}, 0, frames)
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	stream, err := runnerv1.NewRunnerServiceClient(r.conn).Output(ctx)
	h.must(err)
	h.must(stream.Send(&runnerv1.OutputRequest{Frame: &runnerv1.OutputRequest_Chunk{Chunk: &runnerv1.Chunk{
		Fence: fence, Lines: 1, Bytes: uint32(len(frames)), Hash: hash[:], Data: compress(h.t, frames),
	}}}))
	if answer, err := stream.Recv(); err != nil || !answer.GetNack().GetLasting() {
		h.t.Errorf("a stolen chunk was answered by %v, %v", answer, err)
	}
}

func compress(t *testing.T, frames []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll(frames, nil)
}
