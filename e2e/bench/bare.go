package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// The limits in this file are the least that does the work at all: a pipe, a compressor, a
// table, a connection; nothing is masked, journalled, proven or synced on the way.

// bareChunk is how much of a log a chunk holds, as the runner's do.
const bareChunk = 64 << 10

// bareLines takes the same lines from the same program over a pipe, stores them as
// compressed chunks in the same database, and reads them all back.
func (b *bench) bareLines(r *rig, step string) (float64, error) {
	db, err := sql.Open("pgx", r.pg.URL())
	if err != nil {
		return 0, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(b.ctx, "DROP TABLE IF EXISTS bench_chunk; CREATE TABLE bench_chunk (seq bigint PRIMARY KEY, data bytea)"); err != nil {
		return 0, fmt.Errorf("making the limit's table: %w", err)
	}
	start := time.Now()
	cmd := exec.CommandContext(b.ctx, step, "-loggen", strconv.Itoa(manyLines))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("making a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting the program: %w", err)
	}
	if err := b.storeChunks(db, out); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("running the program: %w", err)
	}
	lines, err := b.countLines(db)
	if err == nil && lines != manyLines {
		err = fmt.Errorf("%d lines of %d were stored", lines, manyLines)
	}
	return time.Since(start).Seconds(), err
}

func (b *bench) storeChunks(db *sql.DB, from io.Reader) error {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("making a compressor: %w", err)
	}
	buffer := make([]byte, bareChunk)
	for seq := 0; ; seq++ {
		n, err := io.ReadFull(from, buffer)
		if n > 0 {
			if _, err := db.ExecContext(b.ctx, "INSERT INTO bench_chunk VALUES ($1, $2)", seq, zip.EncodeAll(buffer[:n], nil)); err != nil {
				return fmt.Errorf("storing a chunk: %w", err)
			}
		}
		if err != nil {
			return nil //nolint:nilerr // the program's end
		}
	}
}

func (b *bench) countLines(db *sql.DB) (int, error) {
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, fmt.Errorf("making a decompressor: %w", err)
	}
	defer unzip.Close()
	rows, err := db.QueryContext(b.ctx, "SELECT data FROM bench_chunk ORDER BY seq")
	if err != nil {
		return 0, fmt.Errorf("reading the chunks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	lines := 0
	for rows.Next() {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return 0, fmt.Errorf("reading a chunk: %w", err)
		}
		text, err := unzip.DecodeAll(data, nil)
		if err != nil {
			return 0, fmt.Errorf("decompressing a chunk: %w", err)
		}
		lines += bytes.Count(text, []byte{'\n'})
	}
	return lines, rows.Err()
}

// bareClient builds the least gRPC client as the runner is built, and measures it as the
// runner is: its binary, its memory when idle, and how long it takes to connect.
func (b *bench) bareClient(root string) (mb, rss, up float64, err error) {
	path, certificate := filepath.Join(b.dir, "bareclient"), filepath.Join(b.dir, "bare.pem")
	build := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "grpcnotrace", "-o", path, "./e2e/bench/bareclient")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, 0, 0, fmt.Errorf("building the bare client: %w\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("measuring the bare client: %w", err)
	}
	address, stop, err := bareServer(b, certificate)
	if err != nil {
		return 0, 0, 0, err
	}
	defer stop()
	var ups, sizes []float64
	for range b.runs {
		u, s, err := b.startBare(path, address, certificate)
		if err != nil {
			return 0, 0, 0, err
		}
		ups, sizes = append(ups, u), append(sizes, s)
	}
	return float64(info.Size()) / 1e6, median(sizes), median(ups), nil
}

// startBare starts the client once: milliseconds until it is connected, MiB when idle.
func (b *bench) startBare(path, address, certificate string) (up, rss float64, err error) {
	cmd := exec.CommandContext(b.ctx, path, address, certificate)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, fmt.Errorf("making a pipe: %w", err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("starting the bare client: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, so never without an error
	}()
	if !bufio.NewScanner(out).Scan() {
		return 0, 0, fmt.Errorf("the bare client did not connect")
	}
	up = float64(time.Since(start).Milliseconds())
	select {
	case <-b.ctx.Done():
		return 0, 0, b.ctx.Err()
	case <-time.After(idleAfter):
	}
	return up, statusOf(cmd.Process.Pid, "VmRSS:") / (1 << 20), nil
}

// bareServer serves the health service over TLS and writes its certificate.
func bareServer(b *bench, certificate string) (address string, stop func(), err error) {
	pair, err := selfSigned(certificate)
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(b.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listening: %w", err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }() // ends with Stop
	return listener.Addr().String(), server.Stop, nil
}

func selfSigned(file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading a certificate back: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, os.WriteFile(file, text, 0o600)
}
