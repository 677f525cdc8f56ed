package balancer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// products are the balancers, with the path of each one's example.
var products = map[string]struct {
	config string
	start  func(*front) (*lab.Process, error)
}{
	"haproxy": {"installer/haproxy/haproxy.cfg", startHAProxy},
	"nginx":   {"installer/nginx/nginx.conf", startNginx},
}

// People and a runner come through one port, the runner by the fixed name in its TLS:
// API, log by WebSocket and by lines, and sessions pass. A member that is drained, or
// that dies in the middle of a step, is left, and nothing is lost.
func TestBehindBalancer(t *testing.T) {
	t.Parallel()
	for name, product := range products {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, product.config, product.start)
			f.must(f.hub.CreateProject(f.ctx, "p", nil))
			f.must(f.hub.ImportNodes(f.ctx, "p", "here:\n  nodename: here\n  hostname: localhost\n  username: me\n  node-executor: local\n"))
			f.must(f.hub.ImportJobs(f.ctx, "p", printing(200)))
			f.startRunner()
			f.await("the runner's session is at the balancer", func() error {
				if at := f.runner.At(); at != f.everybody {
					return fmt.Errorf("it is at %q", at)
				}
				return nil
			})
			e, err := f.hub.Run(f.ctx, "p", "print", nil)
			f.must(err)
			socket, lines := f.follow(e.ID, lab.BySocket), f.follow(e.ID, lab.ByLines)

			first := f.holder(nil)
			f.must(f.hub.SetDraining(f.ctx, first.Name, true))
			second := f.holder(first)
			f.must(f.hub.SetDraining(f.ctx, first.Name, false))
			f.await("the drained member is back", func() error { return first.Health(f.ctx, "active") })

			second.Process.Kill()
			killed := time.Now()
			f.await("people are served", func() error { _, err := f.hub.Cluster(f.ctx); return err })
			t.Logf("people are served %v after the kill", time.Since(killed))
			f.holder(second)
			t.Logf("the runner is back %v after the kill", time.Since(killed))

			done, err := f.hub.Wait(f.ctx, e.ID, 60*time.Second)
			f.must(err)
			if done.Status != "succeeded" {
				t.Errorf("the execution ended %s", done.Status)
			}
			for way, followed := range map[string]<-chan *lab.Followed{"socket": socket, "lines": lines} {
				if got := strings.Count((<-followed).Text["here"], "\n"); got != 200 {
					t.Errorf("by %s %d lines of 200 were read", way, got)
				}
			}
			if starts, err := os.ReadFile(filepath.Join(f.dir, "starts")); err != nil || string(starts) != "x\n" {
				t.Errorf("the command was started %q times, error %v", starts, err)
			}
		})
	}
}

// The port for runners alone passes them through, too; and where a balancer ends TLS, the
// runner says what stands in its way.
func TestRunnerPorts(t *testing.T) {
	t.Parallel()
	for name, product := range products {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, product.config, product.start)
			f.must(f.hub.CreateProject(f.ctx, "p", nil))
			f.enrol()
			f.runner.SetEnv("FAIRLEAD_RUNNER_GATEWAYS=" + f.endsTLS)
			f.must(f.runner.Launch())
			t.Cleanup(func() { f.runner.Process.Kill() }) // the one that is there by then
			f.await("the runner names the balancer", func() error {
				tail := f.runner.Process.Tail()
				for _, words := range []string{f.endsTLS, "a balancer or proxy that ends TLS stands between, which must pass TCP through"} {
					if !strings.Contains(tail, words) {
						return fmt.Errorf("it does not say %q:\n%s", words, tail)
					}
				}
				return nil
			})
			f.runner.Process.Kill()
			f.runner.SetEnv("FAIRLEAD_RUNNER_GATEWAYS=" + f.runners)
			f.must(f.runner.Start(f.ctx))
		})
	}
}

// printing is a job that notes its start and prints so many lines in 20 s.
func printing(lines int) string {
	return fmt.Sprintf("- name: print\n  nodefilters:\n    filter: 'name: here'\n  sequence:\n    commands:\n    - script: |\n"+
		"        #!/bin/sh\n        echo x >> \"$STARTS\"\n        i=0\n        while [ $i -lt %d ]; do i=$((i+1)); echo line $i; sleep 0.1; done\n", lines)
}

func (f *front) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *front) await(what string, try func() error) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, 40*time.Second)
	defer cancel()
	if err := lab.Poll(ctx, 50*time.Millisecond, try); err != nil {
		f.Fatalf("waiting until %s: %v", what, err)
	}
}

// holder waits until the runner's session is at a member other than not, as the members
// tell it.
func (f *front) holder(not *lab.Member) (found *lab.Member) {
	f.Helper()
	f.await("the runner is at another member", func() error {
		state, err := f.hub.Cluster(f.ctx)
		if err != nil {
			return err
		}
		for i, m := range state.Members {
			if m.Sessions > 0 && m.State == "active" && f.cluster.Members[i] != not {
				found = f.cluster.Members[i]
				return nil
			}
		}
		return fmt.Errorf("members show %+v\n%s", state.Members, f.runner.Process.Tail())
	})
	return found
}

func (f *front) follow(id string, way lab.Way) <-chan *lab.Followed {
	done := make(chan *lab.Followed, 1)
	go func() {
		followed, err := f.hub.Follow(f.ctx, id, way)
		if err != nil {
			f.Errorf("following: %v", err)
			followed = &lab.Followed{}
		}
		done <- followed
	}()
	return done
}

func (f *front) enrol() {
	f.Helper()
	var err error
	f.runner, err = f.hub.Enrol(f.ctx, binaries.Runner, f.dir, "runner", "p")
	f.must(err)
}

func (f *front) startRunner() {
	f.Helper()
	f.enrol()
	f.runner.SetEnv("STARTS=" + filepath.Join(f.dir, "starts"))
	f.must(f.runner.Start(f.ctx))
	f.Cleanup(f.runner.Process.Kill)
}
