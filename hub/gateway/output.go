package gateway

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead/fairlead/hub"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/proto/wire"
)

// OutputStream carries output frames; as SessionStream.
type OutputStream interface {
	Send(*runnerv1.OutputResponse) error
	Recv() (*runnerv1.OutputRequest, error)
}

// Output takes what a runner's steps print.
func (g *Gateway) Output(stream runnerv1.RunnerService_OutputServer) error {
	ctx := stream.Context()
	return g.ServeOutput(ctx, callerOf(ctx).id, stream)
}

// maxPendingChunks bounds the chunks of one stream that wait for a commit, however
// small they are; a runner's window is far below it.
const maxPendingChunks = 64 << 10

// chunkOverhead is what a chunk in memory costs beside its data.
const chunkOverhead = 512

// ServeOutput takes chunks of the runner that id names until the stream ends: all that
// came while a commit ran are the next one. What is not committed is not acknowledged.
func (g *Gateway) ServeOutput(ctx context.Context, id wire.Identity, stream OutputStream) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	inbox := newQueue[hub.Chunk](maxPendingChunks)
	defer func() { g.release(inbox.close()) }()
	go func() { end(g.readChunks(ctx, id, stream, inbox)) }()
	for {
		batch := inbox.take(ctx)
		if batch == nil {
			err := context.Cause(ctx)
			if errors.Is(err, errEnded) {
				return nil
			}
			return err
		}
		for len(batch) > 0 {
			n := portion(batch)
			if err := g.takeChunks(ctx, stream, batch[:n]); err != nil {
				g.release(batch[n:])
				return err
			}
			batch = batch[n:]
		}
	}
}

// takeChunks commits chunks and acknowledges them.
func (g *Gateway) takeChunks(ctx context.Context, stream OutputStream, chunks []hub.Chunk) error {
	var acks []hub.ChunkAck
	err := retry(ctx, func() (err error) {
		acks, err = g.output.Append(ctx, chunks)
		g.tellUnstored(ctx, err)
		return err
	})
	g.release(chunks)
	if err != nil {
		return err
	}
	for _, ack := range acks {
		if err := stream.Send(ackOut(ack)); err != nil {
			return err
		}
	}
	return nil
}

// maxPortion bounds the output, uncompressed, that is looked at for one commit: lines that
// compress well would fill hundreds of megabytes within a runner's window.
const maxPortion = 16 << 20

// portion is how many of the chunks are committed together, one at least.
func portion(chunks []hub.Chunk) int {
	n, size := 0, 0
	for n < len(chunks) && (n == 0 || size+chunks[n].Bytes <= maxPortion) {
		size += max(chunks[n].Bytes, 0) // what it states is looked at later
		n++
	}
	return n
}

// unstoredEvery bounds how often the log says that output cannot be stored: all runners
// find out at the same time, and try again several times a second.
const unstoredEvery = 30 * time.Second

// tellUnstored tells the log why output stays at the runners for now.
func (g *Gateway) tellUnstored(ctx context.Context, err error) {
	if hub.ErrorCode(err) != hub.CodeUnavailable || ctx.Err() != nil {
		return
	}
	g.mu.Lock()
	due := time.Since(g.unstored) >= unstoredEvery
	if due {
		g.unstored = time.Now()
	}
	g.mu.Unlock()
	if due {
		g.log.WarnContext(ctx, "output cannot be stored now and waits at the runners", "error", err)
	}
}

func weight(c *hub.Chunk) int64 { return int64(len(c.Data)) + chunkOverhead }

// release gives back what chunks held of the member's bound.
func (g *Gateway) release(chunks []hub.Chunk) {
	for i := range chunks {
		g.held.Release(weight(&chunks[i]))
	}
}

// readChunks reads until the stream ends, but no more than the member may hold.
func (g *Gateway) readChunks(ctx context.Context, id wire.Identity, stream OutputStream, inbox *queue[hub.Chunk]) error {
	for {
		msg, err := stream.Recv()
		if err != nil {
			return ended(err)
		}
		if msg.GetChunk() == nil {
			return status.Error(codes.Unimplemented, "this hub does not know a kind of output frame that the runner sent; upgrade the hub")
		}
		chunk, err := chunkIn(id, msg.GetChunk())
		if err != nil {
			return err
		}
		if err := g.held.Acquire(ctx, weight(&chunk)); err != nil {
			return err
		}
		if !inbox.add(chunk) {
			g.release([]hub.Chunk{chunk})
			return hub.Errorf(hub.CodeExhausted, "The runner sent more than %d chunks without waiting for an answer.", maxPendingChunks)
		}
	}
}

func ackOut(a hub.ChunkAck) *runnerv1.OutputResponse {
	if a.Nack {
		return &runnerv1.OutputResponse{Frame: &runnerv1.OutputResponse_Nack{Nack: &runnerv1.ChunkNack{
			Fence: fenceOut(a.Fence), NextSeq: uint64(a.NextSeq), Lasting: a.Lasting, Message: a.Message,
		}}}
	}
	return &runnerv1.OutputResponse{Frame: &runnerv1.OutputResponse_Ack{Ack: &runnerv1.ChunkAck{
		Fence: fenceOut(a.Fence), NextSeq: uint64(a.NextSeq), Followed: a.Followed,
	}}}
}
