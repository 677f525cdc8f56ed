// Command bareclient is the least that a program can be that keeps one gRPC stream over
// TLS: the limit beside which the runner's footprint is measured.
package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bareclient:", err)
		os.Exit(1)
	}
}

// run watches the health of the server at address, whose certificate is in the file, and
// says when it was told of it first.
func run(ctx context.Context, address, certificate string) error {
	creds, err := credentials.NewClientTLSFromFile(certificate, "localhost")
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("watching %s: %w", address, err)
	}
	for {
		if _, err := watch.Recv(); err != nil {
			return fmt.Errorf("watching %s: %w", address, err)
		}
		_, _ = fmt.Println("connected")
	}
}
