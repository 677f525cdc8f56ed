package faults

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// Members that lead the schedules die one after another while jobs fire each second:
// another one leads within ten seconds, no fire is missed, and none starts twice. `make
// faults` kills a hundred, with twenty jobs.
func TestLeaderKilledWhileSchedulesFire(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(*takeovers)*15*time.Second)
	t.Cleanup(cancel)
	w := newClusterWorld(t, clusterSetup{ctx: ctx, nodes: 1, nodesYAML: localNodes(1)})
	ran := filepath.Join(w.dir, "ran")
	var jobs strings.Builder
	for i := range *scheduled {
		jobs.WriteString(jobYAML(fmt.Sprintf("fires%d", i), 1, true, "node-first", "echo ${job.execid} >> "+ran))
		jobs.WriteString("  schedule:\n    crontab: '* * * * * ? *'\n")
	}
	w.must(w.hub.ImportJobs(ctx, "p", jobs.String()))
	var longest time.Duration
	past := make(timelines, *scheduled)
	for range *takeovers {
		old := w.leader("")
		old.Process.Kill()
		killed := time.Now()
		w.speak(w.others(old)[0])
		w.leader(old.Name)
		longest = max(longest, time.Since(killed))
		w.must(w.cluster.Start(ctx, old))
		w.await("the schedules have caught up", 30*time.Second, func() bool {
			newest := w.fires(*scheduled-1, 1)
			return len(newest) > 0 && time.Since(newest[0].At) < 3*time.Second
		})
		past.take(w)
	}
	if longest > 10*time.Second {
		t.Errorf("a takeover took %v", longest)
	}
	fires := past.untilPaused(w)
	text, err := os.ReadFile(ran)
	w.must(err)
	started := strings.Fields(string(text))
	slices.Sort(started)
	if once := len(slices.Compact(slices.Clone(started))); len(started) != fires || once != fires {
		t.Errorf("%d fires ran %d commands, of %d executions", fires, len(started), once)
	}
	t.Logf("%d takeovers, %v at the longest, during %d fires", *takeovers, longest, fires)
}

// leader waits for a member that leads the schedules and is not the one that is named.
func (w *clusterWorld) leader(not string) *lab.Member {
	w.Helper()
	var found *lab.Member
	w.await("a member leads the schedules", 30*time.Second, func() bool {
		state, err := w.hub.Cluster(w.ctx)
		if err != nil {
			return false
		}
		for _, l := range state.Leases {
			if l.Name == "scheduler" && l.Held && l.Holder != not {
				i := slices.IndexFunc(w.cluster.Members, func(m *lab.Member) bool { return m.Name == l.Holder })
				found = w.cluster.Members[i]
				return true
			}
		}
		return false
	})
	return found
}

// fire is what the API tells of a time at which a job was due.
type fire struct {
	At                          time.Time
	Status, ExecutionID, Reason string
}

// fires are the newest fires of a scheduled job, the newest first.
func (w *clusterWorld) fires(job, most int) []fire {
	w.Helper()
	var out struct{ Past []fire }
	w.must(w.hub.Do(w.ctx, http.MethodGet, fmt.Sprintf("/projects/p/jobs/fires%d/fires?count=%d", job, most), nil, &out))
	return out.Past
}

// timelines are the fires of each job, by their time: the API tells the newest alone.
type timelines []map[time.Time]fire

func (l timelines) take(w *clusterWorld) {
	w.Helper()
	for i := range l {
		if l[i] == nil {
			l[i] = map[time.Time]fire{}
		}
		for _, f := range w.fires(i, 1000) {
			l[i][f.At] = f
		}
	}
}

// untilPaused ends the schedules, waits for what they started, and checks that each job
// fired once each second, from its first fire to its last. It returns how many fired.
func (l timelines) untilPaused(w *clusterWorld) (total int) {
	w.Helper()
	for i := range l {
		w.must(w.hub.Do(w.ctx, http.MethodPost, fmt.Sprintf("/projects/p/jobs/fires%d/schedule/pause", i), nil, nil))
	}
	w.await("all that was started has ended", 60*time.Second, func() bool {
		var open struct{ Items []lab.Execution }
		err := w.hub.Do(w.ctx, http.MethodGet, "/executions?status=scheduled,queued,running,cancelling", nil, &open)
		return err == nil && len(open.Items) == 0
	})
	l.take(w)
	for i, past := range l {
		times := slices.SortedFunc(maps.Keys(past), time.Time.Compare)
		for k, at := range times {
			if f := past[at]; f.Status != "started" || f.ExecutionID == "" {
				w.Errorf("job %d: the fire of %v is %s: %s", i, at, f.Status, f.Reason)
			}
			if k > 0 && at.Sub(times[k-1]) != time.Second {
				w.Errorf("job %d fired at %v and then at %v", i, times[k-1], at)
			}
		}
		total += len(past)
	}
	return total
}
