package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/disk/memdisk"
)

const clusterID = "00000000-0000-4000-8000-000000000001"

// world is everything that there is in one history.
type world struct {
	t    *testing.T
	plan *plan
	log  *slog.Logger
	ctx  context.Context //nolint:containedctx // the life of the history
	stop context.CancelFunc
	// wg is everything that was begun, but what members wait for themselves.
	wg   sync.WaitGroup
	tick atomic.Int64
	// struck counts the faults that happened.
	struck atomic.Int64
	began  time.Time
	db     *storetest.Serial
	other  *storetest.Serial // of a standby
	seats  map[string]*seat  // never changes
	order  []*seat
	// changing is held by who starts hubs, or keeps them from it.
	changing chan struct{}

	mu       sync.Mutex
	hosts    []*host
	conns    map[*conn]bool
	apart    map[*host]bool // those that reach no hub
	dbDown   bool
	putBack  hub.HoldKind // the next hub is the first on a backup, or a promoted standby
	split    bool         // there are two primaries
	promoted bool         // the standby's database has begun
	dials    int
	starts   []*start
	triggers []*trigger
	calm     bool
	accepted map[int]string    // execution ids by job
	finals   map[string]string // what of an execution was shown as final
	violated []string
	story    []string
	// told are the journal records that runners sent, by the hash of the chain behind them.
	told map[wire.Hash]toldRecord
}

// trigger waits for its fault's moment.
type trigger struct {
	fault
	seen int
	over bool
}

var (
	errLost    = errors.New("the frame is lost")
	errAborted = &hub.Error{Code: hub.CodeUnavailable, Message: "The transaction was aborted."}
)

// newWorld prepares hosts and hubs; play lets them run.
func newWorld(t *testing.T, p *plan, db, other *storetest.Serial, log *slog.Logger) *world {
	w := &world{
		t: t, plan: p, log: log, began: time.Now(), db: db, other: other, seats: map[string]*seat{}, conns: map[*conn]bool{}, apart: map[*host]bool{},
		accepted: map[int]string{}, finals: map[string]string{}, told: map[wire.Hash]toldRecord{},
		changing: make(chan struct{}, 1),
	}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.tick.Store(1000)
	if err := db.Begin(); err != nil {
		t.Fatal(err)
	}
	for i := range p.members {
		s := &seat{w: w, index: i, name: "hub" + strconv.Itoa(i), db: db}
		w.seats[s.name] = s
		w.order = append(w.order, s)
	}
	return w
}

func (w *world) addresses() []string {
	var out []string
	for _, s := range w.order {
		out = append(out, s.name)
	}
	return out
}

// note adds to the story.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked(format, args...)
}

func (w *world) noteLocked(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%8.3f  %s", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...)))
}

// broke notes that a promise was broken.
func (w *world) broke(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.brokeLocked(format, args...)
}

func (w *world) brokeLocked(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.violated = append(w.violated, text)
	w.noteLocked("VIOLATION: %s", text)
}

func (w *world) mustEnd(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errDead) {
		w.broke("%s ended with: %v", what, err)
	}
}

// hit tells that something happens to a runner and a member (negative: to none), and
// lets the faults that waited for it happen.
func (w *world) hit(what string, runner, member int) error {
	w.mu.Lock()
	var due []*trigger
	for _, t := range w.triggers {
		if t.over || w.calm || t.on != what || !t.concerns(runner, member) {
			continue
		}
		if t.seen++; t.seen >= t.n {
			t.over = true
			due = append(due, t)
		}
	}
	w.mu.Unlock()
	var err error
	for _, t := range due {
		w.note("%s", t.fault)
		if e := w.strike(t.fault, runner, member); e != nil {
			err = e
		}
	}
	return err
}

func (t *trigger) concerns(runner, member int) bool {
	switch t.kind {
	case hubKill, dbError:
		return t.who == member
	case cancel, cancelNode, dbDown, forget, fork:
		return true
	default:
		return t.who == runner
	}
}

// strike makes a fault happen now.
func (w *world) strike(f fault, runner, member int) error {
	w.struck.Add(1)
	switch f.kind {
	case hubKill:
		if m := w.memberAt(f.who); m != nil {
			m.kill(f.last)
		}
	case dbError:
		return errAborted
	case dbDown:
		w.toggle(f.last, func(down bool) { w.dbDown = down })
	case cut:
		w.cutAll(f.who)
	case partition:
		h := w.hostOf(f.who)
		w.toggle(f.last, func(apart bool) { w.apart[h] = apart })
		w.cutHost(h)
	case silence:
		w.hush(f)
	case forget:
		w.wg.Go(func() { w.forget(f.last) })
	case fork:
		w.mu.Lock()
		w.split = true
		w.mu.Unlock()
		w.wg.Go(func() { w.fork(time.Duration(f.n)*time.Millisecond, f.last) })
	case lose:
		if f.on == "" {
			return nil
		}
		w.later(f.last, func() { w.cutAll(f.who) })
		return errLost
	case runnerKill:
		w.hostOf(f.who).kill(f.last)
	case powerCut:
		w.hostOf(f.who).powerCut(f.last, f.tail)
	case restart:
		w.wg.Go(func() { w.hostOf(f.who).upgrade(f.last) })
	case clone, cloneMove:
		w.copyDisk(f)
	case cancel, cancelNode:
		w.wg.Go(func() { w.cancel(f) })
	}
	return nil
}

// toggle sets something, under the lock, for some time.
func (w *world) toggle(last time.Duration, set func(bool)) {
	w.mu.Lock()
	set(true)
	w.mu.Unlock()
	w.later(last, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		set(false)
	})
}

func (w *world) later(d time.Duration, do func()) {
	w.wg.Go(func() {
		if wait(d, w.ctx.Done()) {
			do()
		}
	})
}

func (w *world) memberAt(i int) *member {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.order[i%len(w.order)].member
}

// hostOf returns the runner's own host, not a copy's.
func (w *world) hostOf(runner int) *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hosts[runner]
}

func (w *world) connsOf(runner int) []*conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*conn
	for c := range w.conns {
		if c.p.h.runner == runner {
			out = append(out, c)
		}
	}
	return out
}

func (w *world) cutAll(runner int) {
	for _, c := range w.connsOf(runner) {
		c.breakOff()
	}
}

func (w *world) cutHost(h *host) {
	for _, c := range w.connsOf(h.runner) {
		if c.p.h == h {
			c.breakOff()
		}
	}
}

// hush makes one direction carry nothing until keepalive gives the connection up.
func (w *world) hush(f fault) {
	for _, c := range w.connsOf(f.who) {
		if f.n%2 == 0 {
			c.up.hush()
			c.outUp.hush()
		} else {
			c.down.hush()
			c.outDown.hush()
		}
		w.later(15*time.Second, c.breakOff)
	}
}

// copyDisk brings the runner's disk up on another machine, beside the first or in its
// place.
func (w *world) copyDisk(f fault) {
	h := w.hostOf(f.who)
	c := h.copyTo(fmt.Sprintf("%s-copy%d", h.name, len(w.hosts)))
	w.note("the disk of %s is copied to %s", h.name, c.name)
	if f.kind == cloneMove {
		if p := h.end((*conn).breakOff); p != nil {
			h.fs.Kill()
		}
		w.mu.Lock()
		h.gone = true
		w.mu.Unlock()
		w.note("host %s is given up", h.name)
	}
	c.comeBack(f.last)
}

// play runs the history to its end.
func (w *world) play() {
	w.setUp()
	w.wg.Go(w.ticks)
	end := time.Duration(0)
	for i, j := range w.plan.jobs {
		end = max(end, j.at)
		w.later(j.at, func() { w.accept(i, j) })
	}
	for _, f := range w.plan.faults {
		end = max(end, f.at+f.last)
		w.later(f.at, func() {
			if f.on == "" {
				w.note("%s", f)
				_ = w.strike(f, f.who, f.who)
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.triggers = append(w.triggers, &trigger{fault: f})
		})
	}
	// Faults that wait for their moment get some time to find it.
	for spent := time.Duration(0); spent < end+20*time.Second && !w.settled(); spent += time.Second {
		wait(time.Second, nil)
	}
	w.calmDown()
	w.settle()
	w.judge()
	w.tearDown()
}

func (w *world) setUp() {
	for i := range w.plan.runners {
		h := &host{w: w, name: "runner" + strconv.Itoa(i), runner: i, began: time.Now(), shims: map[shimKey]*shim{}}
		h.fs = memdisk.New()
		w.hosts = append(w.hosts, h)
	}
	for _, s := range w.order {
		if err := s.boot(); err != nil {
			w.t.Fatalf("starting %s: %v", s.name, err)
		}
	}
	st := w.order[0].member.st
	project := &hub.Project{OrganisationID: hub.DefaultOrganisationID, Name: "sim"}
	if w.plan.routed {
		project.Routes = []hub.Route{{Filter: "tags: a", Tags: []string{"a"}}, {Filter: "tags: b", Tags: []string{"b"}}}
	}
	err := st.CreateProject(w.ctx, project)
	var nodes []hub.Node
	for i, n := range w.plan.nodes {
		executor := "ssh"
		if n.local {
			executor = "local"
		}
		nodes = append(nodes, hub.Node{Name: "n" + strconv.Itoa(i), Hostname: "h", Tags: []string{n.tag}, Attributes: map[string]string{"node-executor": executor}})
	}
	if err == nil {
		_, err = st.ReplaceNodes(w.ctx, project.ID, nodes)
	}
	for i, rp := range w.plan.runners {
		row := &hub.Runner{OrganisationID: hub.DefaultOrganisationID, Name: w.hosts[i].name, Tags: rp.tags, Slots: rp.slots}
		if err == nil {
			err = st.CreateRunner(w.ctx, row)
		}
		if err == nil {
			err = st.AddRunnerCertificate(w.ctx, &hub.RunnerCertificate{Serial: row.ID, RunnerID: row.ID, PublicKey: []byte(row.ID), DER: identity().der})
		}
		w.hosts[i].id = row.ID
	}
	if err != nil {
		w.t.Fatalf("setting up: %v", err)
	}
	for _, h := range w.hosts {
		if w.plan.late > 0 {
			h.comeBack(w.plan.late)
		} else {
			h.start()
		}
	}
}

// ticks is the lease clock: it stands still while no hub can commit.
func (w *world) ticks() {
	for wait(time.Second, w.ctx.Done()) {
		w.mu.Lock()
		alive := slices.ContainsFunc(w.order, func(s *seat) bool { return s.member != nil })
		if alive && !w.dbDown {
			w.tick.Add(1)
		}
		w.mu.Unlock()
	}
}

// anyMember returns a member that serves; nil if there is none.
func (w *world) anyMember() *member {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.order {
		if s.member != nil {
			return s.member
		}
	}
	return nil
}

// accept starts an execution, as a client does that asks again until it is answered:
// by a key it finds what an answer that was lost had promised.
func (w *world) accept(i int, j jobPlan) {
	name := "j" + strconv.Itoa(i)
	for first := true; ; first = false {
		if !first && !wait(200*time.Millisecond, w.ctx.Done()) {
			return
		}
		m := w.memberAt(i)
		if m == nil {
			m = w.anyMember()
		}
		if m == nil {
			continue
		}
		if !first {
			id, err := w.find(m, name)
			if err != nil {
				continue
			}
			if id != "" {
				w.shake(i, id)
				return
			}
		}
		e, err := m.dispatch.Start(m.ctx, dispatch.StartRequest{
			OrganisationID: hub.DefaultOrganisationID, ProjectID: "sim", Definition: w.plan.definition(i), By: "sim",
		})
		if err != nil || m.dead.Load() {
			w.note("starting %s was not answered: %v", name, err)
			if w.plan.has(fork) { // the other primary would not know that it was asked before
				w.shake(i, "")
				return
			}
			continue
		}
		w.shake(i, e.ID)
		return
	}
}

// shake notes what a start was answered by; "" by nothing, and the client gives up.
func (w *world) shake(i int, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted[i] = id
	if id != "" {
		w.noteLocked("execution j%d is accepted", i)
	}
}

func (w *world) find(m *member, name string) (string, error) {
	rows, err := m.executions(m.ctx)
	for _, r := range rows {
		if r.JobName == name {
			return r.ID, err
		}
	}
	return "", err
}

// definition makes the job of a plan.
func (p *plan) definition(i int) *hub.Job {
	j := p.jobs[i]
	job := &hub.Job{Name: "j" + strconv.Itoa(i), LostAfter: j.lostAfter, StopAfterHubLoss: j.stopAfter}
	job.Workflow.Strategy = hub.StrategyNodeFirst
	if j.sequential {
		job.Workflow.Strategy = hub.StrategySequential
	}
	job.Workflow.Keepgoing = j.goOn
	if j.filters {
		job.Workflow.LogFilters = []hub.LogFilter{
			{Type: hub.FilterKeyValue}, {Type: hub.FilterMaskRegex, Config: map[string]string{"regex": secretWord}},
		}
	}
	if j.limit > 0 {
		job.LogLimit = hub.LogLimit{Text: strconv.FormatInt(j.limit, 10), Lines: j.limit, Truncate: j.truncate, Status: hub.LogLimitFailed}
	}
	for s, sp := range j.steps {
		step := hub.Step{
			Exec: fmt.Sprintf("j%d s%d", i, s), Idempotent: sp.idempotent, ContinueOnUnknown: sp.onUnknown, Retries: sp.retries,
			RetryDelay: 300 * time.Millisecond, Timeout: sp.timeout,
		}
		if sp.handler {
			step.ErrorHandler = &hub.Step{Exec: fmt.Sprintf("j%d h%d", i, s), Idempotent: sp.idempotent}
		}
		job.Workflow.Steps = append(job.Workflow.Steps, step)
	}
	filter := ".*"
	if j.nodes != nil {
		var names []string
		for _, n := range j.nodes {
			names = append(names, "n"+strconv.Itoa(n))
		}
		filter = "name: " + strings.Join(names, ",")
	}
	job.Dispatch = hub.Dispatch{Nodes: true, Filter: filter, Threadcount: strconv.Itoa(j.threads), Keepgoing: j.keepgoing}
	return job
}

// work is how long all commands take, one after another and three times each.
func (p *plan) work() (d time.Duration) {
	for _, j := range p.jobs {
		for _, s := range j.steps {
			d += 3 * time.Duration(len(p.nodes)*(s.lines+1)) * s.pace
		}
	}
	return d
}

// stepOf finds the step of a command by its text.
func (p *plan) stepOf(job int, name string) *stepPlan {
	n, _ := strconv.Atoi(name[1:])
	step := &p.jobs[job].steps[n]
	if name[0] == 'h' {
		return &stepPlan{idempotent: step.idempotent, lines: 1, pace: 50 * time.Millisecond, fails: 20}
	}
	return step
}

// cancel asks until a hub answers.
func (w *world) cancel(f fault) {
	for range 20 {
		w.mu.Lock()
		id := w.accepted[f.who]
		w.mu.Unlock()
		m := w.anyMember()
		if id != "" && m != nil {
			r := dispatch.CancelRequest{By: "sim"}
			if f.kind == cancelNode {
				r.Nodes = []string{"n" + strconv.Itoa(f.n)}
			}
			err := m.dispatch.Cancel(m.ctx, hub.DefaultOrganisationID, id, r)
			if code := hub.ErrorCode(err); err == nil || code == hub.CodeConflict || code == hub.CodeInvalid {
				w.note("cancel of j%d answered: %v", f.who, err)
				return
			}
		}
		if !wait(300*time.Millisecond, w.ctx.Done()) {
			return
		}
	}
}

func (m *member) executions(ctx context.Context) ([]*store.ExecutionRow, error) {
	return m.st.ListExecutions(ctx, store.ExecutionFilter{OrganisationID: hub.DefaultOrganisationID, Limit: 100})
}

// open reports whether an execution has not ended.
func open(r *store.ExecutionRow) bool { return !r.Status.Final() }

// settled looks at what is shown, and reports whether all is over: executions final,
// runners with nothing left.
func (w *world) settled() bool {
	m := w.anyMember()
	w.mu.Lock()
	split := w.split
	w.mu.Unlock()
	if m == nil || split {
		return false
	}
	rows, err := w.look(m)
	if err != nil || slices.ContainsFunc(rows, open) {
		return false
	}
	if hold, err := m.st.ReadHold(m.ctx); err != nil || hold.Kind != "" {
		return false // runners have not shown all they have
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.accepted) < len(w.plan.jobs) || w.putBack != "" {
		return false
	}
	for _, h := range w.hosts {
		switch {
		case h.proc != nil && h.proc.r != nil:
			now := h.proc.r.Status()
			if now.Attempts > 0 || w.plan.forgets() && !now.Connected {
				return false
			}
		case !h.gone && w.plan.forgets():
			return false // its disk may have what the database lost
		}
	}
	return true
}

// calmDown ends all faults; of two machines with one disk a person stops one.
func (w *world) calmDown() {
	w.note("calm")
	w.mu.Lock()
	w.calm = true
	clear(w.apart)
	w.dbDown = false
	var drop []*host
	survivor := map[int]*host{}
	for _, h := range w.hosts {
		other := survivor[h.runner]
		switch {
		case h.gone:
		case other == nil:
			survivor[h.runner] = h
		case w.plan.seed%2 == 0:
			drop = append(drop, h)
			h.gone = true
		default:
			drop = append(drop, other)
			other.gone = true
			survivor[h.runner] = h
		}
	}
	w.mu.Unlock()
	for _, h := range drop {
		w.note("host %s is taken away", h.name)
		h.end((*conn).breakOff)
	}
}

// patience of the end: what is lost must be lost by then.
func (w *world) settle() {
	limit := 150 * time.Second
	for _, j := range w.plan.jobs {
		limit = max(limit, 150*time.Second+time.Duration(2*j.lostAfter)*time.Second)
	}
	if w.plan.forgets() {
		// An execution that the database lost has the default lost_after of 600 ticks.
		limit = max(limit, 150*time.Second+2*600*time.Second)
	}
	limit += w.plan.work()
	over := false
	for spent := time.Duration(0); spent < limit; spent += time.Second {
		before := over
		if over = w.settled(); over && (before || !w.plan.forgets()) {
			return // who is connected has had a second to show what the database lost
		}
		if int(spent/time.Second)%5 == 4 {
			w.release()
		}
		wait(time.Second, nil)
	}
	w.broke("not all is over %s after the last fault: %s", limit, w.leftovers())
}

func (w *world) leftovers() string {
	var out []string
	m := w.anyMember()
	if m == nil {
		return "no hub serves"
	}
	rows, err := m.executions(m.ctx)
	out = append(out, fmt.Sprint("error ", err))
	for _, e := range rows {
		if !open(e) {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s outcome %q cancel %v waiting %+v", e.JobName, e.Status, e.Outcome, e.CancelRequested, e.WaitingFor))
		attempts, _ := m.st.AttemptsOf(m.ctx, e.ID)
		for _, a := range attempts {
			out = append(out, fmt.Sprintf("attempt %s %s at %s steps %d/%d", short(a.AttemptID), a.State, a.RunnerID, a.StepNext, a.StepsTotal))
		}
		logs, _ := m.st.LogsOf(m.ctx, e.ID)
		for _, l := range logs {
			out = append(out, fmt.Sprintf("log %s %d/%d broken %v", short(l.AttemptID), l.Next, l.Total, l.Broken))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		switch {
		case h.proc == nil || h.proc.r == nil:
			out = append(out, fmt.Sprintf("%s is down", h.name))
		default:
			out = append(out, fmt.Sprintf("%s: %+v", h.name, h.proc.r.Status()))
		}
	}
	return strings.Join(out, "; ")
}

// release ends quarantines, as a person does once the copy is gone.
func (w *world) release() {
	m := w.anyMember()
	if m == nil {
		return
	}
	barred, err := m.st.BarredRunners(m.ctx)
	if err != nil {
		return
	}
	for id := range barred {
		w.quarantined(id)
		w.note("runner is released: %v", m.st.ReleaseRunner(m.ctx, hub.DefaultOrganisationID, id))
	}
}

// quarantined: without a copied disk nobody may be suspected.
func (w *world) quarantined(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		if h.id == id && h.copied {
			return
		}
	}
	w.brokeLocked("runner %s was quarantined without a copy", id)
}

// tearDown ends everything that runs.
func (w *world) tearDown() {
	w.stop()
	w.mu.Lock()
	hosts := slices.Clone(w.hosts)
	var members []*member
	for _, h := range hosts {
		h.gone = true
	}
	for _, s := range w.order {
		if s.member != nil {
			members = append(members, s.member)
		}
	}
	w.mu.Unlock()
	for _, h := range hosts {
		h.end((*conn).breakOff)
	}
	for _, m := range members {
		m.dead.Store(true)
		m.close()
	}
	w.wg.Wait()
	err := w.db.Undo()
	if w.promoted {
		err = errors.Join(err, w.other.Undo())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
