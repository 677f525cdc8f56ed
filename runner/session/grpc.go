package session

import (
	"context"

	"google.golang.org/grpc"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// GRPC makes a Conn of a gRPC connection.
func GRPC(conn *grpc.ClientConn) Conn {
	return grpcConn{conn: conn, client: runnerv1.NewRunnerServiceClient(conn)}
}

type grpcConn struct {
	conn   *grpc.ClientConn
	client runnerv1.RunnerServiceClient
}

func (c grpcConn) Session(ctx context.Context) (ControlStream, error) { return c.client.Session(ctx) }

func (c grpcConn) Output(ctx context.Context) (OutputStream, error) { return c.client.Output(ctx) }

func (c grpcConn) Close() error { return c.conn.Close() }
