package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/e2e/lab"
)

const fanNodes, fanThreads = 100, 50

// ssh measures one command on many nodes over fresh connections, and again over the
// kept ones, against a bare loop that does nothing else.
func (b *bench) ssh() error {
	sshd, err := lab.StartSSHD(b.ctx, b.dir, fanNodes)
	if err != nil {
		return err
	}
	defer sshd.Stop()
	r, err := b.newRig("ssh", true, map[string]string{"ssh-key-storage-path": "keys/project/p/bench"}, sshd.NodesYAML(fanNodes))
	if err != nil {
		return err
	}
	defer r.stop()
	key, err := os.ReadFile(sshd.KeyFile)
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	if err := r.hub.SetKey(b.ctx, "keys/project/p/bench", "private-key", key); err != nil {
		return err
	}
	if err := r.hub.ImportJobs(b.ctx, "p", job("echo", "echo ok", "name: node.*", fanThreads)); err != nil {
		return err
	}
	var fresh, kept, bareFresh, bareKept []float64
	for range b.runs {
		loop, err := newBareLoop(sshd, key)
		if err != nil {
			return err
		}
		for _, into := range []*[]float64{&bareFresh, &bareKept} {
			rate, err := loop.run(b.ctx)
			if err != nil {
				return err
			}
			*into = append(*into, rate)
		}
		loop.close()
		r.runner.Process.Kill() // drops its connections
		if err := r.runner.Start(b.ctx); err != nil {
			return err
		}
		for _, into := range []*[]float64{&fresh, &kept} {
			start := time.Now()
			var e lab.Execution
			if err := r.hub.Do(b.ctx, http.MethodPost, "/projects/p/jobs/echo/executions?wait=60s", map[string]any{}, &e); err != nil {
				return err
			}
			if e.Status != "succeeded" {
				return fmt.Errorf("echo on %d nodes is %s", fanNodes, e.Status)
			}
			*into = append(*into, fanNodes/time.Since(start).Seconds())
		}
	}
	for _, m := range []struct {
		what      string
		got, bare float64
		aim       float64
	}{{"echo ok on 100 nodes, fresh connections", median(fresh), median(bareFresh), 0.9}, {"the second command on them", median(kept), median(bareKept), 0.8}} {
		b.add(m.what, fmt.Sprintf("%.1f of the bare loop", m.aim), fmt.Sprintf("%.0f/s = %.2f", m.got, m.got/m.bare), fmt.Sprintf("bare loop %.0f/s", m.bare), m.got/m.bare >= m.aim)
	}
	return nil
}

// bareLoop runs echo ok over x/crypto/ssh with nothing around it.
type bareLoop struct {
	addrs  []string
	config *ssh.ClientConfig

	mu      sync.Mutex
	clients map[string]*ssh.Client
}

func newBareLoop(sshd *lab.SSHD, key []byte) (*bareLoop, error) {
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("parsing the key: %w", err)
	}
	// The bare loop keeps the first key of each node, as a client on first use does.
	known := sync.Map{}
	return &bareLoop{addrs: sshd.Addrs[:fanNodes], clients: map[string]*ssh.Client{}, config: &ssh.ClientConfig{
		User: sshd.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: 20 * time.Second,
		HostKeyCallback: func(host string, _ net.Addr, key ssh.PublicKey) error {
			if old, seen := known.LoadOrStore(host, string(key.Marshal())); seen && old != string(key.Marshal()) {
				return errors.New("the host key changed")
			}
			return nil
		},
	}}, nil
}

func (l *bareLoop) run(ctx context.Context) (float64, error) {
	work := make(chan string, len(l.addrs))
	for _, a := range l.addrs {
		work <- a
	}
	close(work)
	errs := make(chan error, fanThreads)
	start := time.Now()
	var wg sync.WaitGroup
	for range fanThreads {
		wg.Go(func() {
			for addr := range work {
				if err := l.echo(ctx, addr); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(len(l.addrs)) / time.Since(start).Seconds(), nil
	}
}

func (l *bareLoop) echo(ctx context.Context, addr string) error {
	l.mu.Lock()
	client := l.clients[addr]
	l.mu.Unlock()
	if client == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("dialling %s: %w", addr, err)
		}
		c, channels, requests, err := ssh.NewClientConn(conn, addr, l.config)
		if err != nil {
			return fmt.Errorf("signing in at %s: %w", addr, err)
		}
		client = ssh.NewClient(c, channels, requests)
		l.mu.Lock()
		l.clients[addr] = client
		l.mu.Unlock()
	}
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("opening a session at %s: %w", addr, err)
	}
	defer func() { _ = session.Close() }()
	out, err := session.Output("echo ok")
	if err != nil || string(out) != "ok\n" {
		return fmt.Errorf("echo at %s: %q, %w", addr, out, err)
	}
	return nil
}

func (l *bareLoop) close() {
	for _, c := range l.clients {
		_ = c.Close()
	}
}
