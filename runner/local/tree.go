package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/runner/stepdir"
)

// cgroup is a version 2 control group below the runner's own, for all processes of a
// shim's commands. Nil: the host does not allow one.
type cgroup struct {
	path string
	dir  *os.File
}

// newCgroup makes one, if the runner may. Failing is ordinary: few users may.
func newCgroup() *cgroup {
	mount, own := cgroupPlace()
	if mount == "" {
		return nil
	}
	path := filepath.Join(mount, own, fmt.Sprintf("fairlead-shim-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if os.Mkdir(path, 0o755) != nil { //nolint:gosec // the usual mode there
		return nil
	}
	// Without cgroup.kill (Linux before 5.14) nothing is gained over the walk.
	dir, err := os.Open(path)
	if err != nil || !stepdir.Exists(path, "cgroup.kill") {
		_ = os.Remove(path)
		return nil
	}
	return &cgroup{path: path, dir: dir}
}

// cgroupPlace finds where the unified hierarchy is mounted and where we are in it.
func cgroupPlace() (mount, own string) {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		head, tail, found := strings.Cut(line, " - ")
		fields := strings.Fields(head)
		if found && strings.HasPrefix(tail, "cgroup2 ") && len(fields) > 4 {
			mount = fields[4]
		}
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			own = strings.TrimSpace(path)
		}
	}
	return mount, own
}

// renewGroup gives the shim an empty group.
func (s *shim) renewGroup() {
	if s.group != nil {
		s.group.remove()
		s.group = newCgroup()
	}
}

func (g *cgroup) remove() {
	if g != nil {
		_ = g.dir.Close()
		_ = os.Remove(g.path)
	}
}

// killCgroup ends all processes of a group and reports whether it is empty.
func killCgroup(path string, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return true
		}
		_ = os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0)
		events, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
		if err == nil && bytes.Contains(events, []byte("populated 0")) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(5 * time.Millisecond)
	}
}

// proc is what /proc says about a process.
type proc struct {
	pid, parent, group, session int
	start                       uint64
	zombie                      bool
}

func readProc(pid int) (proc, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(data, ')')
	if err != nil || end < 0 {
		return proc{}, false
	}
	f := strings.Fields(string(data[end+1:]))
	if len(f) < 20 {
		return proc{}, false
	}
	p := proc{pid: pid, zombie: f[0] == "Z" || f[0] == "X"}
	p.parent, _ = strconv.Atoi(f[1])
	p.group, _ = strconv.Atoi(f[2])
	p.session, _ = strconv.Atoi(f[3])
	p.start, _ = strconv.ParseUint(f[19], 10, 64)
	return p, true
}

func allProcs() []proc {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	var out []proc
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := readProc(pid); ok && !p.zombie {
				out = append(out, p)
			}
		}
	}
	return out
}

// descendants are all living processes below root, root left out. Under a subreaper
// nothing escapes that.
func descendants(root int) []int {
	all := allProcs()
	in := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if in[p.parent] && !in[p.pid] {
				in[p.pid], grown = true, true
			}
		}
	}
	delete(in, root)
	var out []int
	for pid := range in {
		out = append(out, pid)
	}
	return out
}

// orphans are the processes that a dead shim left, as far as they can be told: of the
// command's session or group, or with the step's name in their environment.
func orphans(s started) []int {
	word := []byte("FAIRLEAD_STEP=" + s.Step)
	leader := s.Pid
	if now, found := readProc(leader); found && now.start != s.PidStart {
		leader = 0 // the number is another's by now
	}
	var out []int
	for _, p := range allProcs() {
		if p.pid == os.Getpid() {
			continue
		}
		mine := leader > 1 && (p.session == leader || p.group == leader)
		if !mine {
			env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
			mine = err == nil && hasVariable(env, word)
		}
		if mine {
			out = append(out, p.pid)
		}
	}
	return out
}

func hasVariable(env, word []byte) bool {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, word) {
			return true
		}
	}
	return false
}

// killOrphans ends what a dead shim left. It reports whether nothing is left for
// certain, which only a cgroup can tell.
func killOrphans(s started) bool {
	if s.Cgroup != "" {
		gone := killCgroup(s.Cgroup, 5*time.Second)
		_ = os.Remove(s.Cgroup)
		return gone
	}
	for range 100 {
		left := orphans(s)
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		<-time.After(5 * time.Millisecond)
	}
	return false
}
