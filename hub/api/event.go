package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

type eventsInput struct {
	Follow  bool   `query:"follow" doc:"Stay and tell what changes, as NDJSON, one Event a line; without it: one hello"`
	Project string `query:"project" maxLength:"100" doc:"Executions of this project alone"`
}

func (s *server) eventRoutes() {
	register(s, op{method: http.MethodGet, path: "/events", id: "get-events", summary: "Live changes of executions and runners", right: read, gives: []string{"application/x-ndjson"}}, s.getEvents)
}

// gather is how long events are gathered after some were sent: the first is told at
// once, and a busy hub's followers hear of each execution ten times a second at most.
const gather = 100 * time.Millisecond

func (s *server) getEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	projectID, err := s.eventProject(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		r = r.WithContext(hc.Context())
		s.stream(w, r, "application/x-ndjson", true, func(ctx context.Context, out *streamWriter) error {
			send := func(e Event) error { return out.write([]byte(jsonText(e) + "\n")) }
			if !in.Follow {
				return send(s.hello())
			}
			return s.events(ctx, projectID, send)
		})
	}}, nil
}

// eventProject is the id of the project that events are narrowed to, "" for all.
func (s *server) eventProject(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	p, err := s.project(ctx, name)
	if err != nil {
		return "", err
	}
	return p.ID, nil
}

// streamEvents is getEvents over a WebSocket, always followed.
func (s *server) streamEvents(w http.ResponseWriter, r *http.Request) {
	if wrong := unknownParameters(r.URL.Query(), "project"); len(wrong) > 0 {
		s.fail(w, r, hub.Invalid("The parameters of the events cannot be read.", wrong))
		return
	}
	projectID, err := s.eventProject(r.Context(), r.URL.Query().Get("project"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.serveSocket(w, r, func(ctx context.Context, c *socket) error {
		return s.events(ctx, projectID, func(e Event) error { return c.send(e) })
	})
}

func (s *server) hello() Event { return Event{Type: "hello", Time: s.timeNow()} }

// events sends what changes in the caller's organisation until ctx ends.
func (s *server) events(ctx context.Context, projectID string, send func(Event) error) error {
	changes, stop := s.Dispatch.Subscribe(principal(ctx).OrganisationID, "")
	defer stop()
	if err := send(s.hello()); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		var waiting []hub.Event
		select {
		case <-ctx.Done():
			return ctx.Err()
		case change, ok := <-changes:
			if !ok {
				return hub.Errorf(hub.CodeUnavailable, "The hub is shutting down; connect again.")
			}
			waiting = append(waiting, change)
		}
		if err := s.tell(ctx, projectID, gathered(waiting, changes), send); err != nil {
			return err
		}
		timer.Reset(gather)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// gathered adds what came meanwhile, each change once.
func gathered(waiting []hub.Event, more <-chan hub.Event) []hub.Event {
	for {
		select {
		case change, ok := <-more:
			if ok {
				waiting = append(waiting, change)
				continue
			}
		default:
		}
		break
	}
	seen := map[hub.Event]bool{}
	out := waiting[:0]
	for _, change := range waiting {
		change.Status = "" // of the same execution only the newest is told anyway
		if !seen[change] {
			seen[change] = true
			out = append(out, change)
		}
	}
	return out
}

// tell reads what changed and sends it: the executions together, however many there are.
func (s *server) tell(ctx context.Context, projectID string, changes []hub.Event, send func(Event) error) error {
	executions, err := s.changed(ctx, projectID, changes)
	if err != nil {
		return err
	}
	for _, change := range changes {
		e, ok, err := s.event(ctx, projectID, change, executions)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := send(e); err != nil {
			return err
		}
	}
	return nil
}

// changed renders the executions among the changes, by id, as they are now.
func (s *server) changed(ctx context.Context, projectID string, changes []hub.Event) (map[string]*Execution, error) {
	var ids []string
	for _, change := range changes {
		if change.Kind == hub.EventExecution && !elsewhere(change, projectID) {
			ids = append(ids, change.ExecutionID)
		}
	}
	rows, err := s.Store.ExecutionRows(ctx, ids)
	if err != nil {
		return nil, err
	}
	organisation := principal(ctx).OrganisationID
	rows = slices.DeleteFunc(rows, func(r *store.ExecutionRow) bool {
		return r.OrganisationID != organisation || projectID != "" && r.ProjectID != projectID
	})
	list, err := s.listed(ctx, rows)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*Execution, len(list))
	for i := range list {
		out[list[i].ID] = &list[i]
	}
	return out, nil
}

// elsewhere reports whether a change is known to be of another project.
func elsewhere(change hub.Event, projectID string) bool {
	return projectID != "" && change.ProjectID != "" && change.ProjectID != projectID
}

// event renders one change; ok is false for one that its reader need not hear of.
func (s *server) event(ctx context.Context, projectID string, change hub.Event, executions map[string]*Execution) (e Event, ok bool, err error) {
	out := Event{Type: string(change.Kind), Time: s.timeNow(), ExecutionID: change.ExecutionID}
	if elsewhere(change, projectID) {
		return out, false, nil
	}
	switch change.Kind {
	case hub.EventResync:
		return s.hello(), true, nil
	case hub.EventNodeSteps:
		return out, true, nil
	case hub.EventRunner:
		r, err := s.runner(ctx, change.RunnerID)
		if hub.ErrorCode(err) == hub.CodeNotFound {
			return out, false, nil
		}
		out.Runner = &r
		return out, err == nil, err
	case hub.EventFire:
		return s.fireEvent(ctx, out, change)
	case hub.EventCalendar:
		out.Calendar = change.Calendar
		out.Project, err = s.projectName(ctx, change.ProjectID)
		return out, err == nil, err
	case hub.EventExecution:
		out.Execution = executions[change.ExecutionID]
		return out, out.Execution != nil, nil
	}
	return out, false, nil
}

// fireEvent renders a fire that was missed or failed; ok is false if its job is gone.
func (s *server) fireEvent(ctx context.Context, out Event, change hub.Event) (e Event, ok bool, err error) {
	f, err := s.Store.Fire(ctx, change.JobID, change.FireAt)
	if f == nil || err != nil {
		return out, false, err
	}
	j, err := s.Store.Job(ctx, change.ProjectID, change.JobID)
	if hub.ErrorCode(err) == hub.CodeNotFound {
		return out, false, nil
	}
	if err != nil {
		return out, false, err
	}
	project, err := s.projectName(ctx, change.ProjectID)
	if err != nil {
		return out, false, err
	}
	fire, job := toFire(f), toJobSummary(j, project)
	out.Fire, out.Job = &fire, &job
	return out, true, nil
}

// socketLogInput reads the parameters of a WebSocket's address, which huma does not
// see.
func socketLogInput(r *http.Request) (*logInput, error) {
	in := &logInput{Follow: true}
	in.ID = r.PathValue("id")
	q := r.URL.Query()
	in.Node, in.Cursor = q["node"], q.Get("cursor")
	if text := q.Get("stream"); text != "" {
		in.Stream = strings.Split(text, ",")
	}
	var wrong []hub.FieldError
	number := func(name string, least int64, to *int64) {
		text := q.Get(name)
		if text == "" {
			return
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < least {
			wrong = append(wrong, hub.FieldError{Path: "query." + name, Message: "a whole number"})
			return
		}
		*to = n
	}
	step := int64(-1)
	number("step", -1, &step)
	number("tail", 0, &in.Tail)
	in.Step = int(step)
	moment := func(name string, to *time.Time) {
		text := q.Get(name)
		if text == "" {
			return
		}
		var err error
		if *to, err = time.Parse(time.RFC3339Nano, text); err != nil {
			wrong = append(wrong, hub.FieldError{Path: "query." + name, Message: "a time as RFC 3339 has it"})
		}
	}
	moment("since", &in.Since)
	moment("until", &in.Until)
	wrong = append(wrong, unknownParameters(q, "node", "cursor", "step", "stream", "since", "until", "tail")...)
	return in, hub.Invalid("The parameters of the log cannot be read.", wrong)
}

// unknownParameters refuses what would have no effect at a WebSocket's address, as huma
// does elsewhere.
func unknownParameters(q url.Values, known ...string) []hub.FieldError {
	var wrong []hub.FieldError
	for name := range q {
		if slices.Contains(known, name) {
			continue
		}
		wrong = append(wrong, hub.FieldError{Path: "query." + name, Message: "unknown query parameter; known: " + strings.Join(known, ", ")})
	}
	return wrong
}
