package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	crowdSize = 200
	crowdRate = 1000 // lines a second of each
	// crowdBlock is how many lines each writes at once.
	crowdBlock = 100
	// crowdWatched is how many of them somebody watches.
	crowdWatched = 5
	// noopEvery is how often an empty job is started beside them.
	noopEvery = 200 * time.Millisecond
)

// pour prints numbered lines of 100 bytes, a thousand a second. Each tells when it was
// due, so that what was held up does not look fresh.
func pour(w io.Writer, n int) {
	start := time.Now()
	ticker := time.NewTicker(crowdBlock * time.Second / crowdRate)
	defer ticker.Stop()
	var block []byte
	for i := 0; i < n; {
		<-ticker.C
		block = block[:0]
		for due := min(n, int(time.Since(start)*crowdRate/time.Second)); i < due; i++ {
			from := len(block)
			block = append(padded(block, i, 7), ' ')
			block = strconv.AppendInt(block, start.Add(time.Duration(i)*time.Second/crowdRate).UnixNano(), 10)
			block = strconv.AppendInt(append(block, " level=info msg=\"request served\" path=/api/v1/items/"...), int64(i%977), 10)
			block = append(padded(append(block, " took="...), i*7919%9_999_991, lineBytes-1-(len(block)-from)-len(" took=")), '\n')
		}
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// pourInto pours into every named pipe of a folder once somebody reads it. One process does
// so for all: two hundred that wake ten times a second would take a third of the machine,
// and what is to be measured is who takes their lines.
func pourInto(dir string, n int) error {
	pipes, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("finding the pipes: %w", err)
	}
	errs := make([]error, len(pipes))
	var pouring sync.WaitGroup
	for i, p := range pipes {
		pouring.Go(func() {
			f, err := os.OpenFile(filepath.Join(dir, p.Name()), os.O_WRONLY, 0)
			if errs[i] = err; err == nil {
				pour(f, n)
				errs[i] = f.Close()
			}
		})
	}
	pouring.Wait()
	return errors.Join(errs...)
}

// startPouring makes a named pipe for each of the crowd, of which the names are returned,
// and starts what pours into them.
func (b *bench) startPouring(step, name string, lines int) (pipes []string, pouring *exec.Cmd, err error) {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making a folder for pipes: %w", err)
	}
	for i := range crowdSize {
		pipes = append(pipes, filepath.Join(dir, strconv.Itoa(i)))
		if err := unix.Mkfifo(pipes[i], 0o600); err != nil {
			return nil, nil, fmt.Errorf("making a pipe: %w", err)
		}
	}
	pouring = exec.CommandContext(b.ctx, step, "-pour", strconv.Itoa(lines), "-into", dir)
	pouring.Stderr = os.Stderr
	if err := pouring.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting the program: %w", err)
	}
	return pipes, pouring, nil
}

// crowd measures many executions that all print at once for some minutes: how late their
// lines are at who watches, what storing them costs the database, how an empty job fares
// beside them, and that no line is lost.
func (b *bench) crowd() error {
	step, err := b.self()
	if err != nil {
		return err
	}
	r, err := b.newRig("crowd", true, nil, localNode, "FAIRLEAD_RUNNER_SLOTS=300")
	if err != nil {
		return err
	}
	defer r.stop()
	lines := int(b.minutes * 60 * crowdRate)
	jobs := job("pour", "/bin/cat ${option.from}", "name: here", 1) + "  options:\n  - name: from\n" + job("noop", "/bin/true", "name: here", 1)
	if err := r.hub.ImportJobs(b.ctx, "p", jobs); err != nil {
		return err
	}
	if _, err := b.latencies(r, 50); err != nil { // warms shims and caches
		return err
	}
	alone, err := b.crowdAlone(step)
	if err != nil {
		return err
	}
	pipes, pouring, err := b.startPouring(step, "pipes", lines)
	if err != nil {
		return err
	}
	begun := time.Now()
	ids, err := b.startCrowd(r, pipes)
	if err != nil {
		return err
	}
	watching := b.watchCrowd(r, ids[:crowdWatched])
	over := time.Duration(b.minutes*float64(time.Minute)) - time.Since(begun)
	beside, err := b.besideCrowd(r, over)
	if err != nil {
		return err
	}
	if err := b.endCrowd(r, ids); err != nil {
		return err
	}
	held := time.Since(begun)
	if err := pouring.Wait(); err != nil {
		return fmt.Errorf("running the program: %w", err)
	}
	late, err := watching()
	if err != nil {
		return err
	}
	if err := b.wholeCrowd(r, ids, lines); err != nil {
		return err
	}
	p99 := quantile(late, 0.99)
	b.add(fmt.Sprintf("%d executions, %d lines/s each, %g minutes: a line at who watches", crowdSize, crowdRate, b.minutes), "p99 1 s",
		fmt.Sprintf("p50 %s, p99 %s, longest %s; ended after %.0f s, all %d lines stored", ms(quantile(late, 0.5)), ms(p99), ms(quantile(late, 1)), held.Seconds(), crowdSize*lines),
		fmt.Sprintf("CPU: %s; the programs alone, all of them: %.2f cores", beside.cpu, alone), p99 <= time.Second)
	b.add("transactions of the database a second then", "300/s", fmt.Sprintf("%.0f/s", beside.transactions), "all that it counts, those of the empty jobs too", beside.transactions <= 300)
	p50 := quantile(beside.noop, 0.5)
	b.add("no-op job beside it", "p50 30 ms", fmt.Sprintf("p50 %s, p99 %s", ms(p50), ms(quantile(beside.noop, 0.99))), fmt.Sprintf("%d jobs, one each %v", len(beside.noop), noopEvery), p50 <= 30*time.Millisecond)
	return nil
}

func (b *bench) startCrowd(r *rig, pipes []string) ([]string, error) {
	ids := make([]string, crowdSize)
	err := share(crowdSize, 8, func(i int) error {
		e, err := r.hub.Run(b.ctx, "p", "pour", map[string]string{"from": pipes[i]})
		ids[i] = e.ID
		return err
	})
	return ids, err
}

// watchCrowd follows executions; what it returns waits for their ends and tells how late
// their lines came.
func (b *bench) watchCrowd(r *rig, ids []string) (ended func() ([]time.Duration, error)) {
	each, errs := make([][]time.Duration, len(ids)), make([]error, len(ids))
	var watching sync.WaitGroup
	for i, id := range ids {
		watching.Go(func() {
			errs[i] = r.hub.Watch(b.ctx, id, func(line string) {
				if f := strings.Fields(line); len(f) > 1 {
					at, _ := strconv.ParseInt(f[1], 10, 64)
					each[i] = append(each[i], time.Since(time.Unix(0, at)))
				}
			})
		})
	}
	return func() ([]time.Duration, error) {
		watching.Wait()
		for _, err := range errs {
			if err != nil {
				return nil, err
			}
		}
		return slices.Concat(each...), nil
	}
}

// besides are what is measured while the crowd prints.
type besides struct {
	transactions float64
	noop         []time.Duration
	cpu          string
}

func (b *bench) besideCrowd(r *rig, over time.Duration) (s besides, err error) {
	parts := []struct {
		name string
		pid  int
	}{{"hub", r.hub.Process.Cmd.Process.Pid}, {"runner with the programs", r.runner.Process.Cmd.Process.Pid}, {"PostgreSQL", r.pg.Pid()}}
	before := make([]time.Duration, len(parts))
	for i, p := range parts {
		if before[i], err = cpuOf(p.pid); err != nil {
			return s, err
		}
	}
	first, err := r.pg.Transactions(b.ctx)
	if err != nil {
		return s, err
	}
	start := time.Now()
	if s.noop, err = b.noopsFor(r, over); err != nil {
		return s, err
	}
	took := time.Since(start).Seconds()
	last, err := r.pg.Transactions(b.ctx)
	s.transactions = float64(last-first) / took
	var told []string
	for i, p := range parts {
		now, err := cpuOf(p.pid)
		if err != nil {
			return s, err
		}
		told = append(told, fmt.Sprintf("%s %.2f", p.name, (now-before[i]).Seconds()/took))
	}
	s.cpu = strings.Join(told, ", ") + " cores"
	return s, err
}

// noopsFor runs empty jobs for some time, one after another with pauses.
func (b *bench) noopsFor(r *rig, over time.Duration) (all []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, over)
	defer cancel()
	ticker := time.NewTicker(noopEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return all, b.ctx.Err()
		case <-ticker.C:
		}
		one, err := b.latencies(r, 1)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
}

// endCrowd waits for the ends of all.
func (b *bench) endCrowd(r *rig, ids []string) error {
	for _, id := range ids {
		e, err := r.hub.Wait(b.ctx, id, 5*time.Minute)
		if err != nil {
			return err
		}
		if e.Status != "succeeded" || !e.LogComplete {
			return fmt.Errorf("execution %d ended %s, complete %v", e.Number, e.Status, e.LogComplete)
		}
	}
	return nil
}

// wholeCrowd wants every line of every log, in order.
func (b *bench) wholeCrowd(r *rig, ids []string, lines int) error {
	return share(len(ids), 2, func(i int) error {
		body, err := b.get(r.hub, "/executions/"+ids[i]+"/log?format=text")
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		n := 0
		var number []byte
		for scan := bufio.NewScanner(body); scan.Scan(); n++ {
			number = append(padded(number[:0], n, 7), ' ')
			if !strings.HasPrefix(scan.Text(), string(number)) {
				return fmt.Errorf("line %d of a log begins with %.20q", n, scan.Text())
			}
		}
		if n != lines {
			return fmt.Errorf("a log has %d lines of %d", n, lines)
		}
		return nil
	})
}

// crowdAlone is how many cores the programs take whose output nobody keeps.
func (b *bench) crowdAlone(step string) (cores float64, err error) {
	const seconds = 5
	start := time.Now()
	before, err := cpuOf(os.Getpid())
	if err != nil {
		return 0, err
	}
	pipes, pouring, err := b.startPouring(step, "alone", seconds*crowdRate)
	if err != nil {
		return 0, err
	}
	programs := []*exec.Cmd{pouring}
	for _, p := range pipes {
		cat := exec.CommandContext(b.ctx, "/bin/cat", p)
		if err := cat.Start(); err != nil {
			return 0, fmt.Errorf("starting a program: %w", err)
		}
		programs = append(programs, cat)
	}
	for _, p := range programs {
		if err := p.Wait(); err != nil {
			return 0, fmt.Errorf("running the programs: %w", err)
		}
	}
	now, err := cpuOf(os.Getpid())
	return (now - before).Seconds() / time.Since(start).Seconds(), err
}
