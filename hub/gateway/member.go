package gateway

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	memberv1 "github.com/fairlead/fairlead/proto/member/v1"
)

// fleetEvery is how often a change of this member's runners is told to others.
const fleetEvery = 50 * time.Millisecond

// fleetPage bounds the runners of one frame: some 60 bytes each.
const fleetPage = 4096

// Wake serves MemberService.
func (g *Gateway) Wake(ctx context.Context, r *memberv1.WakeRequest) (*memberv1.WakeResponse, error) {
	w := hub.Wake{From: callerOf(ctx).id.ID, Offers: r.GetOffers(), Ready: r.GetReady(), Stops: r.GetStops()}
	return &memberv1.WakeResponse{}, g.dispatch.Woken(ctx, w)
}

// Commits serves MemberService.
func (g *Gateway) Commits(context.Context, *memberv1.CommitsRequest) (*memberv1.CommitsResponse, error) {
	return &memberv1.CommitsResponse{LastMsAgo: uint64(g.cfg.LastCommit().Milliseconds())}, nil
}

// Watch serves MemberService.
func (g *Gateway) Watch(stream grpc.BidiStreamingServer[memberv1.WatchRequest, memberv1.WatchResponse]) error {
	w := &watch{g: g, out: newQueue[*memberv1.WatchResponse](maxQueued)}
	return serveOther(stream.Context(), w.out, stream.Send, func(ctx context.Context) error {
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		wg.Go(func() { w.tellFleet(ctx) })
		ends, cancel := g.dispatch.SubscribeEnds(callerOf(ctx).id.ID)
		defer cancel()
		wg.Go(func() { w.passEvents(ctx, ends) })
		return eachInterest(ctx, stream.Recv, func(ctx context.Context, i hub.Interest) {
			events, cancel := g.dispatch.SubscribeOther(i)
			defer cancel()
			w.out.add(&memberv1.WatchResponse{Begun: []*memberv1.Interest{interestOut(i)}})
			w.passEvents(ctx, events)
		}, func(r *memberv1.WatchRequest) (add, remove []hub.Interest) {
			return interestsIn(r.GetAdd()), interestsIn(r.GetRemove())
		})
	})
}

// serveOther runs a stream of another member: read until it ends, and beside it send
// what is queued.
func serveOther[T any](ctx context.Context, out *queue[T], send func(T) error, read func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() { stop(ended(read(ctx))) }()
	for {
		items := out.take(ctx)
		if items == nil {
			if cause := context.Cause(ctx); cause != errEnded { //nolint:errorlint // it is that very one
				return cause
			}
			return nil
		}
		for _, i := range items {
			if err := send(i); err != nil {
				return err
			}
		}
	}
}

// eachInterest runs serve for each interest that the other member has, as long as it has
// it.
func eachInterest[R any, I comparable](ctx context.Context, recv func() (R, error), serve func(context.Context, I), parse func(R) (add, remove []I)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	have := make(map[I]context.CancelFunc)
	for {
		r, err := recv()
		if err != nil {
			return err
		}
		add, remove := parse(r)
		for _, i := range remove {
			if end, ok := have[i]; ok {
				end()
				delete(have, i)
			}
		}
		for _, i := range add {
			if _, ok := have[i]; ok {
				continue
			}
			one, end := context.WithCancel(ctx)
			have[i] = end
			wg.Go(func() { serve(one, i) })
		}
	}
}

// watch is one Watch stream.
type watch struct {
	g   *Gateway
	out *queue[*memberv1.WatchResponse]
}

func (w *watch) passEvents(ctx context.Context, events <-chan hub.Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			w.out.add(&memberv1.WatchResponse{Events: []*memberv1.Event{eventOut(e)}})
		}
	}
}

// tellFleet tells all runners of this member, and then those that changed.
func (w *watch) tellFleet(ctx context.Context) {
	ticker := time.NewTicker(fleetEvery)
	defer ticker.Stop()
	told, version, whole := map[string]hub.FleetRunner{}, int64(-1), true
	for {
		if w.g.dispatch.FleetVersion() != version {
			var now []hub.FleetRunner
			now, version = w.g.dispatch.OwnFleet()
			w.sendFleet(whole, changes(told, now))
			whole = false
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *watch) sendFleet(whole bool, list []hub.FleetRunner) {
	for first := true; first && whole || len(list) > 0; first = false {
		n := min(len(list), fleetPage)
		f := &memberv1.Fleet{Whole: first && whole}
		for _, r := range list[:n] {
			f.Runners = append(f.Runners, &memberv1.Runner{Id: r.ID, Gone: r.Gone, Slots: uint32(r.Slots), Live: uint32(r.Live), Protocol: r.Protocol})
		}
		list = list[n:]
		w.out.add(&memberv1.WatchResponse{Fleet: f})
	}
}

// changes brings told up to now and returns what is new in it.
func changes(told map[string]hub.FleetRunner, now []hub.FleetRunner) []hub.FleetRunner {
	var out []hub.FleetRunner
	here := make(map[string]bool, len(now))
	for _, r := range now {
		here[r.ID] = true
		if told[r.ID] != r {
			told[r.ID] = r
			out = append(out, r)
		}
	}
	for id := range told {
		if !here[id] {
			delete(told, id)
			out = append(out, hub.FleetRunner{ID: id, Gone: true})
		}
	}
	return out
}

// Follow serves MemberService. Its queue is short: a member that reads slowly reads the
// rows instead.
func (g *Gateway) Follow(stream grpc.BidiStreamingServer[memberv1.FollowRequest, memberv1.FollowResponse]) error {
	out := newQueue[*memberv1.FollowResponse](maxFollowQueued)
	return serveOther(stream.Context(), out, stream.Send, func(ctx context.Context) error {
		return eachInterest(ctx, stream.Recv, func(ctx context.Context, id string) {
			// What was committed before is in the rows.
			out.add(&memberv1.FollowResponse{ExecutionId: id, Missed: true})
			_ = g.output.Relay(ctx, id, func(rows []store.ChunkRow, missed bool) error { // it ends with ctx alone
				relay(out, id, rows, missed)
				return nil
			})
		}, func(r *memberv1.FollowRequest) (add, remove []string) { return r.GetAdd(), r.GetRemove() })
	})
}

// maxFollowQueued frames of up to some 256 KiB wait for another member.
const maxFollowQueued = 64

// relay queues chunks, one in a frame, since a chunk may be large.
func relay(out *queue[*memberv1.FollowResponse], id string, rows []store.ChunkRow, missed bool) {
	for i := range rows {
		if !out.add(&memberv1.FollowResponse{ExecutionId: id, Chunks: []*memberv1.Chunk{chunkOut(&rows[i])}}) {
			missed = true
		}
	}
	if missed {
		out.add(&memberv1.FollowResponse{ExecutionId: id, Missed: true})
	}
}

func interestOut(i hub.Interest) *memberv1.Interest {
	return &memberv1.Interest{OrganisationId: i.OrganisationID, ExecutionId: i.ExecutionID}
}

func interestsIn(list []*memberv1.Interest) []hub.Interest {
	out := make([]hub.Interest, len(list))
	for i, m := range list {
		out[i] = hub.Interest{OrganisationID: m.GetOrganisationId(), ExecutionID: m.GetExecutionId()}
	}
	return out
}

func eventOut(e hub.Event) *memberv1.Event {
	return &memberv1.Event{
		Kind: string(e.Kind), OrganisationId: e.OrganisationID, ProjectId: e.ProjectID, ExecutionId: e.ExecutionID,
		RunnerId: e.RunnerID, Status: string(e.Status), JobId: e.JobID, FireAt: e.FireAt, Calendar: e.Calendar,
	}
}

func eventIn(e *memberv1.Event) hub.Event {
	return hub.Event{
		Kind: hub.EventKind(e.GetKind()), OrganisationID: e.GetOrganisationId(), ProjectID: e.GetProjectId(),
		ExecutionID: e.GetExecutionId(), RunnerID: e.GetRunnerId(), Status: hub.Status(e.GetStatus()),
		JobID: e.GetJobId(), FireAt: e.GetFireAt(), Calendar: e.GetCalendar(),
	}
}

func chunkOut(c *store.ChunkRow) *memberv1.Chunk {
	m := &memberv1.Chunk{
		AttemptId: c.AttemptID, Seq: uint64(c.Seq), FirstLine: uint64(c.FirstLine), Lines: uint64(c.Lines),
		FirstByte: uint64(c.FirstByte), TextBytes: uint64(c.TextBytes), Hash: c.Hash[:], Data: c.Data,
	}
	for _, n := range c.Nodes {
		m.Nodes = append(m.Nodes, uint32(n))
	}
	return m
}

func chunkRowIn(m *memberv1.Chunk) store.ChunkRow {
	c := store.ChunkRow{
		AttemptID: m.GetAttemptId(), Seq: int64(m.GetSeq()), FirstLine: int64(m.GetFirstLine()), Lines: int(m.GetLines()),
		FirstByte: int64(m.GetFirstByte()), TextBytes: int64(m.GetTextBytes()), Data: m.GetData(),
	}
	copy(c.Hash[:], m.GetHash())
	for _, n := range m.GetNodes() {
		c.Nodes = append(c.Nodes, int(n))
	}
	return c
}
