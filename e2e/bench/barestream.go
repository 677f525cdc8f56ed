package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	bareService, bareMethod = "bench", "Store"
	// bareSync is how much is written between two syncs.
	bareSync = 1 << 20
)

// bareStream sends what a program prints through a gRPC stream under mutual TLS to a
// server that writes it to a file, synced for every MiB: how long it takes until the server
// has said that it has all.
func (b *bench) bareStream(step string, lines int) (time.Duration, error) {
	pair, err := selfSigned(filepath.Join(b.dir, "stream.pem"))
	if err != nil {
		return 0, err
	}
	file := filepath.Join(b.dir, "stream")
	defer func() { _ = os.Remove(file) }()
	address, stop, err := b.serveStore(pair, file)
	if err != nil {
		return 0, err
	}
	defer stop()
	trusted := x509.NewCertPool()
	trusted.AddCert(pair.Leaf)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: trusted, ServerName: "localhost", MinVersion: tls.VersionTLS13,
	})))
	if err != nil {
		return 0, fmt.Errorf("making a client: %w", err)
	}
	defer func() { _ = conn.Close() }()
	start := time.Now()
	stored, err := b.sendStream(conn, step, lines)
	if err == nil && stored != int64(lines)*lineBytes {
		err = fmt.Errorf("the bare stream stored %d bytes of %d", stored, int64(lines)*lineBytes)
	}
	return time.Since(start), err
}

// sendStream runs the program and sends what it prints; how much the server stored.
func (b *bench) sendStream(conn *grpc.ClientConn, step string, lines int) (int64, error) {
	stream, err := conn.NewStream(b.ctx, &grpc.StreamDesc{ClientStreams: true}, "/"+bareService+"/"+bareMethod)
	if err != nil {
		return 0, fmt.Errorf("opening a stream: %w", err)
	}
	cmd := exec.CommandContext(b.ctx, step, "-loggen", strconv.Itoa(lines))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("making a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting the program: %w", err)
	}
	for buffer := make([]byte, bareChunk); ; {
		n, err := out.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = stream.SendMsg(wrapperspb.Bytes(buffer[:n]))
		}
		if err != nil {
			return 0, errors.Join(fmt.Errorf("sending: %w", err), cmd.Process.Kill(), cmd.Wait())
		}
	}
	if err := errors.Join(cmd.Wait(), stream.CloseSend()); err != nil {
		return 0, fmt.Errorf("ending the program: %w", err)
	}
	stored := &wrapperspb.Int64Value{}
	if err := stream.RecvMsg(stored); err != nil {
		return 0, fmt.Errorf("waiting until all is stored: %w", err)
	}
	return stored.GetValue(), nil
}

// serveStore serves the one method that takes bytes and stores them.
func (b *bench) serveStore(pair tls.Certificate, file string) (address string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(b.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listening: %w", err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(pair.Leaf)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	})))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: bareService, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: bareMethod, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			return storeStream(stream, file)
		}}},
	}, b)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	return listener.Addr().String(), server.Stop, nil
}

// storeStream writes a stream to a file and says how long it became.
func storeStream(stream grpc.ServerStream, file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	defer func() { _ = f.Close() }()
	total, unsynced := int64(0), 0
	for {
		message := &wrapperspb.BytesValue{}
		err := stream.RecvMsg(message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			_, err = f.Write(message.GetValue())
		}
		if err != nil {
			return err
		}
		total += int64(len(message.GetValue()))
		if unsynced += len(message.GetValue()); unsynced >= bareSync {
			unsynced = 0
			if err := f.Sync(); err != nil {
				return fmt.Errorf("syncing: %w", err)
			}
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing: %w", err)
	}
	return stream.SendMsg(wrapperspb.Int64(total))
}
