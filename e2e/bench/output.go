package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

const manyLines = 1_000_000

// rareWord stands on one line of what generate prints, a tenth before its end.
const rareWord = "panic"

// generate prints numbered lines of 100 bytes, each different, and takes a tenth of a
// microsecond for each: what is to be measured is who takes them.
func generate(w io.Writer, n int) {
	out := bufio.NewWriterSize(w, 64<<10)
	line := make([]byte, 0, 100)
	for i := range n {
		level := "info"
		if i == n-n/10 {
			level = rareWord
		}
		line = padded(line[:0], i, 7)
		line = append(append(line, " 2026-11-22T10:00:00Z level="...), level...)
		line = strconv.AppendInt(append(line, " msg=\"request served\" path=/api/v1/items/"...), int64(i%977), 10)
		line = append(line, " took="...)
		line = append(padded(line, i*7919%9_999_991, 99-len(line)), '\n')
		_, _ = out.Write(line)
	}
	_ = out.Flush()
}

// padded appends a number with zeros in front of it, so many digits at least.
func padded(to []byte, n, digits int) []byte {
	var room [20]byte
	number := strconv.AppendInt(room[:0], int64(n), 10)
	for range digits - len(number) {
		to = append(to, '0')
	}
	return append(to, number...)
}

// self copies this program, so that a step can call it.
func (b *bench) self() (string, error) {
	path := filepath.Join(b.dir, "step")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("reading this program: %w", err)
	}
	return path, os.WriteFile(path, data, 0o700)
}

// lines measures a step of a million lines until the last one was read through the
// API, and looks in runs of its own whether it is whole once it shows as finished: a second
// reader would take the time of the first.
func (b *bench) lines() error {
	step, err := b.self()
	if err != nil {
		return err
	}
	r, err := b.newRig("lines", true, nil, localNode)
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.hub.ImportJobs(b.ctx, "p", job("print", fmt.Sprintf("%s -loggen %d", step, manyLines), "name: here", 1)); err != nil {
		return err
	}
	var seconds, limits []float64
	for range b.runs {
		start := time.Now()
		e, err := r.hub.Run(b.ctx, "p", "print", nil)
		if err != nil {
			return err
		}
		n, err := b.countFollowed(r, e.ID)
		if err != nil {
			return err
		}
		if n != manyLines {
			return fmt.Errorf("the follower read %d lines of %d", n, manyLines)
		}
		seconds = append(seconds, time.Since(start).Seconds())
		if e, err = r.hub.Run(b.ctx, "p", "print", nil); err != nil {
			return err
		}
		if err := b.finishedWhole(r, e.ID); err != nil {
			return err
		}
		limit, err := b.bareLines(r, step)
		if err != nil {
			return err
		}
		limits = append(limits, limit)
	}
	s, hub, runner := median(seconds), peakRSS(r.hub.Process), peakRSS(r.runner.Process)
	b.add("1,000,000 lines until all are read", "1.2 s", fmt.Sprintf("%.2f s", s), fmt.Sprintf("bare pipe, zstd and inserts, read back: %.2f s", median(limits)), s <= 1.2)
	b.add("resident then, hub and runner", "200 MB each", fmt.Sprintf("%.0f and %.0f MB", hub, runner), "peak of the process", hub < 200 && runner < 200)
	return nil
}

// finishedWhole waits until the execution shows as finished, and then wants every line to
// be readable at once.
func (b *bench) finishedWhole(r *rig, id string) error {
	if _, err := r.hub.Wait(b.ctx, id, time.Minute); err != nil {
		return err
	}
	text, err := r.hub.Log(b.ctx, id, "format=text")
	if err != nil {
		return err
	}
	if got := strings.Count(text, "\n"); got != manyLines {
		return fmt.Errorf("finished, and %d lines of %d are readable", got, manyLines)
	}
	return nil
}

// follow reads an execution's log to its end, line by line.
func (b *bench) follow(r *rig, id string, line func(string)) error {
	return b.followed(r, id, func(body io.Reader) error {
		scan := bufio.NewScanner(body)
		for scan.Scan() {
			line(scan.Text())
		}
		return scan.Err()
	})
}

// countFollowed reads an execution's log to its end and counts the lines, with as little of
// the machine as it takes: the programs that are measured share it.
func (b *bench) countFollowed(r *rig, id string) (n int, err error) {
	buffer := make([]byte, 256<<10)
	err = b.followed(r, id, func(body io.Reader) error {
		for {
			got, err := body.Read(buffer)
			n += bytes.Count(buffer[:got], []byte{'\n'})
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	return n, err
}

// followed hands an execution's log as it comes to read.
func (b *bench) followed(r *rig, id string, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.hub.URL+"/api/v1/executions/"+id+"/log?format=text&follow=true", nil)
	if err != nil {
		return fmt.Errorf("following: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+r.hub.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("following: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	return read(res.Body)
}

// peakRSS is the most memory that a process ever had resident, in MB.
func peakRSS(p *lab.Process) float64 { return float64(p.Peak()) / 1e6 }

// status reads a size of /proc/PID/status, in bytes.
func status(p *lab.Process, field string) float64 { return statusOf(p.Cmd.Process.Pid, field) }

func statusOf(pid int, field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024
		}
	}
	return 0
}
