package faults

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// Nodes that cannot be reached or trusted fail, proven not started, with a reason
// that names the thing; the good node beside them is not touched by it.
func TestBadNodes(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never speaks
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	closed, err := lab.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	node := func(name, addr string, more ...string) string {
		return fmt.Sprintf("%s:\n  nodename: %s\n  hostname: %q\n  username: %s\n  %s\n", name, name, addr, sshd.User, strings.Join(more, "\n  "))
	}
	w, _ := newWorld(t, setup{nodesYAML: node("node001", sshd.Addrs[0]) +
		node("node-closed", closed) +
		node("node-silent", l.Addr().String(), "ssh-connection-timeout: '2'") +
		node("node-noname", "no-such-host.invalid:22") +
		node("node-wrongkey", sshd.Addrs[1], "ssh-host-key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPQp4KnSMiVcGrpU7L8iQcmGhKCrYDvAKz9fVhOJxTlG'") +
		node("node-nokey", sshd.Addrs[2], "ssh-key-storage-path: keys/project/p/absent") +
		node("node-password", sshd.Addrs[3], "ssh-authentication: password", "ssh-password-storage-path: keys/project/p/password")}) // takes none
	w.must(w.hub.SetKey(w.ctx, "keys/project/p/password", "password", []byte("any")))
	w.job(8, true, "node-first", w.witnessStep(3, "0"))
	id := w.run()
	w.end(id, "failed", 60*time.Second)
	w.startedOnce()
	for name, says := range map[string]string{
		"node-closed": "nothing listens", "node-silent": "time", "node-noname": "no-such-host", "node-wrongkey": "host key",
		"node-nokey": "keys/project/p/absent", "node-password": "refused the login",
	} {
		s := w.step(id, name, 1)
		if s.Status != "failed" || !strings.Contains(strings.ToLower(s.Message), strings.ToLower(says)) {
			t.Errorf("%s: %s, %q; want failed, saying %q", name, s.Status, s.Message, says)
		}
	}
	if s := w.step(id, "node001", 1); s.Status != "succeeded" {
		t.Errorf("the good node is %s", s.Status)
	}
}

// A stored password signs in where it is the right one, as PAM sees it, and sudo takes
// it; a wrong one fails, not started, and says so.
func TestPasswords(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can make an account")
		return
	}
	w, _ := newWorld(t, setup{})
	account, err := lab.NewAccount(w.ctx)
	w.must(err)
	t.Cleanup(func() {
		if err := account.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	server, err := lab.StartSSHD(w.ctx, filepath.Join(w.dir, "pam"), 2, "UsePAM yes", "PasswordAuthentication yes")
	w.must(err)
	t.Cleanup(server.Stop)
	server.User = account.Name
	w.must(w.hub.ImportNodes(w.ctx, "p", server.NodesYAML(2, "ssh-authentication: password", "ssh-password-storage-path: keys/project/p/NAME",
		"sudo-command-enabled: 'true'", "sudo-password-storage-path: keys/project/p/node001")))
	w.must(w.hub.SetKey(w.ctx, "keys/project/p/node001", "password", []byte(account.Password)))
	w.must(w.hub.SetKey(w.ctx, "keys/project/p/node002", "password", []byte("wrong")))
	w.job(2, true, "node-first", "id -un; sudo id -un")
	id := w.run()
	w.end(id, "failed", 60*time.Second)
	text, err := w.hub.Log(w.ctx, id, "format=text&node=node001")
	w.must(err)
	// The shell may complain on stderr, at any place, that the test's home is not its own.
	lines := strings.Split(text, "\n")
	if s := w.step(id, "node001", 1); s.Status != "succeeded" || !slices.Contains(lines, account.Name) || !slices.Contains(lines, "root") {
		t.Errorf("with the right password: %+v, %q", s, text)
	}
	if s := w.step(id, "node002", 1); s.Status != "failed" || s.Reason != "authentication_failed" {
		t.Errorf("with a wrong password: %+v", s)
	}
}

// Output of every kind arrives byte for byte.
func TestOddOutput(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"local": true, "ssh": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: local})
			long := strings.Repeat("0123456789abcdef", 10<<20/16)
			for file, content := range map[string]string{
				"plain": "no newline at the end", "long": long, "bytes": "a\xff\xfe\x00b\x1b[31mred\x1b]52;c;AAAA\x07\r\n\xc3(\n",
			} {
				w.must(os.WriteFile(filepath.Join(w.dir, file), []byte(content), 0o600))
				w.job(1, true, "node-first", "cat "+w.dir+"/"+file)
				id := w.run()
				w.end(id, "succeeded", 60*time.Second)
				got, err := w.hub.Log(w.ctx, id, "format=text&node=node001")
				w.must(err)
				// A last line without its newline is told with one by no format.
				if sha256.Sum256([]byte(got)) != sha256.Sum256([]byte(content)) {
					t.Errorf("%s: %d bytes arrived as %d: %.60q", file, len(content), len(got), got)
				}
			}
		})
	}
}

// An option's value is one argument, whatever it says.
func TestOptionValues(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"local": true, "ssh": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: local})
			marker := filepath.Join(w.dir, "marker")
			w.must(w.hub.ImportJobs(w.ctx, "p", `
- name: j
  options:
  - name: value
  nodefilters: {filter: 'name: node001'}
  sequence:
    commands:
    - exec: printf '%s' ${option.value} > `+w.dir+`/arg; printf '%s' "$RD_OPTION_VALUE" > `+w.dir+`/env
`))
			for _, v := range []string{
				"$(touch " + marker + ")", "`touch " + marker + "`", "; touch " + marker, "| touch " + marker,
				"it's \"quoted\"", "two\nlines", "*", "~", "{a,b}", "-rf", "\\", "$HOME", "a  b", "'\"'\"'", "&& touch " + marker,
			} {
				e, err := w.hub.Run(w.ctx, "p", "j", map[string]string{"value": v})
				w.must(err)
				w.end(e.ID, "succeeded", 30*time.Second)
				for _, way := range []string{"arg", "env"} {
					got, err := os.ReadFile(filepath.Join(w.dir, way))
					w.must(err)
					if string(got) != v {
						t.Errorf("%q arrived as %s %q", v, way, got)
					}
				}
			}
			if _, err := os.Stat(marker); !errors.Is(err, os.ErrNotExist) {
				t.Error("a value was run as a command")
			}
		})
	}
}

// Scripts run with what they name, and say so when that does not exist; nothing of
// them is left on the node.
func TestScripts(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"local": true, "ssh": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: local})
			for _, tt := range []struct{ script, interpreter, status, says string }{
				{"#!/bin/sh\necho \"$0\" > " + w.dir + "/path; echo hello $1", "", "succeeded", "hello world"},
				{"echo no first line $1", "/bin/sh", "succeeded", "no first line world"},
				{"#!/bin/sh\necho \"$0\" > " + w.dir + "/path; exit 7", "", "failed", ""},
				{"echo x", "/no/such/interpreter", "failed", "/no/such/interpreter"},
				{"#!/no/such/interpreter\necho x", "", "failed", "/no/such/interpreter"},
			} {
				yaml := "- name: j\n  nodefilters: {filter: 'name: node001'}\n  sequence:\n    commands:\n    - args: world\n      script: |\n        " +
					strings.ReplaceAll(tt.script, "\n", "\n        ") + "\n"
				if tt.interpreter != "" {
					yaml += "      scriptInterpreter: " + tt.interpreter + "\n"
				}
				w.must(w.hub.ImportJobs(w.ctx, "p", yaml))
				id := w.run()
				w.end(id, tt.status, 30*time.Second)
				text, err := w.hub.Log(w.ctx, id, "format=text")
				w.must(err)
				if all := text + w.step(id, "node001", 1).Message; !strings.Contains(all, tt.says) {
					t.Errorf("%q: nothing says %q: %q", tt.script, tt.says, all)
				}
				if path := w.lines("path"); len(path) == 1 {
					if _, err := os.Stat(path[0]); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("the script %s is still there", path[0])
					}
				}
			}
		})
	}
}

// Bad job files are refused whole, with every problem by its path.
func TestBadJobFiles(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true, idle: true})
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, tt := range map[string]struct {
		file string
		says []string
	}{
		"unknown keys": {"- name: a\n  namme: b\n  sequence: {commands: [{exec: 'true', exce: 'x'}]}\n", []string{"namme", "did you mean", "exce"}},
		"not yet":      {"- name: a\n  notification: {onsuccess: {email: {recipients: a@b.example}}}\n  sequence: {commands: [{exec: 'true'}]}\n", []string{"notification", "not supported yet"}},
		"10 MB":        {"- name: a\n  description: " + strings.Repeat("x", 10<<20) + "\n  sequence: {commands: [{exec: 'true'}]}\n", []string{"large"}},
		"aliases":      {bomb, []string{"alias"}},
		"no yaml":      {"\t{", []string{"YAML"}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := w.hub.ImportJobs(w.ctx, "p", tt.file)
			var refused *lab.Error
			if !errors.As(err, &refused) || refused.Status < 400 || refused.Status >= 500 {
				t.Fatalf("imported, or failed otherwise: %v", err)
			}
			for _, s := range tt.says {
				if !strings.Contains(refused.Body, s) {
					t.Errorf("the refusal does not say %q: %s", s, refused.Body)
				}
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	var jobs struct{ Items []struct{ Name string } }
	w.must(w.hub.Do(w.ctx, "GET", "/projects/p/jobs", nil, &jobs))
	if len(jobs.Items) != 0 {
		t.Errorf("a refused file left jobs behind: %v", jobs.Items)
	}
}

// The runner's clock is an hour off, either way: it still connects and works.
// (Libfaketime is not needed: the tests' build shifts the clock that certificates
// are judged by.)
func TestClockAnHourOff(t *testing.T) {
	t.Parallel()
	for _, off := range []string{"1h", "-1h"} {
		t.Run(off, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, setup{local: true, runnerEnv: []string{"FAIRLEAD_TEST_CLOCK=" + off}})
			w.job(1, true, "node-first", w.witnessStep(3, "0"))
			w.end(w.run(), "succeeded", 30*time.Second)
			w.startedOnce()
		})
	}
}
