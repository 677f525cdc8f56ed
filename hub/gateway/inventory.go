package gateway

import (
	"context"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/hub"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// inventoryLane is no attempt's id: pages and specs of a full inventory are taken in the
// order in which they came.
const inventoryLane = "inventory"

// maxKeptSteps bounds the positions of steps that a runner shows, since room is made for
// those between.
const maxKeptSteps = 10_000

// kept is a spec that comes in parts.
type kept struct {
	attemptID string
	next      uint32
	data      []byte
}

// show takes a page of a full inventory, or that there is no more of it.
func (s *session) show(ctx context.Context, msg *runnerv1.InventoryPage) error {
	page, err := holdingsIn(msg.GetInventory())
	if err != nil {
		return err
	}
	s.lanes.do(ctx, inventoryLane, func() {
		var answers []hub.HoldingAnswer
		err := retry(ctx, func() (err error) {
			if msg.GetComplete() {
				return s.g.dispatch.Shown(ctx, s.ref)
			}
			answers, err = s.g.dispatch.Show(ctx, s.ref, page)
			return err
		})
		switch {
		case err != nil && ctx.Err() == nil:
			s.end(err) // the next session shows it again
		case err == nil && !msg.GetComplete():
			s.pushHoldings(answers, msg.GetMore())
		}
	})
	return nil
}

func (s *session) pushHoldings(answers []hub.HoldingAnswer, more bool) {
	page := &runnerv1.HoldingsPage{More: more}
	for _, a := range answers {
		page.Holdings = append(page.Holdings, answerOut(a))
	}
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Holdings{Holdings: page}})
}

// keep takes a part of the spec of a lost attempt; with the last one it is taken in.
func (s *session) keep(ctx context.Context, msg *runnerv1.Kept) error {
	id := msg.GetHolding().GetFence().GetAttemptId()
	if msg.GetIndex() == 0 {
		s.kept = kept{attemptID: id}
	}
	if s.kept.attemptID != id || s.kept.next != msg.GetIndex() || len(s.kept.data)+len(msg.GetData()) > wire.MaxSpecBytes {
		return bad("The parts of the spec of attempt %s are out of order, or too large together.", id)
	}
	s.kept.data, s.kept.next = append(s.kept.data, msg.GetData()...), s.kept.next+1
	if msg.GetMore() {
		return nil
	}
	raw := s.kept.data
	s.kept = kept{}
	lost, err := lostIn(msg.GetHolding(), raw)
	if err != nil {
		return err
	}
	s.lanes.do(ctx, inventoryLane, func() {
		var answer hub.HoldingAnswer
		err := retry(ctx, func() (err error) {
			answer, err = s.g.dispatch.Adopt(ctx, s.ref, lost)
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				s.end(err)
			}
			return
		}
		s.pushHoldings([]hub.HoldingAnswer{answer}, false)
	})
	return nil
}

// lostIn reads a spec back into what it was made from.
func lostIn(h *runnerv1.Holding, raw []byte) (hub.LostAttempt, error) {
	holdings, err := holdingsIn([]*runnerv1.Holding{h})
	if err != nil {
		return hub.LostAttempt{}, err
	}
	spec := &runnerv1.Spec{}
	if err := proto.Unmarshal(raw, spec); err != nil {
		return hub.LostAttempt{}, &hub.Error{Code: hub.CodeInvalid, Message: "The spec of a lost attempt cannot be read.", Cause: err}
	}
	context := spec.GetContext()
	out := hub.LostAttempt{
		Holding: holdings[0], JobID: word(context["job.id"]), JobGroup: word(context["job.group"]), JobName: word(context["job.name"]),
		StartedBy: word(context["job.username"]), Number: numberOf(context["job.execnum"]), NodeFilter: text(context["job.filter"], maxText),
		Strategy: hub.StrategyNodeFirst, Keepgoing: spec.GetKeepgoing(), WorkflowKeepgoing: spec.GetWorkflowKeepgoing(),
		Threads: int(min(spec.GetThreads(), maxSlots)), Options: spec.GetOptions(),
		LogFilters: logFiltersIn(spec.GetLogFilters()), LogLimit: logLimitIn(spec.GetLogLimit()),
	}
	if spec.GetStrategy() == runnerv1.Strategy_STRATEGY_STEP_FIRST {
		out.Strategy = hub.StrategySequential
	}
	for _, n := range spec.GetNodes() {
		out.Nodes = append(out.Nodes, hub.Node{
			Name: word(n.GetName()), Hostname: word(n.GetHostname()), Username: word(n.GetUsername()), Attributes: clean(n.GetAttributes()),
		})
		for _, tag := range n.GetTags() {
			last := &out.Nodes[len(out.Nodes)-1]
			last.Tags = append(last.Tags, word(tag))
		}
	}
	for i, step := range spec.GetSteps() {
		if step.GetIsHandler() {
			continue
		}
		position := int(step.GetNumber()) - 1
		if position < 0 || position >= maxKeptSteps || len(out.Positions) > 0 && position <= out.Positions[len(out.Positions)-1] {
			return hub.LostAttempt{}, bad("Step %d of a lost attempt has the number %d, which no workflow has there.", i, step.GetNumber())
		}
		s := stepIn(step)
		if at := int(step.GetErrorHandler()) - 1; at >= 0 && at < len(spec.GetSteps()) {
			handler := stepIn(spec.GetSteps()[at])
			s.ErrorHandler = &handler
		}
		out.Steps, out.Positions = append(out.Steps, s), append(out.Positions, position)
	}
	out.WorkflowSteps = int(min(spec.GetWorkflowSteps(), maxKeptSteps))
	if len(out.Steps) == 0 || len(out.Nodes) == 0 {
		return hub.LostAttempt{}, bad("The spec of lost attempt %s has no steps or no nodes.", out.Fence.AttemptID)
	}
	return out, nil
}

// stepIn is the reverse of makeStep, as far as people want to see it.
func stepIn(s *runnerv1.Step) hub.Step {
	out := hub.Step{
		Description: text(s.GetDescription(), maxText), Exec: text(s.GetExec(), wire.MaxInlineSpecBytes),
		Timeout: millisIn(s.GetTimeoutMs()), Idempotent: s.GetIdempotent(), Probe: text(s.GetProbe(), maxText),
		ContinueOnUnknown: s.GetContinueOnUnknown(), Retries: int(s.GetRetries()), RetryDelay: millisIn(s.GetRetryDelayMs()),
		KeepgoingOnSuccess: s.GetKeepgoingOnSuccess(), LogFilters: logFiltersIn(s.GetLogFilters()),
	}
	if script := s.GetScript(); script != nil {
		out.Script = &hub.Script{
			Text: text(script.GetText(), wire.MaxSpecBytes), Args: text(script.GetArgsText(), maxText),
			Interpreter: word(script.GetInterpreter()), ArgsQuoted: script.GetArgsQuoted(), FileExtension: word(script.GetFileExtension()),
		}
	}
	return out
}

// logFiltersIn is the reverse of logFilters.
func logFiltersIn(filters []*runnerv1.LogFilter) []hub.LogFilter {
	var out []hub.LogFilter
	for _, f := range filters {
		out = append(out, hub.LogFilter{Type: word(f.GetType()), Config: clean(f.GetConfig())})
	}
	return out
}

// logLimitIn is the reverse of logLimit, but for an author's own status.
func logLimitIn(l *runnerv1.LogLimit) hub.LogLimit {
	quota := int64(min(l.GetQuota(), math.MaxInt64))
	if l.GetLines() == 0 && l.GetBytes() == 0 {
		return hub.LogLimit{Quota: quota}
	}
	out := hub.LogLimit{
		Lines: int64(min(l.GetLines(), math.MaxInt64)), Bytes: int64(min(l.GetBytes(), math.MaxInt64)), Quota: quota,
		PerNode: l.GetPerNode(), Truncate: l.GetTruncate(), Status: hub.LogLimitFailed,
	}
	if out.Text = strconv.FormatInt(out.Lines, 10); out.Bytes > 0 {
		out.Text = strconv.FormatInt(out.Bytes, 10) + "B"
	}
	if out.PerNode {
		out.Text += "/node"
	}
	if l.GetCancelled() {
		out.Status = hub.LogLimitAborted
	}
	return out
}

// millisIn is a duration of the wire; what no hub ever told counts as none.
func millisIn(ms int64) time.Duration {
	if ms < 0 || ms > int64(maxDuration/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

const maxDuration = 10 * 365 * 24 * time.Hour

// numberOf reads the number of an execution, 0 when it is none.
func numberOf(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<48 {
		return 0
	}
	return n
}
