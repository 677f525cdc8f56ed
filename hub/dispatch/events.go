package dispatch

import (
	"maps"
	"sync"

	"github.com/fairlead/fairlead/hub"
)

// subscriberBuffer is how many events a subscriber may be behind.
const subscriberBuffer = 256

// subscribers are those who follow events on this member.
type subscribers struct {
	mu   sync.Mutex
	list map[*subscriber]struct{}
	// ended counts the executions whose end was told, for Ended.
	ended map[hub.Status]int64
}

type subscriber struct {
	organisationID string
	executionID    string
	events         chan hub.Event
	// other: it is another member, which gets what happens here alone.
	other bool
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

// Deliver tells the subscribers here of an event of another member.
func (d *Dispatcher) Deliver(e hub.Event) { d.subs.tell(e, true) }

func (d *Dispatcher) subscribe(i hub.Interest, other bool) (events <-chan hub.Event, cancel func()) {
	s := &subscriber{organisationID: i.OrganisationID, executionID: i.ExecutionID, events: make(chan hub.Event, subscriberBuffer), other: other}
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
	if e.Kind == hub.EventExecution && e.Status.Final() {
		if s.ended == nil {
			s.ended = map[hub.Status]int64{}
		}
		s.ended[e.Status]++
	}
	for sub := range s.list {
		if came && sub.other || !sub.wants(&e) {
			continue
		}
		select {
		case sub.events <- e:
			continue
		default:
		}
		// Full: the oldest makes room for the advice to read everything again.
		select {
		case <-sub.events:
		default:
		}
		select {
		case sub.events <- hub.Event{Kind: hub.EventResync, OrganisationID: sub.organisationID, ExecutionID: sub.executionID}:
		default:
		}
	}
}
