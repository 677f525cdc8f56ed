package sim

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

func failedOutcome(o runnerv1.Outcome) bool {
	return o == runnerv1.Outcome_OUTCOME_FAILED || o == runnerv1.Outcome_OUTCOME_TIMED_OUT
}

// startsOf counts earlier starts of the same command; the caller holds w.mu.
func (w *world) startsOf(s *start) int {
	n := 0
	for _, o := range w.starts {
		if o.job == s.job && o.step == s.step && o.node == s.node {
			n++
		}
	}
	return n
}

// judgeStart looks at a start at the moment it happens; the caller holds w.mu.
func (w *world) judgeStart(s *start, step *stepPlan) {
	var prev *start
	number, _ := strconv.Atoi(s.step[1:])
	handler := s.step[0] == 'h'
	previous := "s" + strconv.Itoa(number-1)
	if handler {
		previous = "s" + strconv.Itoa(number)
	}
	busy := map[string]bool{s.node: true}
	job := w.plan.jobs[s.job]
	for _, o := range w.starts {
		if o.attempt == s.attempt && o.cell == s.cell {
			w.brokeLocked("V1: cell %v of attempt %s was started twice: start %d and now", s.cell, short(s.attempt), o.number)
		}
		if o.job != s.job {
			continue
		}
		if o.attempt == s.attempt && o.node == s.node && o.stopped && o.host == s.host && o.proc.boot == s.proc.boot {
			w.brokeLocked("N7: %s starts on %s in attempt %s, after a stop had ended start %d there", s.label(), s.node, short(s.attempt), o.number)
		}
		if o.ended.IsZero() {
			busy[o.node] = true
		}
		if job.sequential && !handler && o.step == previous && number > 0 && w.mustPrecede(s.job, number-1) && !job.steps[number-1].idempotent && !o.seen {
			w.brokeLocked("N5: %s starts on %s while start %d of the step before has no known end", s.label(), s.node, o.number)
		}
		if o.node != s.node {
			continue
		}
		switch o.step {
		case s.step:
			if !step.idempotent && (!o.seen || !failedOutcome(o.outcome) || step.retries == 0) {
				w.brokeLocked("V1: %s was started again on %s: start %d had seen end %v, outcome %v", s.label(), s.node, o.number, o.seen, o.outcome)
			}
		case previous:
			prev = o
		}
	}
	if len(busy) > job.threads && w.plan.quiet() {
		w.brokeLocked("threads: %s runs on %d nodes at once, at most %d", s.label(), len(busy), job.threads)
	}
	w.judgeOrder(s, prev, number, handler)
}

// mustPrecede: a step whose doubtful or bad end keeps the next from starting.
func (w *world) mustPrecede(job, number int) bool {
	j := w.plan.jobs[job]
	before := j.steps[number]
	return !j.goOn && !before.onUnknown
}

// judgeOrder: nothing before what it waits for; prev is the newest start of that.
func (w *world) judgeOrder(s *start, prev *start, number int, handler bool) {
	switch {
	case handler:
		parent := w.plan.jobs[s.job].steps[number]
		if prev != nil && !parent.idempotent && (!prev.seen || !failedOutcome(prev.outcome)) {
			w.brokeLocked("N5: handler %s starts on %s, but its step had seen end %v, outcome %v", s.label(), s.node, prev.seen, prev.outcome)
		}
	case number > 0 && w.mustPrecede(s.job, number-1):
		if prev != nil && prev.attempt != s.attempt && w.plan.jobs[s.job].steps[number-1].idempotent {
			return // another attempt may do it over while this one goes on
		}
		if prev == nil || !prev.seen || prev.outcome != runnerv1.Outcome_OUTCOME_SUCCEEDED {
			w.brokeLocked("N5: %s starts on %s, but the step before had no good end there", s.label(), s.node)
		}
	}
}

// judgeData: a command knows what the step before it captured on its node, be it that the
// runner or its process is another since. The caller holds w.mu.
func (w *world) judgeData(s *start, env []string) {
	number, _ := strconv.Atoi(s.step[1:])
	if s.step[0] == 'h' || number == 0 || !w.mustPrecede(s.job, number-1) || !w.plan.jobs[s.job].filters {
		return
	}
	var prev *start
	for _, o := range w.starts {
		if o.job == s.job && o.node == s.node && o.step == "s"+strconv.Itoa(number-1) {
			prev = o
		}
	}
	if prev == nil || !prev.seen || w.startsOf(s) > 0 {
		return // told by judgeOrder, or an earlier try of its own captured something later
	}
	if _, last := prev.filtered(); last != "" && !slices.Contains(env, "RD_DATA_LAST="+last) {
		w.brokeLocked("data: %s starts on %s without what start %d captured, %q: %q", s.label(), s.node, prev.number, last, env)
	}
}

// look reads what is shown, and holds it against what was: the final never changes.
func (w *world) look(m *member) ([]*store.ExecutionRow, error) {
	rows, err := m.executions(m.ctx)
	if err != nil {
		return nil, err
	}
	barred, err := m.st.BarredRunners(m.ctx)
	if err != nil {
		return nil, err
	}
	for id := range barred {
		w.quarantined(id)
	}
	for _, r := range rows {
		if r.Outcome == "" {
			continue
		}
		shown := string(r.Outcome)
		cells, err := m.st.NodeSteps(m.ctx, r.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range cells {
			shown += fmt.Sprintf(" %d/%d/%d:%s", c.Node, c.Step, c.Try, c.Status)
		}
		w.mu.Lock()
		if old, ok := w.finals[r.ID]; ok && old != shown {
			w.brokeLocked("N6: what was shown of %s changed from %q to %q", r.JobName, old, shown)
		}
		w.finals[r.ID] = shown
		w.mu.Unlock()
	}
	return rows, nil
}

// judge holds what the hub tells in the end against what happened.
func (w *world) judge() {
	m := w.anyMember()
	if m == nil {
		w.broke("no hub serves in the end")
		return
	}
	ctx := context.Background()
	rows, err := w.look(m)
	if err != nil {
		w.broke("listing executions: %v", err)
		return
	}
	seen, recovered := map[string]int{}, map[string]int{}
	for _, r := range rows {
		if r.Recovered {
			recovered[r.JobName] = 1 // of one execution there may be several records
		} else {
			seen[r.JobName]++
		}
		c := &verdictOf{w: w, m: m}
		if err := c.read(ctx, r.ID); err != nil {
			w.broke("reading execution %s: %v", r.JobName, err)
			continue
		}
		c.judge()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, id := range w.accepted {
		n := cmp.Or(seen["j"+strconv.Itoa(i)], recovered["j"+strconv.Itoa(i)])
		if id == "" && n < 2 {
			continue // no answer promised it
		}
		if n == 0 && w.plan.forgets() && !w.begun(i) {
			continue // forgotten, and nobody is there who could show it
		}
		if n != 1 {
			w.brokeLocked("G2: execution j%d was accepted and is there %d times", i, n)
		}
	}
}

// begun reports whether anything of a job was started where it can be told: on a host that
// was not taken away. The caller holds w.mu.
func (w *world) begun(job int) bool {
	return slices.ContainsFunc(w.starts, func(s *start) bool { return s.job == job && !s.host.gone })
}

// verdictOf is one execution under judgement.
type verdictOf struct {
	w        *world
	m        *member
	e        *hub.Execution
	name     string
	job      int
	cells    []hub.NodeStep
	attempts map[string]*store.AttemptRow
	places   map[string]*store.AssignmentRow // by attempt
	chunks   map[string][]store.ChunkRow
	starts   []*start
	// text is what is stored of commands, by attempt and cell, lines how much of it.
	text  map[string]map[[3]uint32]string
	lines map[string]int64
}

func (c *verdictOf) read(ctx context.Context, id string) (err error) {
	if c.e, err = c.m.st.GetExecution(ctx, hub.DefaultOrganisationID, id); err != nil {
		return err
	}
	c.name = c.e.JobName
	c.job, _ = strconv.Atoi(c.name[1:])
	if c.cells, err = c.m.st.NodeSteps(ctx, id); err != nil {
		return err
	}
	attempts, err := c.m.st.AttemptsOf(ctx, id)
	if err != nil {
		return err
	}
	assignments, err := c.m.st.AssignmentsOf(ctx, []string{id})
	if err != nil {
		return err
	}
	c.attempts, c.places, c.chunks = map[string]*store.AttemptRow{}, map[string]*store.AssignmentRow{}, map[string][]store.ChunkRow{}
	for _, a := range attempts {
		c.attempts[a.AttemptID] = a
		for _, g := range assignments {
			if g.ID == a.AssignmentID {
				c.places[a.AttemptID] = g
			}
		}
		if c.chunks[a.AttemptID], err = c.m.st.Chunks(ctx, a.AttemptID, 0, math.MaxInt64, 1000); err != nil {
			return err
		}
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, s := range c.w.starts {
		if s.job == c.job {
			c.starts = append(c.starts, s)
		}
	}
	return nil
}

func (c *verdictOf) judge() {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if !c.e.Status.Final() || c.e.Status != c.e.Outcome {
		c.broke("G2: it is %s, outcome %s", c.e.Status, c.e.Outcome)
	}
	if c.w.plan.quiet() {
		if c.e.Status == hub.StatusUnknown {
			c.broke("V8: it is unknown and nothing happened that explains it: %s", c.describe())
		}
		if !c.e.LogComplete {
			c.broke("G3: its log is not complete and nothing happened that explains it")
		}
	}
	c.text, c.lines = map[string]map[[3]uint32]string{}, map[string]int64{}
	for id := range c.attempts {
		c.readLog(id)
	}
	c.judgeFold()
	for i := range c.cells {
		c.judgeCell(&c.cells[i])
		c.judgeCaptured(&c.cells[i])
	}
	for _, s := range c.starts {
		c.judgeShown(s)
	}
	c.judgeLimit()
	for id := range c.attempts {
		c.judgeLog(id)
		c.judgeHistory(id)
	}
}

// judgeLimit: no attempt lets more through than the log limit of its job. Attempts of a job
// that takes one node after another share one count, as far as each has told its own.
func (c *verdictOf) judgeLimit() {
	limit, all, unknown := c.w.plan.jobs[c.job].limit, int64(0), false
	if limit == 0 {
		return
	}
	for id, a := range c.attempts {
		if c.lines[id] > limit {
			c.broke("limit: attempt %s stored %d lines, at most %d may be", short(id), c.lines[id], limit)
		}
		all += c.lines[id]
		unknown = unknown || a.State == hub.AttemptUnknown || c.e.Recovered
	}
	for i := range c.cells {
		unknown = unknown || c.cells[i].Status == hub.StatusUnknown || c.cells[i].LateStatus != ""
	}
	if all > limit && c.w.plan.jobs[c.job].threads == 1 && !unknown && !c.w.plan.forgets() {
		c.broke("limit: %d lines are stored of attempts one after another, at most %d may be", all, limit)
	}
}

// limited reports whether the log limit may have dropped something.
func (c *verdictOf) limited() bool {
	limit, all := c.w.plan.jobs[c.job].limit, int64(0)
	for _, n := range c.lines {
		all += n
	}
	// A record of what a runner showed has its own lines alone, and the limit was for all.
	return limit > 0 && (all >= limit || c.e.Recovered)
}

func (c *verdictOf) broke(format string, args ...any) {
	c.w.brokeLocked("%s: %s", c.name, fmt.Sprintf(format, args...))
}

func (c *verdictOf) describe() string {
	var out []string
	for _, r := range c.cells {
		out = append(out, fmt.Sprintf("%d/%d/%d %s (%s)", r.Node, r.Step, r.Try, r.Status, r.Reason))
	}
	for id, a := range c.attempts {
		out = append(out, fmt.Sprintf("attempt %s %s %s, assignment %s %s", short(id), a.State, a.Reason, c.places[id].State, c.places[id].Reason))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// judgeFold: unknown is never hidden, and a good end is one in all cells.
func (c *verdictOf) judgeFold() {
	newest := map[[2]int]*hub.NodeStep{}
	for i := range c.cells {
		r := &c.cells[i]
		if old := newest[[2]int{r.Node, r.Step}]; old == nil || old.Try < r.Try {
			newest[[2]int{r.Node, r.Step}] = r
		}
	}
	for _, r := range newest {
		if r.Status == hub.StatusUnknown && c.e.Status != hub.StatusUnknown {
			c.broke("N4: it is %s, but node step %d/%d is unknown", c.e.Status, r.Node, r.Step)
		}
		if r.Status == hub.StatusFailed && c.e.Status == hub.StatusSucceeded && !c.answered(newest, r) {
			c.broke("N4: it is %s, but node step %d/%d failed", c.e.Status, r.Node, r.Step)
		}
	}
	if c.e.Status != hub.StatusSucceeded || c.e.Recovered {
		return // of a recovered one only what runners had is there
	}
	for n := range c.e.Nodes {
		for s := range c.w.plan.jobs[c.job].steps {
			r := newest[[2]int{n, s}]
			if r == nil && c.endedBefore(newest, n, s) {
				continue // the hub, as the barrier, cut no slice of it for this node
			}
			if r == nil || r.Status != hub.StatusSucceeded && !c.answered(newest, r) && !c.w.plan.jobs[c.job].sequential {
				c.broke("it succeeded, but node step %d/%d is %+v: %s", n, s, r, c.describe())
			}
		}
	}
}

func (c *verdictOf) answered(newest map[[2]int]*hub.NodeStep, r *hub.NodeStep) bool {
	h := newest[[2]int{r.Node, len(c.w.plan.jobs[c.job].steps) + r.Step}]
	if h != nil && h.Status == hub.StatusSucceeded {
		return true
	}
	// Behind a failure that was answered the rest of the node is left out.
	return r.Status == hub.StatusSkipped
}

// endedBefore reports whether a node's way ended before a step of a sequential workflow,
// behind a failure that was answered by a handler that does not say to go on.
func (c *verdictOf) endedBefore(newest map[[2]int]*hub.NodeStep, node, step int) bool {
	job := c.w.plan.jobs[c.job]
	for s := range step {
		r := newest[[2]int{node, s}]
		if job.sequential && !job.goOn && r != nil && r.Status == hub.StatusFailed && c.answered(newest, r) {
			return true
		}
	}
	return false
}

// startOf finds the start that a row tells of.
func (c *verdictOf) startOf(r *hub.NodeStep) *start {
	base := 0
	if g := c.places[r.AttemptID]; g != nil {
		base = g.TryBase
	}
	for _, s := range c.starts {
		if s.attempt == r.AttemptID && s.node == c.e.Nodes[r.Node].Name && s.step == c.stepName(r.Step) && int(s.cell.Try)+base == r.Try {
			return s
		}
	}
	return nil
}

func (c *verdictOf) stepName(step int) string {
	if n := len(c.w.plan.jobs[c.job].steps); step >= n {
		return "h" + strconv.Itoa(step-n)
	}
	return "s" + strconv.Itoa(step)
}

// elsewhere reports whether an attempt is shown under another execution: a record of what
// did not fit into its own any more.
func (c *verdictOf) elsewhere(attempt string) bool {
	rows, err := c.m.st.Attempts(context.Background(), []string{attempt}, false)
	return err == nil && len(rows) == 1
}

var told = map[hub.Status]runnerv1.Outcome{
	hub.StatusSucceeded: runnerv1.Outcome_OUTCOME_SUCCEEDED, hub.StatusFailed: runnerv1.Outcome_OUTCOME_FAILED,
	hub.StatusCancelled: runnerv1.Outcome_OUTCOME_CANCELLED, hub.StatusTimedOut: runnerv1.Outcome_OUTCOME_TIMED_OUT,
}

// judgeCell: a row claims no end that did not happen.
func (c *verdictOf) judgeCell(r *hub.NodeStep) {
	s := c.startOf(r)
	place := fmt.Sprintf("node step %d/%d/%d of attempt %s, %s (%s)", r.Node, r.Step, r.Try, short(r.AttemptID), r.Status, r.Reason)
	switch {
	case !r.Status.Final():
		c.broke("N3: %s is not final", place)
	case r.Status == hub.StatusUnknown:
		if c.w.plan.quiet() {
			c.broke("V8: %s: nothing happened that explains it", place)
		}
	case r.NotStarted || r.Status == hub.StatusSkipped:
		if s != nil {
			c.broke("N3: %s is told as not started; it was, as start %d", place, s.number)
		}
	case s == nil:
		c.broke("N3: %s is told, but it never started", place)
	case r.Reason == wire.ReasonLogLimit && r.Status == hub.StatusFailed && s.seen && s.stopped && c.limited():
		// The runner stopped it.
	case !s.seen || s.outcome != told[r.Status]:
		c.broke("N3: %s is told; start %d ended with %s, seen %v", place, s.number, s.outcome, s.seen)
	}
}

// judgeCaptured: a row tells what its command's filters captured, whichever process of the
// runner saw what of it.
func (c *verdictOf) judgeCaptured(r *hub.NodeStep) {
	s := c.startOf(r)
	if s == nil || r.Status == hub.StatusUnknown {
		return
	}
	want := ""
	if c.w.plan.jobs[c.job].filters {
		_, want = s.filtered()
	}
	if got := r.Data["last"]; got != want {
		c.broke("data: node step %d/%d/%d captured %q, start %d printed %q", r.Node, r.Step, r.Try, got, s.number, want)
	}
}

// judgeShown: a start is shown, and not after its execution was shown as over.
func (c *verdictOf) judgeShown(s *start) {
	a := c.attempts[s.attempt]
	if a == nil && c.w.plan.forgets() && (s.host.gone || c.elsewhere(s.attempt)) {
		return // nobody is there who could show it, or it is shown in a record of its own
	}
	if a == nil {
		c.broke("start %d is of an attempt that the hub does not know", s.number)
		return
	}
	step := c.w.plan.stepOf(c.job, s.step)
	var exact, near bool
	for i := range c.cells {
		r := &c.cells[i]
		same := c.e.Nodes[r.Node].Name == s.node && c.stepName(r.Step) == s.step
		exact = exact || same && c.startOf(r) == s
		parent := c.e.Nodes[r.Node].Name == s.node && s.step == "h"+strconv.Itoa(r.Step)
		near = near || (same || parent) && r.Status == hub.StatusUnknown
	}
	if !exact && !near && !step.idempotent {
		c.broke("start %d (%s on %s, attempt %s, cell %v) is shown nowhere: %s", s.number, s.label(), s.node, short(s.attempt), s.cell, c.describe())
	}
	if c.e.Status == hub.StatusUnknown || c.e.EndedAt.IsZero() || step.idempotent && c.e.Status != hub.StatusCancelled {
		return
	}
	if !s.at.Before(c.e.EndedAt) {
		c.broke("V4: start %d happened at %.3f, after it was shown as %s at %.3f", s.number, s.at.Sub(c.w.began).Seconds(), c.e.Status, c.e.EndedAt.Sub(c.w.began).Seconds())
	}
	if s.ended.IsZero() || s.ended.After(c.e.EndedAt) {
		c.broke("V4: start %d still ran when it was shown as %s", s.number, c.e.Status)
	}
}

// readLog reads what is stored of an attempt's commands.
func (c *verdictOf) readLog(id string) {
	text := map[[3]uint32]string{}
	c.text[id] = text
	var frames []byte
	for i, row := range c.chunks[id] {
		if row.Seq != int64(i) {
			c.broke("G3: chunk %d of attempt %s is stored as number %d", row.Seq, short(id), i)
			return
		}
		data, err := unzip().DecodeAll(row.Data, nil)
		if err != nil {
			c.broke("G3: chunk %d of attempt %s: %v", i, short(id), err)
			return
		}
		frames = append(frames, data...)
	}
	for len(frames) > 0 {
		f, rest, err := wire.NextFrame(frames)
		if err != nil {
			c.broke("G3: attempt %s: %v", short(id), err)
			return
		}
		frames = rest
		if f.Stream != wire.Stdout || f.Flags&wire.FlagTruncated != 0 {
			continue
		}
		key := [3]uint32{f.Node, f.Step, f.Try}
		text[key] += string(f.Data)
		if f.Flags&wire.FlagPartial == 0 {
			text[key] += "\n"
			c.lines[id]++
		}
	}
}

// judgeLog: what is stored is what was printed, in order and once; all of it where
// nothing can have been lost on the way to the spool.
func (c *verdictOf) judgeLog(id string) {
	text := c.text[id]
	for _, s := range c.starts {
		if s.attempt != id {
			continue
		}
		key := [3]uint32{s.cell.Node, s.cell.Step, s.cell.Try}
		lines, printed := s.printed, ""
		if c.w.plan.jobs[c.job].filters {
			lines, _ = s.filtered()
		}
		if len(lines) > 0 {
			printed = strings.Join(lines, "\n") + "\n"
		}
		if got := text[key]; got != printed && (c.whole(s) || !strings.HasPrefix(printed, got)) {
			c.broke("G3: start %d printed %q, stored is %q", s.number, printed, got)
		}
		delete(text, key)
	}
	for key, got := range text {
		c.broke("G3: attempt %s has output of cell %v that nobody printed: %q", short(id), key, got)
	}
}

// whole reports whether every line of a start must be stored.
func (c *verdictOf) whole(s *start) bool {
	return c.e.LogComplete && s.seen && !c.limited() && !c.w.plan.has(runnerKill, powerCut, restart, clone, cloneMove)
}

func unzip() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return d
}

// toldRecord is a journal record and the chain before it.
type toldRecord struct {
	before wire.Hash
	data   []byte
}

// overhear keeps what runners tell of their journals.
func (w *world) overhear(f *runnerv1.SessionRequest) {
	records, before := f.GetSteps().GetRecords(), f.GetSteps().GetPrevHash()
	if r := f.GetResult(); r != nil {
		records, before = r.GetRecords(), r.GetPrevHash()
	}
	if len(records) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	hash := wire.Hash(before)
	for _, data := range records {
		next := wire.NextRecordHash(hash, data)
		w.told[next] = toldRecord{hash, data}
		hash = next
	}
}

// judgeHistory: the rows of an attempt are those of the one history whose hash the hub
// ended with, be there two of them.
func (c *verdictOf) judgeHistory(id string) {
	a, g := c.attempts[id], c.places[id]
	ends := map[hub.Cell]runnerv1.Outcome{} // as rows count them
	layout := c.e.Definition.Workflow.SpecSteps(g.Steps)
	n := int64(0)
	for hash := wire.Hash(a.StepHash); hash != (wire.Hash{}); n++ {
		t, ok := c.w.told[hash]
		if !ok {
			c.broke("N2: the chain of attempt %s is none that a runner told", short(id))
			return
		}
		r := &runnerv1.Record{}
		if err := proto.Unmarshal(t.data, r); err != nil {
			c.broke("a record of attempt %s cannot be read: %v", short(id), err)
			return
		}
		if e := r.GetEnded(); e != nil {
			key := hub.Cell{Node: g.Nodes[e.GetCell().GetNode()], Step: layout[e.GetCell().GetStep()], Try: int(e.GetCell().GetTry()) + g.TryBase}
			ends[key] = e.GetOutcome()
		}
		hash = t.before
	}
	if n != a.StepNext {
		c.broke("N2: attempt %s has taken %d records, its chain has %d", short(id), a.StepNext, n)
	}
	for i := range c.cells {
		r := &c.cells[i]
		if r.AttemptID != id || r.Status == hub.StatusUnknown {
			continue
		}
		want, ok := ends[hub.Cell{Node: r.Node, Step: r.Step, Try: r.Try}]
		if !ok && a.State == hub.AttemptUnknown && c.barredBehind(r, ends) {
			continue
		}
		if !ok || outcomeOf[r.Status] != want {
			c.broke("N2: node step %d/%d/%d of attempt %s is %s; in its history it ended %s", r.Node, r.Step, r.Try, short(id), r.Status, want)
		}
	}
}

// barredBehind reports whether a failure in an attempt's history proves that a row could not
// begin: when its runner is lost, the hub says so itself. That it did not begin is judged
// with the starts.
func (c *verdictOf) barredBehind(r *hub.NodeStep, ends map[hub.Cell]runnerv1.Outcome) bool {
	if r.Status != hub.StatusSkipped || !r.NotStarted {
		return false
	}
	sequential := c.e.Definition.Workflow.Strategy == hub.StrategySequential
	for cell, end := range ends {
		failed := end == runnerv1.Outcome_OUTCOME_FAILED || end == runnerv1.Outcome_OUTCOME_TIMED_OUT || end == runnerv1.Outcome_OUTCOME_UNKNOWN
		if failed && cell.Step < r.Step && (cell.Node == r.Node || sequential) {
			return true
		}
	}
	return false
}

var outcomeOf = map[hub.Status]runnerv1.Outcome{
	hub.StatusSucceeded: runnerv1.Outcome_OUTCOME_SUCCEEDED, hub.StatusFailed: runnerv1.Outcome_OUTCOME_FAILED,
	hub.StatusCancelled: runnerv1.Outcome_OUTCOME_CANCELLED, hub.StatusTimedOut: runnerv1.Outcome_OUTCOME_TIMED_OUT,
	hub.StatusSkipped: runnerv1.Outcome_OUTCOME_SKIPPED,
}
