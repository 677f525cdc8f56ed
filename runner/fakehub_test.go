package runner_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/session"
)

// fakeHub keeps the hub's side of the protocol in memory, strictly: what breaks a rule
// fails the test. Everything it knows lasts, like a database.
type fakeHub struct {
	t *testing.T

	mu       sync.Mutex
	epoch    uint64
	host     []byte
	boot     []byte
	attempts map[string]*hubAttempt
	streams  map[*hubStream]bool
	change   chan struct{}
	refuse   []*runnerv1.Refuse
	credits  []uint32
	hook     func(f *runnerv1.SessionRequest) bool // false: the frame is lost with its stream
	mute     bool                                  // answers nothing
	gone     bool                                  // takes no connections
	losing   bool                                  // chunks are lost on their way
	older    int                                   // so many Resumes are answered as of an old session
	refusing bool                                  // no output is taken, for good
	lost     int
	secrets  *runnerv1.Secrets
	timeMs   int64         // limit of the jobs that are offered
	debug    func() string // of the runner, for messages
}

type hubAttempt struct {
	fence   *runnerv1.Fence
	spec    []byte
	state   string // offered claimed not_started closed; forgotten: the database lost it
	epoch   uint64
	boot    []byte
	host    []byte
	records []*runnerv1.Record
	hash    wire.Hash
	chunks  []*runnerv1.Chunk
	logHash wire.Hash
	result  *runnerv1.Result
	stop    *runnerv1.StopScope
	stopAck []*runnerv1.StopAck
	secrets *runnerv1.Secrets
	steps   int // Steps frames taken
	timeMs  int64
}

type hubStream struct {
	hub    *fakeHub
	epoch  uint64
	ctx    context.Context
	cancel context.CancelFunc
	in     chan *runnerv1.SessionRequest
	out    chan *runnerv1.SessionResponse
	chunks chan *runnerv1.OutputRequest
	acks   chan *runnerv1.OutputResponse
}

func newFakeHub(t *testing.T) *fakeHub {
	return &fakeHub{t: t, attempts: map[string]*hubAttempt{}, streams: map[*hubStream]bool{}, change: make(chan struct{})}
}

// changed wakes who waits; the caller holds mu.
func (h *fakeHub) changed() {
	close(h.change)
	h.change = make(chan struct{})
}

// until waits until cond holds; it is called with the hub's lock held.
func (h *fakeHub) until(what string, cond func() bool) {
	h.t.Helper()
	if h.within(20*time.Second, cond) {
		return
	}
	if h.debug != nil {
		h.t.Log(h.debug())
	}
	h.t.Fatalf("timed out waiting until %s", what)
}

// within waits like until and reports whether cond came to hold.
func (h *fakeHub) within(limit time.Duration, cond func() bool) bool {
	deadline := time.After(limit)
	for {
		h.mu.Lock()
		ok, change := cond(), h.change
		h.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-change:
		case <-deadline:
			return false
		}
	}
}

// waitUntil waits like until, for as long as it takes.
func (h *fakeHub) waitUntil(cond func() bool) {
	for {
		h.mu.Lock()
		ok, change := cond(), h.change
		h.mu.Unlock()
		if ok {
			return
		}
		<-change
	}
}

// offer makes an attempt and tells it to who is connected.
func (h *fakeHub) offer(id string, spec *runnerv1.Spec) *hubAttempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := proto.Marshal(spec)
	if err != nil {
		h.t.Fatal(err)
	}
	a := &hubAttempt{fence: &runnerv1.Fence{Incarnation: 1, AttemptId: id, Epoch: 1}, spec: b, state: "offered", timeMs: h.timeMs, secrets: h.secrets}
	h.attempts[id] = a
	for s := range h.streams {
		s.send(offerFrame(a))
	}
	return a
}

func offerFrame(a *hubAttempt) *runnerv1.SessionResponse {
	sum := sha256.Sum256(a.spec)
	return &runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Offer{Offer: &runnerv1.Offer{Fence: a.fence, Spec: a.spec, SpecHash: sum[:]}}}
}

// cut ends all streams, as a reset connection does.
func (h *fakeHub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		s.cancel()
		delete(h.streams, s)
	}
}

func (h *fakeHub) sendAll(f *runnerv1.SessionResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		s.send(f)
	}
}

// dial is the runner's Dial.
func (h *fakeHub) dial(string) (session.Conn, error) {
	h.mu.Lock()
	gone := h.gone
	h.mu.Unlock()
	if gone {
		return nil, errors.New("nobody listens")
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &hubStream{
		hub: h, ctx: ctx, cancel: cancel, in: make(chan *runnerv1.SessionRequest, 1024), out: make(chan *runnerv1.SessionResponse, 4096),
		chunks: make(chan *runnerv1.OutputRequest, 1024), acks: make(chan *runnerv1.OutputResponse, 4096),
	}, nil
}

func (s *hubStream) Close() error { s.cancel(); return nil }

type control struct {
	*hubStream
	ctx context.Context
}

func (s *hubStream) Session(ctx context.Context) (session.ControlStream, error) {
	go s.serve()
	return control{s, ctx}, nil
}

func (c control) Send(f *runnerv1.SessionRequest) error {
	select {
	case c.in <- proto.CloneOf(f):
		return nil
	case <-c.hubStream.ctx.Done():
		return io.EOF
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

var errCut = errors.New("connection reset")

func (c control) Recv() (*runnerv1.SessionResponse, error) {
	select {
	case f := <-c.out:
		return f, nil
	case <-c.hubStream.ctx.Done():
		return nil, errCut
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}

type output struct {
	*hubStream
	ctx context.Context
}

func (s *hubStream) Output(ctx context.Context) (session.OutputStream, error) {
	go s.serveOutput()
	return output{s, ctx}, nil
}

func (c output) Send(f *runnerv1.OutputRequest) error {
	select {
	case c.chunks <- f:
		return nil
	case <-c.hubStream.ctx.Done():
		return io.EOF
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (c output) Recv() (*runnerv1.OutputResponse, error) {
	select {
	case f := <-c.acks:
		return f, nil
	case <-c.hubStream.ctx.Done():
		return nil, errCut
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}

func (s *hubStream) send(f *runnerv1.SessionResponse) {
	if !s.hub.mute {
		s.out <- f
	}
}

func (s *hubStream) serve() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case f := <-s.in:
			s.hub.mu.Lock()
			hook := s.hub.hook
			s.hub.mu.Unlock()
			if hook != nil && !hook(f) {
				s.cancel()
				return
			}
			s.hub.mu.Lock()
			s.handle(f)
			s.hub.changed()
			s.hub.mu.Unlock()
		}
	}
}

// handle is the hub's one transaction for a frame; the caller holds mu.
func (s *hubStream) handle(frame *runnerv1.SessionRequest) {
	h := s.hub
	switch f := frame.GetFrame().(type) {
	case *runnerv1.SessionRequest_Hello:
		s.hello(f.Hello)
	case *runnerv1.SessionRequest_Confirm:
		for other := range h.streams {
			other.cancel()
			delete(h.streams, other)
		}
		h.streams[s] = true
		s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Confirmed{Confirmed: &runnerv1.Confirmed{SessionEpoch: s.epoch}}})
		for _, a := range h.attempts {
			if a.state == "offered" {
				s.send(offerFrame(a))
			}
		}
	case *runnerv1.SessionRequest_Claim:
		s.claim(h.attempts[f.Claim.GetFence().GetAttemptId()], f.Claim.GetFence())
	case *runnerv1.SessionRequest_Refuse:
		h.refuse = append(h.refuse, f.Refuse)
		delete(h.attempts, f.Refuse.GetFence().GetAttemptId())
	case *runnerv1.SessionRequest_Credits:
		h.credits = append(h.credits, f.Credits.GetSlots())
	case *runnerv1.SessionRequest_NotStarted:
		s.notStarted(h.attempts[f.NotStarted.GetFence().GetAttemptId()])
	case *runnerv1.SessionRequest_Resume:
		s.resume(h.attempts[f.Resume.GetFence().GetAttemptId()])
	case *runnerv1.SessionRequest_Steps:
		a := h.attempts[f.Steps.GetFence().GetAttemptId()]
		a.steps++
		h.take(a, f.Steps.GetFirstN(), f.Steps.GetPrevHash(), f.Steps.GetRecords())
		s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_StepsAck{StepsAck: &runnerv1.StepsAck{Fence: a.fence, NextN: uint64(len(a.records))}}})
	case *runnerv1.SessionRequest_Result:
		s.result(h.attempts[f.Result.GetFence().GetAttemptId()], f.Result)
	case *runnerv1.SessionRequest_Renew:
		s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_RenewAck{RenewAck: &runnerv1.RenewAck{Tick: 1}}})
	case *runnerv1.SessionRequest_StopAck:
		a := h.attempts[f.StopAck.GetFence().GetAttemptId()]
		a.stopAck = append(a.stopAck, f.StopAck)
	case *runnerv1.SessionRequest_Inventory:
		if !f.Inventory.GetComplete() {
			var lost []*runnerv1.HoldingAnswer
			for _, held := range f.Inventory.GetInventory() {
				if h.attempts[held.GetFence().GetAttemptId()].state == "forgotten" {
					lost = append(lost, &runnerv1.HoldingAnswer{Fence: held.GetFence(), Lost: true})
				}
			}
			s.holdings(lost...)
		}
	case *runnerv1.SessionRequest_Kept:
		a := h.attempts[f.Kept.GetHolding().GetFence().GetAttemptId()]
		a.state = "claimed"
		s.holdings(&runnerv1.HoldingAnswer{Fence: a.fence, Live: true, NextN: uint64(len(a.records)), LogNext: uint64(len(a.chunks))})
	case *runnerv1.SessionRequest_Forgotten:
	}
}

func (s *hubStream) holdings(answers ...*runnerv1.HoldingAnswer) {
	s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Holdings{Holdings: &runnerv1.HoldingsPage{Holdings: answers}}})
}

func (s *hubStream) hello(f *runnerv1.Hello) {
	h := s.hub
	if f.GetSessionEpoch() != h.epoch && f.GetSessionEpoch()+1 != h.epoch {
		h.t.Errorf("hello presents epoch %d, the hub is at %d", f.GetSessionEpoch(), h.epoch)
	}
	h.epoch++
	s.epoch, h.boot, h.host = h.epoch, f.GetBootId(), f.GetHostId()
	w := &runnerv1.Welcome{Version: 1, SessionEpoch: s.epoch, Incarnation: 1}
	h.wantHeld(f)
	for _, a := range h.attempts {
		if a.state == "forgotten" {
			w.FullInventory = true
		}
	}
	for _, held := range f.GetInventory() {
		a := h.attempts[held.GetFence().GetAttemptId()]
		answer := &runnerv1.HoldingAnswer{Fence: held.GetFence(), Unknown: a == nil}
		if a != nil {
			answer.Live, answer.NextN, answer.LogNext = a.state == "claimed", uint64(len(a.records)), uint64(len(a.chunks))
			answer.Settled, answer.Stop = a.whole(), a.stop
		}
		if a != nil && a.state == "forgotten" {
			answer = &runnerv1.HoldingAnswer{Fence: held.GetFence(), Lost: true}
		}
		w.Holdings = append(w.Holdings, answer)
	}
	s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Welcome{Welcome: w}})
}

// wantHeld: until its end was acknowledged, an inventory shows what was granted.
func (h *fakeHub) wantHeld(f *runnerv1.Hello) {
	held := map[string]bool{}
	for _, i := range f.GetInventory() {
		held[i.GetFence().GetAttemptId()] = true
	}
	for id, a := range h.attempts {
		if a.state == "claimed" && !held[id] {
			h.t.Errorf("attempt %s is granted and not in the inventory: the runner forgot it before its result was acknowledged", id)
		}
	}
}

func (s *hubStream) refused(f *runnerv1.Fence, why runnerv1.Refused_Reason) {
	s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Refused{Refused: &runnerv1.Refused{Fence: f, Reason: why}}})
}

func (s *hubStream) claim(a *hubAttempt, fence *runnerv1.Fence) {
	switch {
	case a == nil || a.state == "closed" || a.state == "not_started":
		s.refused(fence, runnerv1.Refused_REASON_GONE)
		return
	case a.state == "claimed" && a.epoch != s.epoch:
		s.refused(a.fence, runnerv1.Refused_REASON_OLD_SESSION)
		return
	}
	a.state, a.epoch, a.boot, a.host = "claimed", s.epoch, s.hub.boot, s.hub.host
	s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Grant{Grant: &runnerv1.Grant{
		Fence: a.fence, SessionEpoch: s.epoch, TimeLeftMs: a.timeMs, SealedSecrets: marshalSecrets(a.secrets), Mac: []byte("mac"),
	}}})
}

func marshalSecrets(s *runnerv1.Secrets) []byte {
	if s == nil {
		return nil
	}
	b, err := proto.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

func (s *hubStream) notStarted(a *hubAttempt) {
	if a == nil || a.state != "claimed" {
		return
	}
	if len(a.records) > 0 {
		s.hub.t.Errorf("attempt %s has records and is told as not started", a.fence.GetAttemptId())
	}
	a.state = "not_started"
	s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Forget{Forget: &runnerv1.Forget{Fence: a.fence}}})
}

func (s *hubStream) resume(a *hubAttempt) {
	switch {
	case a == nil || a.state != "claimed":
		s.refused(a.fence, runnerv1.Refused_REASON_GONE)
	case string(a.boot) != string(s.hub.boot) && string(a.host) != string(s.hub.host):
		s.refused(a.fence, runnerv1.Refused_REASON_OTHER_HOST)
	case s.hub.older > 0:
		s.hub.older--
		s.refused(a.fence, runnerv1.Refused_REASON_OLD_SESSION)
	default:
		a.epoch = s.epoch
		s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Resumed{Resumed: &runnerv1.Resumed{
			Fence: a.fence, SessionEpoch: s.epoch, SealedSecrets: marshalSecrets(a.secrets), Stop: a.stop, TimeLeftMs: a.timeMs,
		}}})
	}
}

// take appends records by number and chain.
func (h *fakeHub) take(a *hubAttempt, first uint64, prev []byte, records [][]byte) {
	next := uint64(len(a.records))
	if first > next {
		return // a gap: answered with the next number
	}
	hash := wire.Hash(prev)
	for i, data := range records {
		if first+uint64(i) == next && hash != a.hash {
			h.t.Errorf("attempt %s: record %d is of another history", a.fence.GetAttemptId(), next)
			return
		}
		hash = wire.NextRecordHash(hash, data)
		if first+uint64(i) < next {
			continue
		}
		r := &runnerv1.Record{}
		if err := proto.Unmarshal(data, r); err != nil {
			h.t.Error(err)
		}
		a.records = append(a.records, r)
		a.hash = hash
		next++
	}
}

func (a *hubAttempt) whole() bool {
	return a.result != nil && uint64(len(a.chunks)) == a.result.GetLogTotal()
}

func (s *hubStream) result(a *hubAttempt, f *runnerv1.Result) {
	h := s.hub
	h.take(a, f.GetFirstN(), f.GetPrevHash(), f.GetRecords())
	if uint64(len(a.records)) != f.GetStepsTotal() {
		s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_StepsAck{StepsAck: &runnerv1.StepsAck{Fence: a.fence, NextN: uint64(len(a.records))}}})
		return
	}
	if string(f.GetStepsHash()) != string(a.hash[:]) {
		h.t.Errorf("attempt %s: the result's hash is not the chain's", a.fence.GetAttemptId())
	}
	if !h.refusing {
		for _, c := range f.GetChunks() {
			h.takeChunk(a, c)
		}
	}
	a.state, a.result = "closed", f
	s.send(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_ResultAck{ResultAck: &runnerv1.ResultAck{Fence: a.fence, LogNext: uint64(len(a.chunks))}}})
}

func (h *fakeHub) takeChunk(a *hubAttempt, c *runnerv1.Chunk) {
	if c.GetSeq() != uint64(len(a.chunks)) {
		return
	}
	frames := decompress(h.t, c.GetData())
	if a.logHash = wire.NextChunkHash(a.logHash, c.GetSeq(), frames); string(a.logHash[:]) != string(c.GetHash()) {
		h.t.Errorf("attempt %s: chunk %d has another hash", a.fence.GetAttemptId(), c.GetSeq())
	}
	if n, err := wire.CountFrames(frames); err != nil || n != int(c.GetLines()) || len(frames) != int(c.GetBytes()) || len(frames) > wire.MaxChunkBytes {
		h.t.Errorf("attempt %s: chunk %d: %d frames (%v), told %d", a.fence.GetAttemptId(), c.GetSeq(), n, err, c.GetLines())
	}
	a.chunks = append(a.chunks, c)
}

func decompress(t *testing.T, data []byte) []byte {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	out, err := dec.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *hubStream) serveOutput() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case f := <-s.chunks:
			h := s.hub
			h.mu.Lock()
			if h.losing {
				h.lost++
				h.changed()
				h.mu.Unlock()
				continue
			}
			a := h.attempts[f.GetChunk().GetFence().GetAttemptId()]
			next := uint64(len(a.chunks))
			var answer *runnerv1.OutputResponse
			if h.refusing {
				answer = &runnerv1.OutputResponse{Frame: &runnerv1.OutputResponse_Nack{Nack: &runnerv1.ChunkNack{Fence: a.fence, NextSeq: next, Lasting: true}}}
			} else if f.GetChunk().GetSeq() > next {
				answer = &runnerv1.OutputResponse{Frame: &runnerv1.OutputResponse_Nack{Nack: &runnerv1.ChunkNack{Fence: a.fence, NextSeq: next}}}
			} else {
				h.takeChunk(a, f.GetChunk())
				answer = &runnerv1.OutputResponse{Frame: &runnerv1.OutputResponse_Ack{Ack: &runnerv1.ChunkAck{Fence: a.fence, NextSeq: uint64(len(a.chunks))}}}
			}
			silent := h.mute
			h.changed()
			h.mu.Unlock()
			if !silent {
				s.acks <- answer
			}
		}
	}
}

// text returns what the hub has of an attempt's stdout, line by line as frames tell.
func (a *hubAttempt) text(t *testing.T) string {
	var out []byte
	for _, c := range a.chunks {
		for b := decompress(t, c.GetData()); len(b) > 0; {
			f, rest, err := wire.NextFrame(b)
			if err != nil {
				t.Fatal(err)
			}
			if f.Stream == wire.Stdout {
				out = append(out, f.Data...)
				if f.Flags&wire.FlagPartial == 0 {
					out = append(out, '\n')
				}
			}
			b = rest
		}
	}
	return string(out)
}

// ends lists the ended records as "node/step/try outcome reason".
func (a *hubAttempt) ends() map[[3]uint32]*runnerv1.Ended {
	out := map[[3]uint32]*runnerv1.Ended{}
	for _, r := range a.records {
		if e := r.GetEnded(); e != nil {
			c := e.GetCell()
			out[[3]uint32{c.GetNode(), c.GetStep(), c.GetTry()}] = e
		}
	}
	return out
}
