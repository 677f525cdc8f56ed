package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// procTick is what /proc counts a process's time in.
const procTick = 10 * time.Millisecond

// cpuOf is how long a process, what it started and what these started have computed so
// far, those included that have ended and were waited for.
func cpuOf(pid int) (time.Duration, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("listing processes: %w", err)
	}
	children, ticks := map[int][]int{}, map[int]int64{}
	for _, e := range entries {
		one, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		parent, used, ok := procStat(one)
		if ok {
			children[parent] = append(children[parent], one)
			ticks[one] = used
		}
	}
	total := int64(0)
	for open := []int{pid}; len(open) > 0; {
		one := open[0]
		open = append(open[1:], children[one]...)
		total += ticks[one]
	}
	return time.Duration(total) * procTick, nil
}

// spending tells what programs, by name, and this process have computed since.
type spending struct {
	names  []string
	pids   map[string][]int
	before map[string]time.Duration
	own    time.Duration
}

// spend begins to count. Processes that end meanwhile must not be among them.
func spend(pids map[string][]int) (*spending, error) {
	s := &spending{names: slices.Sorted(maps.Keys(pids)), pids: pids, own: ownCPU()}
	var err error
	s.before, err = s.now()
	return s, err
}

func (s *spending) now() (map[string]time.Duration, error) {
	out := make(map[string]time.Duration)
	for name, pids := range s.pids {
		for _, pid := range pids {
			used, err := cpuOf(pid)
			if err != nil {
				return nil, err
			}
			out[name] += used
		}
	}
	return out, nil
}

// each says how much of it each of n took.
func (s *spending) each(n int) (string, error) {
	own := ownCPU() - s.own
	now, err := s.now()
	if err != nil {
		return "", err
	}
	var told []string
	for _, name := range s.names {
		told = append(told, fmt.Sprintf("%s %s", name, ms((now[name]-s.before[name])/time.Duration(n))))
	}
	return strings.Join(append(told, "this process "+ms(own/time.Duration(n))), ", "), nil
}

// ownCPU is what this process has computed, without what it started.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for a wrong pointer alone
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// procStat reads a process's parent and its time; false when it has gone.
func procStat(pid int) (parent int, ticks int64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	_, rest, ok := bytes.Cut(text, []byte(") ")) // the name before it may hold anything
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 15 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	for _, f := range fields[11:15] { // utime, stime and those of children
		n, ferr := strconv.ParseInt(string(f), 10, 64)
		if ferr != nil {
			return 0, 0, false
		}
		ticks += n
	}
	return parent, ticks, err == nil
}
