package ssh

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/runner/task"
)

const (
	benchNodes   = 100
	benchThreads = 50
)

// BenchmarkFanOut runs `echo ok` on 100 nodes, 50 at once, over new connections and
// again over the same ones, by turns with a bare loop over the SSH library. It reports
// nodes a second for each, and the ratio of medians. Set -benchtime=5x or so.
func BenchmarkFanOut(b *testing.B) {
	s := startSSHD(b)
	var fresh, bareFresh, reused, bareReused []float64
	for b.Loop() {
		f, r := oursOnce(b, s)
		bf, br := bareOnce(b, s)
		fresh, reused = append(fresh, f), append(reused, r)
		bareFresh, bareReused = append(bareFresh, bf), append(bareReused, br)
	}
	b.ReportMetric(median(fresh), "fresh/s")
	b.ReportMetric(median(bareFresh), "bare-fresh/s")
	b.ReportMetric(median(fresh)/median(bareFresh), "fresh-ratio")
	b.ReportMetric(median(reused), "reused/s")
	b.ReportMetric(median(bareReused), "bare-reused/s")
	b.ReportMetric(median(reused)/median(bareReused), "reused-ratio")
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// reusedRounds makes the short reused part long enough to measure.
const reusedRounds = 5

// rate runs f for each node, 50 at once, and returns nodes a second.
func rate(rounds int, f func(node int)) float64 {
	began := time.Now()
	work := make(chan int)
	var wg sync.WaitGroup
	for range benchThreads {
		wg.Go(func() {
			for i := range work {
				f(i)
			}
		})
	}
	for range rounds {
		for i := range benchNodes {
			work <- i
		}
	}
	close(work)
	wg.Wait()
	return float64(rounds*benchNodes) / time.Since(began).Seconds()
}

func address(node int, port string) string {
	return net.JoinHostPort(fmt.Sprintf("127.0.1.%d", node+1), port)
}

type discard struct{}

func (discard) Write(wire.Stream, []byte) error               { return nil }
func (discard) WriteMasked(wire.Stream, []byte, uint64) error { return nil }
func (discard) WriteRaw(wire.Stream, []byte, uint64) error    { return nil }

func oursOnce(b *testing.B, s *sshd) (fresh, reused float64) {
	e := New(Config{})
	defer e.Close()
	once := func(node int) {
		c := s.command("echo ok", func(c *task.Command) {
			c.Node.Hostname = address(node, s.port)
			for i := range 20 {
				c.Env = append(c.Env, fmt.Sprintf("RD_OPTION_%d=value %d", i, i))
			}
		})
		p, err := e.Prepare(context.Background(), c)
		if err != nil {
			b.Error(err)
			return
		}
		if end := p.Run(context.Background(), discard{}); end.Outcome != succeeded {
			b.Errorf("%+v", end)
		}
	}
	return rate(1, once), rate(reusedRounds, once)
}

func bareOnce(b *testing.B, s *sshd) (fresh, reused float64) {
	signer, err := xssh.ParsePrivateKey(s.clientKey)
	if err != nil {
		b.Fatal(err)
	}
	clients := make([]*xssh.Client, benchNodes)
	command := func(node int) {
		session, err := clients[node].NewSession()
		if err != nil {
			b.Error(err)
			return
		}
		defer session.Close()
		session.Stdout, session.Stderr = io.Discard, io.Discard
		if err := session.Run("echo ok"); err != nil {
			b.Error(err)
		}
	}
	fresh = rate(1, func(node int) {
		var err error
		clients[node], err = xssh.Dial("tcp", address(node, s.port), &xssh.ClientConfig{
			User: s.username, Auth: []xssh.AuthMethod{xssh.PublicKeys(signer)},
			HostKeyCallback: xssh.FixedHostKey(s.hostKey), HostKeyAlgorithms: []string{s.hostKey.Type()},
		})
		if err != nil {
			b.Error(err)
			return
		}
		command(node)
	})
	reused = rate(reusedRounds, command)
	for _, c := range clients {
		if c != nil {
			_ = c.Close()
		}
	}
	return fresh, reused
}
