package dispatch

import (
	"maps"
	"sync"

	"github.com/fairlead/fairlead/hub"
)

// subscriberBuffer is how many events a subscriber may be behind, oneBuffer one of a single
// execution: each who waits for a job has such a one, and most for some milliseconds.
const (
	subscriberBuffer = 256
	oneBuffer        = 32
)

// subscribers are those who follow events on this member.
type subscribers struct {
	mu   sync.Mutex
	list map[*subscriber]struct{}
	// ends are other members, by id, that get the ends of executions of theirs.
	ends map[string]*subscriber
	// ended counts the executions whose end was told, for Ended.
	ended map[hub.Status]int64
}

type subscriber struct {
	organisationID string
	executionID    string
	events         chan hub.Event
	// other: it is another member, which gets what happens here alone.
	other bool
	// expected are executions whose end it gets; nil: it gets what wants says.
	expected map[string]struct{}
}

func (s *subscriber) wants(e *hub.Event) bool {
	return s.organisationID == e.OrganisationID && (s.executionID == "" || s.executionID == e.ExecutionID)
}

// Subscribe returns the events of an organisation, or of one execution if executionID
// is set, until the returned function is called. A slow reader loses the oldest and is
// told EventResync.
func (d *Dispatcher) Subscribe(organisationID, executionID string) (events <-chan hub.Event, cancel func()) {
	i := hub.Interest{OrganisationID: organisationID, ExecutionID: executionID}
	events, leave := d.subscribe(i, false)
	if d.cfg.Watch == nil {
		return events, leave
	}
	release := d.cfg.Watch(i)
	return events, func() { release(); leave() }
}

// SubscribeOther is Subscribe for another member: only what happens on this one.
func (d *Dispatcher) SubscribeOther(i hub.Interest) (events <-chan hub.Event, cancel func()) {
	return d.subscribe(i, true)
}

// SubscribeEnds is for another member: the ends, by transactions of this one, of
// executions of which it offered attempts through this one since, until cancel is called
// or that member subscribes anew. It need not ask for each: most of them end before an
// answer could come.
func (d *Dispatcher) SubscribeEnds(member string) (events <-chan hub.Event, cancel func()) {
	s := &subscriber{events: make(chan hub.Event, subscriberBuffer), expected: make(map[string]struct{})}
	d.subs.mu.Lock()
	defer d.subs.mu.Unlock()
	if d.subs.ends == nil {
		d.subs.ends = make(map[string]*subscriber)
	}
	d.subs.ends[member] = s
	return s.events, func() {
		d.subs.mu.Lock()
		defer d.subs.mu.Unlock()
		if d.subs.ends[member] == s {
			delete(d.subs.ends, member)
		}
	}
}

// expect has a member told of an execution's end.
func (d *Dispatcher) expect(member string, e *hub.Execution) {
	d.subs.mu.Lock()
	defer d.subs.mu.Unlock()
	sub := d.subs.ends[member]
	if sub == nil {
		return
	}
	put(sub.expected, cacheSize, e.ID, struct{}{})
	// The poll may have been before the member's word: the end is over then, if the
	// execution is no longer remembered.
	if d.cache.spec(e.ID) == nil {
		sub.add(hub.Event{Kind: hub.EventResync, OrganisationID: e.OrganisationID, ExecutionID: e.ID})
	}
}

// Deliver tells the subscribers here of an event of another member.
func (d *Dispatcher) Deliver(e hub.Event) {
	if e.Kind == hub.EventExecution && e.Status.Final() {
		d.cache.dropJob(e.ExecutionID) // before who waits is told: Wait looks here first
	}
	d.subs.tell(e, true)
}

func (d *Dispatcher) subscribe(i hub.Interest, other bool) (events <-chan hub.Event, cancel func()) {
	size := subscriberBuffer
	if i.ExecutionID != "" {
		size = oneBuffer
	}
	s := &subscriber{organisationID: i.OrganisationID, executionID: i.ExecutionID, events: make(chan hub.Event, size), other: other}
	d.subs.mu.Lock()
	defer d.subs.mu.Unlock()
	if d.subs.list == nil {
		d.subs.list = make(map[*subscriber]struct{})
	}
	d.subs.list[s] = struct{}{}
	return s.events, func() {
		d.subs.mu.Lock()
		defer d.subs.mu.Unlock()
		delete(d.subs.list, s)
	}
}

// Ended tells in which states how many executions ended by a transaction of this member
// since it started.
func (d *Dispatcher) Ended() map[hub.Status]int64 {
	d.subs.mu.Lock()
	defer d.subs.mu.Unlock()
	return maps.Clone(d.subs.ended)
}

// Publish tells subscribers here and on other members of something that was committed.
func (d *Dispatcher) Publish(e hub.Event) { d.subs.publish(e) }

// publish tells subscribers, never waiting for one.
func (s *subscribers) publish(e hub.Event) { s.tell(e, false) }

// tell tells subscribers; of an event that came from another member only those here.
func (s *subscribers) tell(e hub.Event, came bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !came && e.Kind == hub.EventExecution && e.Status.Final() {
		s.tellEnd(e)
	}
	for sub := range s.list {
		if came && sub.other || !sub.wants(&e) || sub.add(e) {
			continue
		}
		// Full: the oldest makes room for the advice to read everything again.
		select {
		case <-sub.events:
		default:
		}
		sub.add(hub.Event{Kind: hub.EventResync, OrganisationID: sub.organisationID, ExecutionID: sub.executionID})
	}
}

// tellEnd counts an end, and tells it to members that expect it. To one that is behind
// it is lost: who waits there looks at the rows.
func (s *subscribers) tellEnd(e hub.Event) {
	if s.ended == nil {
		s.ended = map[hub.Status]int64{}
	}
	s.ended[e.Status]++
	for _, sub := range s.ends {
		if _, ok := sub.expected[e.ExecutionID]; ok {
			delete(sub.expected, e.ExecutionID)
			sub.add(e)
		}
	}
}

// add reports whether there was room for an event.
func (s *subscriber) add(e hub.Event) bool {
	select {
	case s.events <- e:
		return true
	default:
		return false
	}
}
