package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// ticks is how many lines each run of the delays prints.
const ticks = 500

// tick prints the time every 10 ms.
func tick(w io.Writer, n int) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for range n {
		_, _ = fmt.Fprintln(w, time.Now().UnixNano())
		<-ticker.C
	}
}

// delays are how long after their printing lines came, each of which says when it was
// printed.
type delays []time.Duration

func (d *delays) take(line string) {
	if at, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil {
		*d = append(*d, time.Since(time.Unix(0, at)))
	}
}

// delay measures one line from its printing until a follower has it: over HTTP at the only
// member, and by WebSocket at a member that has not the runner.
func (b *bench) delay() error {
	step, err := b.self()
	if err != nil {
		return err
	}
	ticking := job("tick", fmt.Sprintf("%s -ticker %d", step, ticks), "name: here", 1)
	if err := b.delayAlone(step, ticking); err != nil {
		return err
	}
	return b.delayApart(step, ticking)
}

func (b *bench) delayAlone(step, ticking string) error {
	r, err := b.newRig("delay", true, nil, localNode)
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.hub.ImportJobs(b.ctx, "p", ticking); err != nil {
		return err
	}
	return b.delayRow("a line printed until a follower has it", step, r.hub, func(id string, line func(string)) error {
		err := b.follow(r, id, line)
		return err
	})
}

func (b *bench) delayApart(step, ticking string) error {
	c, err := b.newCluster("delay3", 3)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.Start(b.ctx, c.Members[1:]...); err != nil {
		return err
	}
	if err := c.Members[0].ImportJobs(b.ctx, "p", ticking); err != nil {
		return err
	}
	r, err := b.clusterRunner(c.Members[0], "delay3", "runner")
	if err != nil {
		return err
	}
	defer r.Process.Kill()
	other, err := b.memberWithout(c, r)
	if err != nil {
		return err
	}
	return b.delayRow("the same, by WebSocket at another member", step, other.Hub, func(id string, line func(string)) error {
		ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
		defer cancel()
		return other.Watch(ctx, id, line)
	})
}

// memberWithout is a member that has not the runner's session.
func (b *bench) memberWithout(c *lab.Cluster, r *lab.Runner) (*lab.Member, error) {
	if err := b.await("the runner says where it is", func() bool { return r.At() != "" }); err != nil {
		return nil, err
	}
	for _, m := range c.Members {
		if m.Gateway != r.At() {
			return m, nil
		}
	}
	return nil, errors.New("there is no other member")
}

// delayRow runs the ticking job at a member, as often as asked for, and follows it.
func (b *bench) delayRow(what, step string, at *lab.Hub, follow func(id string, line func(string)) error) error {
	var all delays
	for range b.runs {
		e, err := at.Run(b.ctx, "p", "tick", nil)
		if err != nil {
			return err
		}
		if err := follow(e.ID, all.take); err != nil {
			return err
		}
	}
	bare, err := b.bareDelay(step)
	if err != nil {
		return err
	}
	if len(all) != b.runs*ticks || len(bare) != ticks {
		return fmt.Errorf("followers read %d lines of %d, and %d of %d of the bare program", len(all), b.runs*ticks, len(bare), ticks)
	}
	p50, p99 := quantile(all, 0.5), quantile(all, 0.99)
	b.add(what, "p50 50 ms, p99 150 ms", fmt.Sprintf("p50 %s, p99 %s", ms(p50), ms(p99)),
		fmt.Sprintf("bare pipe and connection: p50 %s, p99 %s", ms(quantile(bare, 0.5)), ms(quantile(bare, 0.99))), p50 <= 50*time.Millisecond && p99 <= 150*time.Millisecond)
	return nil
}

// bareDelay passes the ticking program's lines through a TCP connection, and nothing else,
// and measures them on arrival.
func (b *bench) bareDelay(step string) ([]time.Duration, error) {
	listener, err := (&net.ListenConfig{}).Listen(b.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	defer func() { _ = listener.Close() }()
	conn, err := (&net.Dialer{}).DialContext(b.ctx, "tcp", listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	defer func() { _ = conn.Close() }()
	far, err := listener.Accept()
	if err != nil {
		return nil, fmt.Errorf("accepting: %w", err)
	}
	cmd := exec.CommandContext(b.ctx, step, "-ticker", strconv.Itoa(ticks))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the program: %w", err)
	}
	go func() {
		_, _ = io.Copy(far, out)
		_ = far.Close()
	}()
	var all delays
	for scan := bufio.NewScanner(conn); scan.Scan(); {
		all.take(scan.Text())
	}
	return all, cmd.Wait()
}
