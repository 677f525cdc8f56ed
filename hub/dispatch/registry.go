package dispatch

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// registry is this member's view of the runners whose sessions it serves. It only
// decides whom to ask; the rows decide what happens.
type registry struct {
	// version rises with every change that other members want to know.
	version atomic.Int64

	mu      sync.Mutex
	runners map[string]*runnerView
	// remote are runners of other members, as those tell.
	remote map[string]*remoteRunner
	// refused tells until which tick a runner is not asked again for an assignment.
	refused map[refusal]int64
	turn    int64
	// lastStale is the process, by runner, that presented an old session last, and how
	// often in a row.
	lastStale map[string]staleHello
}

type staleHello struct {
	nonce string
	times int
}

// maxStale so many times a process may present an old session: it reads the newest one
// from its disk when it starts, so only frames that are late say otherwise.
const maxStale = 3

// stale counts a Hello with an old session and reports whether it came too often.
func (g *registry) stale(runnerID string, nonce []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.lastStale[runnerID]
	if s.nonce != string(nonce) {
		s = staleHello{nonce: string(nonce)}
	}
	s.times++
	g.lastStale[runnerID] = s
	return s.times > maxStale
}

type refusal struct{ assignmentID, runnerID string }

// runnerView is one runner; its fields are guarded by registry.mu.
type runnerView struct {
	row       *hub.Runner
	read      bool  // row was read since the session began, see toRead
	epoch     int64 // of the newest session; offers go to a confirmed one with a sink
	confirmed bool
	sink      Sink
	protocol  uint32 // the version that the newest session speaks
	// older are the ways of earlier sessions, by epoch, while the runner is in quarantine:
	// which of its instances has the work is what nobody knows then.
	older  map[int64]Sink
	slots  int
	paused bool // it said that it takes nothing now
	live   map[string]bool
	// stopTold and stopAcked are the newest scopes told, and in its journal, by attempt.
	stopTold  map[string]hub.StopScope
	stopAcked map[string]hub.StopScope
	lastTurn  int64
}

func (r *runnerView) connected() bool { return r.confirmed && r.sink != nil }

// heard: it has a session here, be it one that another instance took the place of.
func (r *runnerView) heard() bool { return r.connected() || len(r.older) > 0 }

// takes reports whether a runner may be given work of a project that needs tags.
func takes(row *hub.Runner, organisationID, projectID string, tags []string) bool {
	if row.OrganisationID != organisationID || row.Revoked || row.Quarantined != "" || row.Draining {
		return false
	}
	if len(row.ProjectIDs) > 0 && !slices.Contains(row.ProjectIDs, projectID) {
		return false
	}
	for _, t := range tags {
		if !slices.Contains(row.Tags, t) {
			return false
		}
	}
	return true
}

// errReplaced ends a session behind which another one has begun. Without it a runner
// whose disk was copied would stay connected for ever and be offered nothing.
var errReplaced = hub.Errorf(hub.CodeConflict, "A later session of this runner has taken the place of this one; connect again.")

// errReleased ends the sessions of a runner that came out of quarantine.
var errReleased = hub.Errorf(hub.CodeConflict, "A person released this runner; connect again.")

// greet notes a new session, not confirmed yet, and what the runner holds. It returns
// the way of the session before, if it is of no use any more. In quarantine it is: the
// instance that runs something must be heard, and the other one would push it aside
// again and again.
func (g *registry) greet(row *hub.Runner, epoch int64, protocol uint32, slots int, live []string) (old Sink) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.runners[row.ID]
	if r == nil {
		r = &runnerView{}
		g.runners[row.ID] = r
	}
	if row.Quarantined == "" {
		old = r.sink
	} else if r.sink != nil {
		if r.older == nil {
			r.older = make(map[int64]Sink)
		}
		r.older[r.epoch] = r.sink
	}
	g.version.Add(1)
	r.read = false
	r.row, r.epoch, r.protocol, r.confirmed, r.sink, r.slots, r.paused = row, epoch, protocol, false, nil, slots, false
	r.live, r.stopTold, r.stopAcked = make(map[string]bool), make(map[string]hub.StopScope), make(map[string]hub.StopScope)
	for _, id := range live {
		r.live[id] = true
	}
	return old
}

// confirm and attach make a session usable; they report whether it is the newest here.
func (g *registry) confirm(ref hub.SessionRef) bool {
	return g.with(ref, func(r *runnerView) { r.confirmed = true })
}

func (g *registry) attach(ref hub.SessionRef, sink Sink) bool {
	return g.with(ref, func(r *runnerView) { r.sink = sink })
}

// detach takes the sink away if it still is the session's.
func (g *registry) detach(ref hub.SessionRef) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.runners[ref.RunnerID]
	if r == nil {
		return false
	}
	delete(r.older, ref.Epoch)
	if r.epoch != ref.Epoch {
		return false
	}
	r.sink, r.confirmed = nil, false
	g.version.Add(1)
	return true
}

func (g *registry) with(ref hub.SessionRef, f func(*runnerView)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.runners[ref.RunnerID]
	if r == nil || r.epoch != ref.Epoch {
		return false
	}
	f(r)
	g.version.Add(1)
	return true
}

// refresh takes over what people changed about runners. It returns the ways of the
// sessions of those that were released: they begin anew, so that the one that is left
// becomes the current one.
func (g *registry) refresh(rows []*hub.Runner) (released []Sink) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, row := range rows {
		if r := g.remote[row.ID]; r != nil && (r.row == nil || row.Revision >= r.row.Revision) {
			r.row, r.read = row, true
		}
		r := g.runners[row.ID]
		if r == nil || row.Revision < r.row.Revision {
			continue // or read before the greeting that put the runner under quarantine
		}
		if row.Quarantined == "" && len(r.older) > 0 {
			released = slices.AppendSeq(released, maps.Values(r.older))
			if r.sink != nil {
				released = append(released, r.sink)
			}
			r.older = nil
		}
		r.row, r.read = row, true
	}
	return released
}

// toRead are the runners whose rows are to be read: all with a session here, or at other
// members, if the mark of their rows has changed since; else those that have come since:
// the row that a session began with may be older than the mark.
func (g *registry) toRead(own, remote bool) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for id, r := range g.runners {
		if (own || !r.read) && r.heard() {
			ids = append(ids, id)
		}
	}
	for id, r := range g.remote {
		if remote || !r.read {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// quarantined are the rows of the known runners that are under quarantine.
func (g *registry) quarantined() []*hub.Runner {
	g.mu.Lock()
	defer g.mu.Unlock()
	var rows []*hub.Runner
	for _, r := range g.runners {
		if r.row.Quarantined != "" && r.heard() {
			rows = append(rows, r.row)
		}
	}
	for id, r := range g.remote {
		if r.row != nil && r.row.Quarantined != "" && g.runners[id] == nil {
			rows = append(rows, r.row)
		}
	}
	return rows
}

// ids of runners with a session here, be it one that another instance took the place of:
// when the newest is gone, a release is what brings the other one back.
func (g *registry) ids() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for id, r := range g.runners {
		if r.heard() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// shortage says why no runner took an assignment.
type shortage struct {
	connected, busy int
	held            bool
	// old is a runner that might take it, were it not older than what the job needs, the
	// first by name; and what it does not know.
	old   string
	lacks string
}

// tooOld notes a runner that is older than what a job needs.
func (s *shortage) tooOld(name string, n needs) {
	if s.old == "" || name < s.old {
		s.old, s.lacks = name, n.what
	}
}

// reserve chooses the runner for an attempt, the one with the fewest live ones or one of
// this member with hardly more, and counts the attempt as its own. "" when there is none. With here only runners of this
// member are chosen: what waits in the queue is looked at by every member, each for its
// own.
func (g *registry) reserve(a *hub.Assignment, n needs, attemptID string, tick int64, here bool) (runnerID string, why shortage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	best := g.bestHere(a, n, tick, &why)
	other := g.bestElsewhere(a, n, tick, &why)
	switch {
	case other != nil && !here && (best == nil || !near(len(best.live), other.load())):
		other.own[attemptID] = time.Now()
		return other.row.ID, why
	case best == nil:
		return "", why
	}
	g.turn++
	best.lastTurn = g.turn
	best.live[attemptID] = true
	g.version.Add(1)
	return best.row.ID, why
}

// near reports whether a runner of this member with so many live attempts is as good as
// one of another with so many there. An attempt through another member costs both of them
// more, and what is known of that one's runners is some tenths of a second old.
func near(here, there int) bool { return here <= there+there/3+2 }

func (g *registry) bestElsewhere(a *hub.Assignment, n needs, tick int64, why *shortage) (best *remoteRunner) {
	for id, r := range g.remote {
		if r.row == nil || !takes(r.row, a.OrganisationID, a.ProjectID, a.RunnerTags) {
			continue
		}
		if local := g.runners[id]; local != nil && local.connected() {
			continue // it moved here
		}
		if r.protocol < n.protocol {
			why.tooOld(r.row.Name, n)
			continue
		}
		why.connected++
		if r.load() >= r.slots || g.refused[refusal{a.ID, id}] > tick {
			why.busy++
			continue
		}
		if best == nil || r.load() < best.load() {
			best = r
		}
	}
	return best
}

func (g *registry) bestHere(a *hub.Assignment, n needs, tick int64, why *shortage) (best *runnerView) {
	for id, r := range g.runners {
		if r.row == nil || !r.connected() || !takes(r.row, a.OrganisationID, a.ProjectID, a.RunnerTags) {
			continue
		}
		if r.protocol < n.protocol {
			why.tooOld(r.row.Name, n)
			continue
		}
		why.connected++
		if r.paused || len(r.live) >= r.slots || g.refused[refusal{a.ID, id}] > tick {
			why.busy++
			continue
		}
		if best == nil || len(r.live) < len(best.live) || len(r.live) == len(best.live) && r.lastTurn < best.lastTurn {
			best = r
		}
	}
	return best
}

// free counts the attempts that runners here could take.
func (g *registry) free() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, r := range g.runners {
		if r.connected() && !r.paused {
			n += max(0, r.slots-len(r.live))
		}
	}
	return n
}

// release takes an attempt off a runner's count; it reports whether that made room.
func (g *registry) release(runnerID, attemptID string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.remote[runnerID]; r != nil {
		delete(r.own, attemptID)
	}
	r := g.runners[runnerID]
	if r == nil || !r.live[attemptID] {
		return false
	}
	g.version.Add(1)
	delete(r.live, attemptID)
	delete(r.stopTold, attemptID)
	delete(r.stopAcked, attemptID)
	return true
}

// recount replaces what runners are thought to hold by what the rows say.
func (g *registry) recount(ids []string, open []*store.AttemptRow) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		if r := g.runners[id]; r != nil {
			r.live = make(map[string]bool)
		}
	}
	for _, t := range open {
		if r := g.runners[t.RunnerID]; r != nil {
			r.live[t.AttemptID] = true
		}
	}
	g.version.Add(1)
}

// refuse notes that a runner does not want an assignment for some ticks.
func (g *registry) refuse(assignmentID, runnerID string, until int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused[refusal{assignmentID, runnerID}] = until
}

// forgetRefusals drops those that are over.
func (g *registry) forgetRefusals(tick int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, until := range g.refused {
		if until <= tick {
			delete(g.refused, k)
		}
	}
}

// leave ends a session that is not the runner's current one, if it is open here.
func (g *registry) leave(ref hub.SessionRef) {
	var sink Sink
	g.with(ref, func(r *runnerView) { sink = r.sink })
	if sink != nil {
		sink.End(errReplaced)
	}
}

// sink is the way to a runner, nil if it has none here.
func (g *registry) sink(runnerID string) Sink {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.runners[runnerID]; r != nil && r.connected() {
		return r.sink
	}
	return nil
}

// protocol is the version that a runner's session here speaks; 0 when it has none.
func (g *registry) protocol(runnerID string) uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.runners[runnerID]; r != nil && r.connected() {
		return r.protocol
	}
	return 0
}

// stop notes that a stop is to be told and returns the ways; none when there is none or
// the runner has confirmed that scope.
func (g *registry) stop(runnerID, attemptID string, scope hub.StopScope) []Sink {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.runners[runnerID]
	if r == nil || !r.connected() || len(r.older) == 0 && sameScope(r.stopAcked[attemptID], scope) {
		return nil
	}
	r.stopTold[attemptID] = scope
	return append(slices.Collect(maps.Values(r.older)), r.sink)
}

func sameScope(a, b hub.StopScope) bool {
	return a.Asked == b.Asked && a.All == b.All && a.NoNew == b.NoNew && slices.Equal(a.Nodes, b.Nodes)
}

// Runners tells what this member knows of an organisation's runners, by id, those of
// other members too.
func (d *Dispatcher) Runners(organisationID string) map[string]RunnerLoad {
	d.reg.mu.Lock()
	defer d.reg.mu.Unlock()
	out := make(map[string]RunnerLoad)
	for id, r := range d.reg.remote {
		if r.row != nil && r.row.OrganisationID == organisationID {
			out[id] = RunnerLoad{Connected: true, Live: r.load(), Slots: r.slots}
		}
	}
	for id, r := range d.reg.runners {
		if r.row.OrganisationID == organisationID && (r.connected() || !out[id].Connected) {
			out[id] = RunnerLoad{Connected: r.connected(), Live: len(r.live), Slots: r.slots}
		}
	}
	return out
}

// SetCredits notes how many more attempts the runner takes now; 0 pauses offers.
func (d *Dispatcher) SetCredits(ref hub.SessionRef, slots int) {
	d.reg.with(ref, func(r *runnerView) { r.paused = slots == 0 })
	if slots > 0 {
		d.wake()
	}
}

// Move tells some runners of this member to move to others.
func (d *Dispatcher) Move(n int, members []string) {
	ids := d.reg.ids()
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] }) //nolint:gosec // spread, not secrecy
	for _, id := range ids[:min(n, len(ids))] {
		if sink := d.reg.sink(id); sink != nil {
			sink.Drain(members)
		}
	}
}

// Drain tells all runners of this member to move to others.
func (d *Dispatcher) Drain(members []string) {
	for _, id := range d.reg.ids() {
		if sink := d.reg.sink(id); sink != nil {
			sink.Drain(members)
		}
	}
}
