package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/hub"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// handle takes one frame. What concerns an attempt goes into that attempt's lane; what
// is wrong with the frame itself ends the session.
func (s *session) handle(ctx context.Context, f *runnerv1.SessionRequest) error {
	switch f := f.GetFrame().(type) {
	case *runnerv1.SessionRequest_Confirm:
		return s.confirm(ctx, f.Confirm.GetSessionEpoch())
	case *runnerv1.SessionRequest_Credits:
		s.g.dispatch.SetCredits(s.ref, int(min(f.Credits.GetSlots(), maxSlots)))
		return nil
	case *runnerv1.SessionRequest_Renew:
		return s.renew(ctx, f.Renew)
	case *runnerv1.SessionRequest_Claim:
		return s.attempt(ctx, f.Claim.GetFence(), s.claim)
	case *runnerv1.SessionRequest_Resume:
		return s.attempt(ctx, f.Resume.GetFence(), s.resume)
	case *runnerv1.SessionRequest_NotStarted:
		return s.attempt(ctx, f.NotStarted.GetFence(), s.notStarted)
	case *runnerv1.SessionRequest_Forgotten:
		return s.attempt(ctx, f.Forgotten.GetFence(), s.forgotten)
	case *runnerv1.SessionRequest_Refuse:
		return s.refuse(ctx, f.Refuse)
	case *runnerv1.SessionRequest_StopAck:
		return s.stopAck(ctx, f.StopAck)
	case *runnerv1.SessionRequest_Steps:
		return s.steps(ctx, f.Steps)
	case *runnerv1.SessionRequest_Result:
		return s.result(ctx, f.Result)
	case *runnerv1.SessionRequest_Inventory:
		return s.show(ctx, f.Inventory)
	case *runnerv1.SessionRequest_Kept:
		return s.keep(ctx, f.Kept)
	case *runnerv1.SessionRequest_Hello:
		return bad("A session has one Hello; this one sends another.")
	default:
		return status.Error(codes.Unimplemented, "this hub does not know a kind of frame that the runner sent; upgrade the hub")
	}
}

// attempt puts work that needs no more than a fence into the attempt's lane.
func (s *session) attempt(ctx context.Context, f *runnerv1.Fence, work func(context.Context, hub.Fence)) error {
	fence, err := fenceIn(f)
	if err != nil {
		return err
	}
	s.lanes.do(ctx, fence.AttemptID, func() { work(ctx, fence) })
	return nil
}

// Pauses between tries while the database is away.
const (
	firstPause = 50 * time.Millisecond
	longPause  = 2 * time.Second
)

// retry calls f until it is answered by the database: while that is away a session is
// kept and nothing is acknowledged, else every short restart of it would be a storm of
// reconnects.
func retry(ctx context.Context, f func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := f()
		if hub.ErrorCode(err) != hub.CodeUnavailable || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// answer tells the runner that a request is refused, and why. An error that is no
// refusal is told as "not now": the runner asks again.
func (s *session) answer(ctx context.Context, fence hub.Fence, what string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	var refused *hub.Refused
	if !errors.As(err, &refused) {
		s.g.log.WarnContext(ctx, "request not answered", "what", what, "attempt_id", fence.AttemptID, "runner_id", s.id.ID, "error", err)
		refused = &hub.Refused{Reason: hub.RefusedTryAgain, Message: hub.ErrorMessage(err)}
	}
	told := *refused
	told.Fence = fence
	s.push(refusedOut(&told))
}

// fail ends the session for an error that sending again will not help; a refusal is
// told instead.
func (s *session) fail(ctx context.Context, fence hub.Fence, what string, err error) {
	if _, ok := errors.AsType[*hub.Refused](err); ok {
		s.answer(ctx, fence, what, err)
		return
	}
	if ctx.Err() == nil {
		s.end(fmt.Errorf("%s of attempt %s: %w", what, fence.AttemptID, err))
	}
}

func (s *session) claim(ctx context.Context, fence hub.Fence) {
	grant, err := s.g.dispatch.Claim(ctx, s.ref, fence)
	if err != nil {
		s.answer(ctx, fence, "claim", err)
		return
	}
	sealed, err := s.seal(ctx, fence, grant.Secrets)
	if err != nil {
		s.answer(ctx, fence, "claim", err)
		return
	}
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Grant{Grant: &runnerv1.Grant{
		Fence: fenceOut(grant.Fence), SessionEpoch: uint64(grant.SessionEpoch),
		TimeLeftMs: grant.TimeLeft.Milliseconds(), SealedSecrets: sealed, Mac: grant.MAC,
	}}})
}

func (s *session) resume(ctx context.Context, fence hub.Fence) {
	resumed, err := s.g.dispatch.Resume(ctx, s.ref, fence)
	if err != nil {
		s.answer(ctx, fence, "resume", err)
		return
	}
	sealed, err := s.seal(ctx, fence, resumed.Secrets)
	if err != nil {
		s.answer(ctx, fence, "resume", err)
		return
	}
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_Resumed{Resumed: &runnerv1.Resumed{
		Fence: fenceOut(resumed.Fence), SessionEpoch: uint64(resumed.SessionEpoch),
		SealedSecrets: sealed, Stop: stopOut(resumed.Stop), TimeLeftMs: resumed.TimeLeft.Milliseconds(),
	}}})
}

// maxSecrets bounds the secrets of one attempt, which must fit into one frame.
const maxSecrets = 768 << 10

// fitting are the options and as many keys, in the order of their paths, as one frame takes,
// and how many it does not. A node step that lacks its key fails and says so; refused as a
// whole, the attempt would be claimed again and again and then be lost, every node unknown.
func fitting(secrets *hub.Secrets) (told *runnerv1.Secrets, left int) {
	told = &runnerv1.Secrets{Options: secrets.Options, Lacking: secrets.Lacking, Keys: make(map[string][]byte, len(secrets.Keys))}
	size := proto.Size(told)
	for _, path := range slices.Sorted(maps.Keys(secrets.Keys)) {
		value := secrets.Keys[path]
		if size += proto.Size(&runnerv1.Secrets{Keys: map[string][]byte{path: value}}); size > maxSecrets {
			return told, len(secrets.Keys) - len(told.GetKeys())
		}
		told.Keys[path] = value
	}
	return told, 0
}

// seal closes an attempt's secrets for this runner alone; nothing gives nothing.
func (s *session) seal(ctx context.Context, fence hub.Fence, secrets *hub.Secrets) ([]byte, error) {
	if secrets == nil || len(secrets.Options) == 0 && len(secrets.Keys) == 0 && len(secrets.Lacking) == 0 {
		return nil, nil
	}
	told, left := fitting(secrets)
	if left > 0 {
		s.g.log.WarnContext(ctx, "granting without some keys: those that the nodes of an attempt need are too large together",
			"attempt_id", fence.AttemptID, "keys", left, "most_bytes", maxSecrets)
	}
	plain, err := proto.Marshal(told)
	if err != nil {
		return nil, fmt.Errorf("encoding the secrets of attempt %s: %w", fence.AttemptID, err)
	}
	if len(plain) > maxSecrets {
		return nil, hub.Errorf(hub.CodeExhausted, "The secure options of this step are larger than %d bytes together.", maxSecrets)
	}
	row, err := s.g.st.Runner(ctx, s.id.ID)
	if err != nil {
		return nil, err
	}
	return wire.Seal(row.SealingKey, wire.SealInfo(s.id.ClusterID, fence.AttemptID), plain)
}

func (s *session) notStarted(ctx context.Context, fence hub.Fence) {
	// On success dispatch tells Forget by the sink.
	err := retry(ctx, func() error { return s.g.dispatch.NotStarted(ctx, s.ref, fence) })
	s.answer(ctx, fence, "not started", err)
}

func (s *session) forgotten(ctx context.Context, fence hub.Fence) {
	err := retry(ctx, func() error { return s.g.dispatch.Forgotten(ctx, s.ref, fence) })
	s.answer(ctx, fence, "forgotten", err)
}

func (s *session) refuse(ctx context.Context, msg *runnerv1.Refuse) error {
	reason, ok := refuseReasons[msg.GetReason()]
	if !ok {
		reason = "other"
	}
	message := text(msg.GetMessage(), maxText)
	return s.attempt(ctx, msg.GetFence(), func(ctx context.Context, fence hub.Fence) {
		err := retry(ctx, func() error { return s.g.dispatch.Refuse(ctx, s.ref, fence, reason, message) })
		s.answer(ctx, fence, "refuse", err)
	})
}

func (s *session) stopAck(ctx context.Context, msg *runnerv1.StopAck) error {
	n, err := count("record number", msg.GetN())
	if err != nil {
		return err
	}
	return s.attempt(ctx, msg.GetFence(), func(_ context.Context, fence hub.Fence) {
		s.g.dispatch.StopAck(s.ref, fence, n, msg.GetClosed())
	})
}

func (s *session) steps(ctx context.Context, msg *runnerv1.Steps) error {
	steps, err := stepsIn(s.id, msg.GetFence(), msg.GetFirstN(), msg.GetPrevHash(), msg.GetRecords())
	if err != nil {
		return err
	}
	s.lanes.do(ctx, steps.Fence.AttemptID, func() {
		var next int64
		err := retry(ctx, func() (err error) {
			next, err = s.g.dispatch.Steps(ctx, steps)
			return err
		})
		s.acknowledge(ctx, steps.Fence, "steps", next, err)
	})
	return nil
}

// acknowledge answers records: with the first that is missing, also after a gap.
func (s *session) acknowledge(ctx context.Context, fence hub.Fence, what string, next int64, err error) {
	if behind, ok := errors.AsType[*hub.Behind](err); ok {
		next, err = behind.NextN, nil
	}
	if err != nil {
		s.fail(ctx, fence, what, err)
		return
	}
	s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_StepsAck{StepsAck: &runnerv1.StepsAck{
		Fence: fenceOut(fence), NextN: uint64(next),
	}}})
}

func (s *session) result(ctx context.Context, msg *runnerv1.Result) error {
	result, err := resultIn(s.id, msg)
	if err != nil {
		return err
	}
	s.lanes.do(ctx, result.Fence.AttemptID, func() {
		var logNext int64
		err := retry(ctx, func() (err error) {
			logNext, err = s.settle(ctx, msg, result)
			return err
		})
		var behind *hub.Behind
		switch {
		case errors.As(err, &behind):
			s.acknowledge(ctx, result.Fence, "result", 0, err)
		case err != nil:
			s.fail(ctx, result.Fence, "result", err)
		default:
			s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_ResultAck{ResultAck: &runnerv1.ResultAck{
				Fence: fenceOut(result.Fence), LogNext: uint64(logNext),
			}}})
		}
	})
	return nil
}

// renewLane is no attempt's id.
const renewLane = "renew"

func (s *session) renew(ctx context.Context, msg *runnerv1.Renew) error {
	fences := make([]hub.Fence, 0, len(msg.GetFences()))
	for _, f := range msg.GetFences() {
		fence, err := fenceIn(f)
		if err != nil {
			return err
		}
		fences = append(fences, fence)
	}
	s.lanes.do(ctx, renewLane, func() {
		tick, mark, err := s.g.dispatch.Renew(ctx, s.ref, fences)
		if err != nil {
			// No answer is the answer: the runner counts how long no hub renewed.
			if ctx.Err() == nil {
				s.g.log.WarnContext(ctx, "leases not renewed", "runner_id", s.id.ID, "error", err)
			}
			return
		}
		s.push(&runnerv1.SessionResponse{Frame: &runnerv1.SessionResponse_RenewAck{RenewAck: &runnerv1.RenewAck{
			Tick: uint64(tick), DbMark: markOut(mark),
		}}})
		if err := s.g.dispatch.Stalls(ctx, s.ref, stallsIn(msg)); err != nil && ctx.Err() == nil {
			s.g.log.WarnContext(ctx, "it is not told that output waits", "runner_id", s.id.ID, "error", err)
		}
	})
	return nil
}

// stallsIn takes what a renewal says of output that waits.
func stallsIn(msg *runnerv1.Renew) hub.Stalls {
	out := hub.Stalls{Flowing: msg.GetFlowing()}
	for _, stall := range msg.GetStalls() {
		if stall.GetWhy() == runnerv1.Stall_WHY_DISK {
			out.Disk = append(out.Disk, stall.GetAttemptId())
		} else {
			out.Unacknowledged = append(out.Unacknowledged, stall.GetAttemptId())
		}
	}
	return out
}
