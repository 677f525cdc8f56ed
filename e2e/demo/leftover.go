package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A demo that was killed leaves processes behind. Each one that we start is noted with
// its start time, so that a process id that was given to another program since is
// never ended.

// note adds a process to DIR/processes.
func note(dir string, pid int) error {
	started, err := startTime(pid)
	if err != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, "processes"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("noting a process: %w", err)
	}
	defer func() { _ = f.Close() }()
	_, err = fmt.Fprintf(f, "%d %s\n", pid, started)
	return err
}

// endLeftovers ends what an earlier demo noted and returns how many that were.
func endLeftovers(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "processes"))
	if err != nil {
		return 0
	}
	ended := 0
	for line := range strings.Lines(string(text)) {
		pidText, started, ok := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(pidText)
		if !ok || err != nil {
			continue
		}
		if now, err := startTime(pid); err == nil && now == started && syscall.Kill(pid, syscall.SIGKILL) == nil {
			ended++
		}
	}
	return ended
}

// startTime is field 22 of /proc/PID/stat: ticks since boot, which with the process id
// names a process.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
	if len(fields) < 20 || fields[0] == "Z" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}
