package gateway

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/hub"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// Bounds of what a runner may put into a message beside the message's own size.
const (
	maxWord  = 256     // names, reasons, versions
	maxText  = 8 << 10 // messages for people; longer ones are cut
	hashSize = 32
	maxNonce = 64
)

var attemptID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// bad makes the error for a message that breaks the contract.
func bad(format string, args ...any) error {
	return hub.Errorf(hub.CodeInvalid, format, args...)
}

func fenceIn(f *runnerv1.Fence) (hub.Fence, error) {
	if f == nil || !attemptID.MatchString(f.GetAttemptId()) {
		return hub.Fence{}, bad("A frame has no valid fence.")
	}
	if f.GetIncarnation() == 0 || f.GetIncarnation() > 1<<62 || f.GetEpoch() == 0 || f.GetEpoch() > 1<<30 {
		return hub.Fence{}, bad("The fence of attempt %s is out of range.", f.GetAttemptId())
	}
	return hub.Fence{
		Incarnation: int64(f.GetIncarnation()),
		AttemptID:   f.GetAttemptId(),
		Epoch:       int(f.GetEpoch()),
	}, nil
}

func fenceOut(f hub.Fence) *runnerv1.Fence {
	return &runnerv1.Fence{Incarnation: uint64(f.Incarnation), AttemptId: f.AttemptID, Epoch: uint32(f.Epoch)}
}

// count turns a number of the wire into one of ours; what no honest runner sends is
// refused before arithmetic can go wrong with it.
func count(what string, n uint64) (int64, error) {
	if n > 1<<48 {
		return 0, bad("The %s is out of range.", what)
	}
	return int64(n), nil
}

func hashIn(what string, b []byte) ([hashSize]byte, error) {
	if len(b) != hashSize {
		return [hashSize]byte{}, bad("The %s has %d bytes, want %d.", what, len(b), hashSize)
	}
	return [hashSize]byte(b), nil
}

func helloIn(id wire.Identity, h *runnerv1.Hello) (hub.Hello, error) {
	epoch, err := count("session epoch", h.GetSessionEpoch())
	if err != nil {
		return hub.Hello{}, err
	}
	incarnation, err := count("incarnation", h.GetIncarnation())
	if err != nil {
		return hub.Hello{}, err
	}
	if n := len(h.GetInstanceNonce()); n < 16 || n > maxNonce {
		return hub.Hello{}, bad("The instance nonce has %d bytes, want 16 to %d.", n, maxNonce)
	}
	if len(h.GetBootId()) != hashSize || len(h.GetHostId()) > hashSize {
		return hub.Hello{}, bad("Boot and host id must be hashes of %d bytes.", hashSize)
	}
	out := hub.Hello{
		RunnerID: id.ID, OrganisationID: id.OrganisationID,
		Nonce: h.GetInstanceNonce(), BootID: h.GetBootId(), HostID: h.GetHostId(),
		SessionEpoch: epoch, Incarnation: incarnation, Showing: h.GetShowing(),
		Slots:   int(min(h.GetSlots(), maxSlots)),
		Version: word(h.GetInfo().GetVersion()), OS: word(h.GetInfo().GetOs()),
		Arch: word(h.GetInfo().GetArch()), Hostname: word(h.GetInfo().GetHostname()),
	}
	if key := h.GetSealingKey(); len(key) > 0 {
		if err := wire.CheckSealingKey(key); err != nil {
			return hub.Hello{}, &hub.Error{Code: hub.CodeInvalid, Message: "The sealing key of Hello is none.", Cause: err}
		}
		out.SealingKey = key
	}
	for _, m := range h.GetDbMarks() {
		if len(out.DBMarks) == 2 || len(m.GetNonce()) > maxNonce || len(m.GetMac()) > maxNonce {
			return hub.Hello{}, bad("Hello bears more than two database marks, or one that is too long.")
		}
		tick, err := count("tick", m.GetTick())
		if err != nil {
			return hub.Hello{}, err
		}
		out.DBMarks = append(out.DBMarks, hub.DBMark{Tick: tick, Nonce: m.GetNonce(), MAC: m.GetMac()})
	}
	return out, nil
}

// maxSlots bounds what a runner says it takes at once.
const maxSlots = 10_000

func holdingsIn(page []*runnerv1.Holding) ([]hub.Holding, error) {
	if len(page) > wire.PageHoldings {
		return nil, bad("A page of the inventory holds %d attempts; at most %d are allowed.", len(page), wire.PageHoldings)
	}
	out := make([]hub.Holding, 0, len(page))
	for _, h := range page {
		fence, err := fenceIn(h.GetFence())
		if err != nil {
			return nil, err
		}
		state, ok := holdingStates[h.GetState()]
		if !ok {
			return nil, bad("The inventory shows attempt %s in state %d, which this hub does not know.", fence.AttemptID, h.GetState())
		}
		steps, err := count("number of records", h.GetSteps())
		if err != nil {
			return nil, err
		}
		chunks, err := count("number of chunks", h.GetChunks())
		if err != nil {
			return nil, err
		}
		out = append(out, hub.Holding{
			Fence: fence, State: state, Steps: steps, Chunks: chunks, MAC: h.GetMac(), Boot: h.GetBootId(),
			ProjectID: word(h.GetProjectId()), ExecutionID: word(h.GetExecutionId()), AssignmentID: word(h.GetAssignmentId()),
		})
	}
	return out, nil
}

var holdingStates = map[runnerv1.Holding_State]hub.HoldingState{
	runnerv1.Holding_STATE_OFFERED:     hub.HoldingOffered,
	runnerv1.Holding_STATE_GRANTED:     hub.HoldingGranted,
	runnerv1.Holding_STATE_CLOSED:      hub.HoldingClosed,
	runnerv1.Holding_STATE_NOT_STARTED: hub.HoldingNotStarted,
}

var outcomes = map[runnerv1.Outcome]hub.Status{
	runnerv1.Outcome_OUTCOME_SUCCEEDED: hub.StatusSucceeded,
	runnerv1.Outcome_OUTCOME_FAILED:    hub.StatusFailed,
	runnerv1.Outcome_OUTCOME_TIMED_OUT: hub.StatusTimedOut,
	runnerv1.Outcome_OUTCOME_CANCELLED: hub.StatusCancelled,
	runnerv1.Outcome_OUTCOME_UNKNOWN:   hub.StatusUnknown,
	runnerv1.Outcome_OUTCOME_SKIPPED:   hub.StatusSkipped,
}

// stepsIn decodes records and computes the chain over their bytes as they came.
func stepsIn(id wire.Identity, f *runnerv1.Fence, first uint64, prev []byte, records [][]byte) (hub.Steps, error) {
	fence, err := fenceIn(f)
	if err != nil {
		return hub.Steps{}, err
	}
	if len(records) > wire.MaxStepsRecords {
		return hub.Steps{}, bad("A frame holds %d records; at most %d are allowed.", len(records), wire.MaxStepsRecords)
	}
	out := hub.Steps{RunnerID: id.ID, Fence: fence}
	if out.FirstN, err = count("record number", first); err != nil {
		return hub.Steps{}, err
	}
	if out.PrevHash, err = hashIn("hash before the records", prev); err != nil {
		return hub.Steps{}, err
	}
	hash := wire.Hash(out.PrevHash)
	out.Records = make([]hub.StepRecord, 0, len(records))
	for i, raw := range records {
		hash = wire.NextRecordHash(hash, raw)
		r, err := recordIn(raw)
		if err != nil {
			return hub.Steps{}, fmt.Errorf("record %d of attempt %s: %w", out.FirstN+int64(i), fence.AttemptID, err)
		}
		r.N, r.Hash = out.FirstN+int64(i), hash
		out.Records = append(out.Records, r)
	}
	return out, nil
}

func recordIn(raw []byte) (hub.StepRecord, error) {
	rec := &runnerv1.Record{}
	if err := proto.Unmarshal(raw, rec); err != nil {
		return hub.StepRecord{}, &hub.Error{Code: hub.CodeInvalid, Message: "A journal record cannot be read.", Cause: err}
	}
	out := hub.StepRecord{Time: time.UnixMicro(rec.GetTime()).UTC()}
	switch r := rec.GetRecord().(type) {
	case *runnerv1.Record_Granted:
		out.Kind = hub.RecordGranted
	case *runnerv1.Record_Started:
		out.Kind = hub.RecordStarted
		out.Cell = cellIn(r.Started.GetCell())
	case *runnerv1.Record_Ended:
		return endedIn(out, r.Ended)
	case *runnerv1.Record_Stopped:
		out.Kind = hub.RecordStopped
	case *runnerv1.Record_Closed:
		out.Kind = hub.RecordClosed
		total, err := count("number of records", r.Closed.GetTotal())
		if err != nil {
			return hub.StepRecord{}, err
		}
		out.Total = total
	default:
		return hub.StepRecord{}, bad("A journal record is of a kind that this hub does not know; upgrade the hub.")
	}
	return out, nil
}

func endedIn(out hub.StepRecord, e *runnerv1.Ended) (hub.StepRecord, error) {
	status, ok := outcomes[e.GetOutcome()]
	if !ok {
		return hub.StepRecord{}, bad("A journal record has outcome %d, which this hub does not know.", e.GetOutcome())
	}
	size := 0
	for k, v := range e.GetData() {
		size += len(k) + len(v)
	}
	if size > wire.MaxRecordData {
		return hub.StepRecord{}, bad("A journal record bears %d bytes of data; at most %d are allowed.", size, wire.MaxRecordData)
	}
	out.Kind, out.Cell, out.Status = hub.RecordEnded, cellIn(e.GetCell()), status
	out.Code, out.Exited, out.Signal = int(e.GetCode()), e.GetExited(), word(e.GetSignal())
	out.Reason, out.Message = word(e.GetReason()), text(e.GetMessage(), maxText)
	out.EndProven, out.NotStarted = e.GetEndProven(), e.GetNotStarted()
	out.Data, out.NewHostKey = clean(e.GetData()), hostKeyIn(e.GetNewHostKey())
	var err error
	if out.Printed.Lines, err = count("number of lines", e.GetPrinted().GetLines()); err == nil {
		out.Printed.Bytes, err = count("number of bytes", e.GetPrinted().GetBytes())
	}
	return out, err
}

// hostKeyIn is a host key as it is recorded; "" for what is none, or more than one bare key:
// other runners would take an authority, or a second key behind the one that people see, as
// vouched for, and would refuse the node for what they cannot read.
func hostKeyIn(s string) string {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil || len(options) > 0 || len(rest) > 0 || len(s) > maxText {
		return ""
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func cellIn(c *runnerv1.Cell) hub.Cell {
	return hub.Cell{Node: int(c.GetNode()), Step: int(c.GetStep()), Try: int(c.GetTry())}
}

func resultIn(id wire.Identity, r *runnerv1.Result) (hub.Result, error) {
	steps, err := stepsIn(id, r.GetFence(), r.GetFirstN(), r.GetPrevHash(), r.GetRecords())
	if err != nil {
		return hub.Result{}, err
	}
	out := hub.Result{Steps: steps, Signature: r.GetSignature()}
	var ok bool
	if out.Outcome, ok = outcomes[r.GetOutcome()]; !ok {
		return hub.Result{}, bad("The result of attempt %s has outcome %d, which this hub does not know.", steps.Fence.AttemptID, r.GetOutcome())
	}
	if out.StepsTotal, err = count("number of records", r.GetStepsTotal()); err != nil {
		return hub.Result{}, err
	}
	if out.StepsHash, err = hashIn("hash of the records", r.GetStepsHash()); err != nil {
		return hub.Result{}, err
	}
	if out.LogTotal, err = count("number of chunks", r.GetLogTotal()); err != nil {
		return hub.Result{}, err
	}
	if out.LogHash, err = hashIn("hash of the output", r.GetLogHash()); err != nil {
		return hub.Result{}, err
	}
	for _, c := range r.GetChunks() {
		chunk, err := chunkIn(id, c)
		if err != nil {
			return hub.Result{}, err
		}
		if chunk.Fence != steps.Fence {
			return hub.Result{}, bad("The result of attempt %s bears a chunk of another attempt.", steps.Fence.AttemptID)
		}
		out.Chunks = append(out.Chunks, chunk)
	}
	return out, nil
}

func chunkIn(id wire.Identity, c *runnerv1.Chunk) (hub.Chunk, error) {
	fence, err := fenceIn(c.GetFence())
	if err != nil {
		return hub.Chunk{}, err
	}
	seq, err := count("chunk number", c.GetSeq())
	if err != nil {
		return hub.Chunk{}, err
	}
	if c.GetBytes() == 0 || c.GetBytes() > wire.MaxChunkBytes || c.GetLines() == 0 || c.GetLines() > wire.MaxChunkBytes {
		return hub.Chunk{}, bad("Chunk %d of attempt %s says it has %d bytes in %d lines, which no chunk has.", seq, fence.AttemptID, c.GetBytes(), c.GetLines())
	}
	hash, err := hashIn("hash of a chunk", c.GetHash())
	if err != nil {
		return hub.Chunk{}, err
	}
	nodes := make([]int, 0, len(c.GetNodes()))
	for _, n := range c.GetNodes() {
		nodes = append(nodes, int(n))
	}
	if !slices.IsSorted(nodes) {
		return hub.Chunk{}, bad("Chunk %d of attempt %s lists its nodes out of order.", seq, fence.AttemptID)
	}
	return hub.Chunk{
		RunnerID: id.ID, Fence: fence, Seq: seq,
		Lines: int(c.GetLines()), Bytes: int(c.GetBytes()),
		Hash: hash, Data: c.GetData(), Nodes: nodes,
	}, nil
}

var refuseReasons = map[runnerv1.Refuse_Reason]string{
	runnerv1.Refuse_REASON_FULL:          "full",
	runnerv1.Refuse_REASON_DISK:          "disk",
	runnerv1.Refuse_REASON_DRAINING:      "draining",
	runnerv1.Refuse_REASON_UNSUPPORTED:   "unsupported",
	runnerv1.Refuse_REASON_DB_REGRESSION: "db_regression",
}

func markOut(m hub.DBMark) *runnerv1.DBMark {
	return &runnerv1.DBMark{Tick: uint64(m.Tick), Nonce: m.Nonce, Mac: m.MAC}
}

func stopOut(s hub.StopScope) *runnerv1.StopScope {
	if !s.Asked {
		return nil
	}
	out := &runnerv1.StopScope{Asked: true, All: s.All, NoNew: s.NoNew, GraceMs: s.Grace.Milliseconds()}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, uint32(n))
	}
	return out
}

func answerOut(a hub.HoldingAnswer) *runnerv1.HoldingAnswer {
	return &runnerv1.HoldingAnswer{
		Fence: fenceOut(a.Fence), Live: a.Live,
		NextN: uint64(a.NextN), LogNext: uint64(a.LogNext),
		Stop: stopOut(a.Stop), Settled: a.Settled, Unknown: a.Unknown, Lost: a.Lost,
	}
}

var refusedReasons = map[hub.RefusedReason]runnerv1.Refused_Reason{
	hub.RefusedGone:        runnerv1.Refused_REASON_GONE,
	hub.RefusedOldSession:  runnerv1.Refused_REASON_OLD_SESSION,
	hub.RefusedCancelled:   runnerv1.Refused_REASON_CANCELLED,
	hub.RefusedQuarantined: runnerv1.Refused_REASON_QUARANTINED,
	hub.RefusedOtherHost:   runnerv1.Refused_REASON_OTHER_HOST,
	hub.RefusedHeld:        runnerv1.Refused_REASON_HELD,
	hub.RefusedTryAgain:    runnerv1.Refused_REASON_TRY_AGAIN,
}

func refusedOut(r *hub.Refused) *runnerv1.SessionResponse {
	return &runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Refused{Refused: &runnerv1.Refused{
		Fence: fenceOut(r.Fence), Reason: refusedReasons[r.Reason], Message: r.Message,
	}}}
}
