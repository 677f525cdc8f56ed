package dispatch

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/batch"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/failpoint"
)

// claimRequest is a claim, or a resume.
type claimRequest struct {
	ref    hub.SessionRef
	work   *work
	resume bool
}

// claimAnswer is what a committed claim or resume needs besides.
type claimAnswer struct {
	boot     []byte
	timeLeft time.Duration
	stop     hub.StopScope
}

// Claim commits the claim and returns the grant, or a *hub.Refused.
func (d *Dispatcher) Claim(ctx context.Context, ref hub.SessionRef, fence hub.Fence) (hub.Grant, error) {
	w, err := d.known(ctx, fence, ref.RunnerID)
	if err != nil {
		return hub.Grant{}, err
	}
	if ref.Protocol < w.job.needs.protocol {
		return hub.Grant{}, d.tooOldToClaim(ctx, w)
	}
	answer, err := d.claims.Do(ctx, claimRequest{ref: ref, work: w})
	if err != nil {
		return hub.Grant{}, err
	}
	secrets, err := d.secrets(ctx, w)
	if err != nil {
		return hub.Grant{}, err
	}
	g := hub.Grant{Fence: fence, SessionEpoch: ref.Epoch, TimeLeft: answer.timeLeft, Secrets: secrets}
	if d.cfg.GrantMAC != nil {
		g.MAC = d.cfg.GrantMAC(w.proof(answer.boot))
	}
	return g, nil
}

// Resume lets an attempt go on after a restart of its runner, or a *hub.Refused.
func (d *Dispatcher) Resume(ctx context.Context, ref hub.SessionRef, fence hub.Fence) (hub.Resumed, error) {
	w, err := d.known(ctx, fence, ref.RunnerID)
	if err != nil {
		return hub.Resumed{}, err
	}
	if ref.Protocol < w.job.needs.protocol {
		if err := d.tooOldToResume(ctx, w); err != nil {
			return hub.Resumed{}, err
		}
	}
	answer, err := d.claims.Do(ctx, claimRequest{ref: ref, work: w, resume: true})
	if err != nil {
		return hub.Resumed{}, err
	}
	if err := d.resumedByNewer(ctx, w); err != nil {
		return hub.Resumed{}, err
	}
	secrets, err := d.secrets(ctx, w)
	if err != nil {
		return hub.Resumed{}, err
	}
	return hub.Resumed{Fence: fence, SessionEpoch: ref.Epoch, TimeLeft: answer.timeLeft, Stop: answer.stop, Secrets: secrets}, nil
}

// secrets gathers what an attempt needs. A secret that is lacking fails the node step
// that names it, which can say so; only a hub that cannot look makes the runner wait.
func (d *Dispatcher) secrets(ctx context.Context, w *work) (*hub.Secrets, error) {
	if d.cfg.Secrets == nil {
		return &hub.Secrets{}, nil
	}
	s, err := d.cfg.Secrets(ctx, w.project.Load(), &w.job.base, &w.assignment)
	switch hub.ErrorCode(err) {
	case "":
		return s, nil
	case hub.CodeNotFound, hub.CodeInvalid, hub.CodeForbidden:
		d.log.Warn("granting without a secret", "attempt", w.fence.AttemptID, "error", err)
		if s == nil {
			s = &hub.Secrets{}
		}
		return s, nil
	default:
		d.log.Error("cannot gather the secrets of an attempt", "attempt", w.fence.AttemptID, "error", err)
		return nil, refused(w.fence, hub.RefusedTryAgain, "The hub cannot read its key storage now.")
	}
}

type claimCall = batch.Call[claimRequest, claimAnswer]

// commitClaims is one transaction for claims and resumes that came together.
func (d *Dispatcher) commitClaims(ctx context.Context, calls []*claimCall) error {
	fx := &effects{d: d}
	err := fx.commit(ctx, func(st *store.Store) error {
		for _, c := range calls {
			c.Answer, c.Err = claimAnswer{}, nil
		}
		if err := d.claim(ctx, st, fx, calls); err != nil {
			return err
		}
		failpoint.Hit("hub.claim.before-commit")
		return nil
	})
	if err != nil {
		return err
	}
	failpoint.Hit("hub.claim.after-commit")
	for _, c := range calls {
		if c.Request.resume && c.Err == nil {
			failpoint.Hit("hub.resume.after-commit")
		}
	}
	fx.apply(ctx)
	return nil
}

func (d *Dispatcher) claim(ctx context.Context, st *store.Store, fx *effects, calls []*claimCall) error {
	claims, resumes, executions := asks(calls)
	// Rows are taken in one order everywhere: executions first.
	if len(claims) > 0 {
		if err := st.MarkRunning(ctx, executions); err != nil {
			return err
		}
	}
	rules := store.ClaimRules{
		AnySession: failpoint.Mutant("M7"),
		AnyHost:    failpoint.Mutant("M7") || failpoint.Mutant("NM14"),
	}
	granted, err := st.ClaimAttempts(ctx, claims, d.tick(), rules)
	if err != nil {
		return err
	}
	resumed, err := st.ResumeAttempts(ctx, resumes, d.tick(), rules)
	if err != nil {
		return err
	}
	var notes []store.AttemptEvent
	for _, c := range calls {
		id := c.Request.work.fence.AttemptID
		switch {
		case c.Request.resume && touched(resumed, id):
			notes = append(notes, store.AttemptEvent{AttemptID: id, Event: "resume", State: hub.AttemptRunning})
		case !c.Request.resume && touched(granted, id):
			c.Answer.boot = granted[id]
		default:
			if c.Err, err = d.whyRefused(ctx, st, &c.Request); err != nil {
				return err
			}
			continue
		}
		if err := d.completeClaim(ctx, st, fx, c); err != nil {
			return err
		}
	}
	return st.InsertAttemptEvents(ctx, notes)
}

func touched(boots map[string][]byte, id string) bool {
	_, ok := boots[id]
	return ok
}

// asks sorts a batch into claims and resumes, each attempt once, in the order of ids.
func asks(calls []*claimCall) (claims, resumes []store.ClaimAsk, executions []string) {
	seen := make(map[store.ClaimAsk]bool, len(calls))
	for _, c := range calls {
		w := c.Request.work
		ask := store.ClaimAsk{AttemptID: w.fence.AttemptID, RunnerID: c.Request.ref.RunnerID, Session: c.Request.ref.Epoch}
		if seen[ask] {
			continue
		}
		seen[ask] = true
		if c.Request.resume {
			resumes = append(resumes, ask)
			continue
		}
		claims = append(claims, ask)
		executions = append(executions, w.assignment.ExecutionID)
	}
	slices.Sort(executions)
	byID := func(a, b store.ClaimAsk) int {
		if a.AttemptID < b.AttemptID {
			return -1
		}
		return 1
	}
	slices.SortFunc(claims, byID)
	slices.SortFunc(resumes, byID)
	return claims, resumes, slices.Compact(executions)
}

// completeClaim reads what the answer needs besides: only for what has a time limit or
// may have a stop does it cost a query.
func (d *Dispatcher) completeClaim(ctx context.Context, st *store.Store, fx *effects, c *claimCall) error {
	w := c.Request.work
	e := &w.job.base
	if e.Timeout > 0 || c.Request.resume {
		row, err := st.ExecutionRow(ctx, e.OrganisationID, e.ID)
		if err != nil {
			return err
		}
		c.Answer.stop = stopScope(row, w.assignment.Nodes)
		if e.Timeout > 0 {
			// Never 0, which would mean no limit.
			c.Answer.timeLeft = max(row.StartedAt.Add(e.Timeout).Sub(st.Now()), time.Millisecond)
		}
	}
	fx.event(hub.EventExecution, e, hub.StatusRunning)
	return nil
}

// whyRefused tells a claim that lost its compare-and-set why.
func (d *Dispatcher) whyRefused(ctx context.Context, st *store.Store, r *claimRequest) (refusal, err error) {
	w := r.work
	list, err := st.Attempts(ctx, []string{w.fence.AttemptID}, false)
	if err != nil {
		return nil, err
	}
	say := func(reason hub.RefusedReason, message string) (error, error) {
		return refused(w.fence, reason, message), nil
	}
	if len(list) == 0 {
		return say(hub.RefusedGone, "The database does not have this attempt any more.")
	}
	row, err := st.ExecutionRow(ctx, w.job.base.OrganisationID, w.job.base.ID)
	if hub.ErrorCode(err) == hub.CodeNotFound {
		return say(hub.RefusedGone, "Retention has taken the execution.")
	}
	if err != nil {
		return nil, err
	}
	session, err := st.Session(ctx, w.runnerID)
	if err != nil {
		return nil, err
	}
	runner, err := st.Runner(ctx, w.runnerID)
	if err != nil {
		return nil, err
	}
	t := list[0]
	over := t.State != hub.AttemptOffered && !t.State.Live()
	const otherHost = "The attempt was claimed on another host; this disk may be a copy. A person decides."
	current := session.Confirmed == r.ref.Epoch && session.Unconfirmed == 0
	switch {
	case runner.Revoked || runner.Quarantined != "":
		return say(hub.RefusedQuarantined, "This runner's identity is in quarantine: "+runner.Quarantined)
	case r.resume && current && over && !sameMachine(t, &session):
		// Told that it is over, a copied disk would take for proven that what it lacks was
		// not started; its original may have.
		return say(hub.RefusedOtherHost, otherHost)
	case !t.State.Live() && (row.CancelRequested || row.NoNew):
		return say(hub.RefusedCancelled, "The execution was stopped before this was claimed.")
	case over:
		return say(hub.RefusedGone, "The attempt is over: "+string(t.State)+".")
	case !current:
		// The other one is at another member, or this one would have been ended there.
		d.reg.leave(r.ref)
		return say(hub.RefusedOldSession, "This session is not the runner's current one.")
	case row.Held:
		return say(hub.RefusedHeld, "The database went back in time, or is being moved: work of before waits for what runners show.")
	case r.resume:
		return say(hub.RefusedOtherHost, otherHost)
	default:
		return say(hub.RefusedOldSession, "An earlier session of this runner claimed it; give it back if nothing was started.")
	}
}

// sameMachine reports whether a runner's session is of the boot or host that claimed an
// attempt: only its disk tells what was started.
func sameMachine(t *store.AttemptRow, s *hub.RunnerSession) bool {
	return bytes.Equal(t.ClaimBoot, s.BootID) || len(s.HostID) > 0 && bytes.Equal(t.ClaimHost, s.HostID)
}
