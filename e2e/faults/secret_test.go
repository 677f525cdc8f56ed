package faults

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fairlead/fairlead/e2e/lab"
)

// Values that quoting and encoding go wrong on. The plain one proves that the search
// below would find the others.
const (
	hiddenValue = `it's "h1dden" \n $HOME & 100% <ünï→> ;|`
	plainValue  = `it's "pl4in" \n $HOME & 100% <ünï→> ;|`
	// onlyOutput stands in no job's text: its step puts it together.
	onlyOutput = "only-output"
)

// A secure option and the passwords of SSH and sudo, printed in several forms, are
// nowhere to be found: not on the disks of hub and runner, not in their logs, answers or
// output, not in the command line of any process.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	for name, local := range map[string]bool{"local": true, "ssh": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !local && os.Geteuid() != 0 {
				t.Log("only root can make an account")
				return
			}
			w, _ := newWorld(t, setup{local: local, idle: true, hubEnv: []string{"FAIRLEAD_HUB_LOG_LEVEL=debug"}})
			secrets, sudo := []string{hiddenValue}, ""
			if !local {
				account := w.passwordNode()
				secrets, sudo = append(secrets, account.Password), "sudo id -un; "
			}
			meet := w.meetingPlace(secrets)
			w.secretJob(meet, sudo)
			w.runner.SetEnv("FAIRLEAD_RUNNER_LOG_LEVEL=debug")
			w.startRunner()
			lines := w.watchCommandLines()
			e, err := w.hub.Run(w.ctx, "p", "j", map[string]string{"hidden": hiddenValue, "plain": plainValue})
			w.must(err)
			w.await("the step waits", 30*time.Second, func() bool {
				text, err := w.hub.Log(w.ctx, e.ID, "format=text")
				return err == nil && strings.Contains(text, onlyOutput)
			})
			w.await("its command line was seen", 30*time.Second, func() bool { return bytes.Contains(lines.text(), []byte(plainValue)) })
			// Now the shim has files, and nothing is settled.
			found := w.filesText()
			w.must(os.WriteFile(filepath.Join(meet, "go"), nil, 0o644))
			w.end(e.ID, "succeeded", 60*time.Second)
			for where, text := range w.filesText() {
				found[where+" at the end"] = text
			}
			found["command lines"] = lines.text()
			for _, path := range []string{"", "/nodes", "/log?format=text", "/log?format=ndjson"} {
				var text string
				w.must(w.hub.Do(w.ctx, "GET", "/executions/"+e.ID+path, nil, &text))
				found["GET execution"+path] = []byte(text)
			}
			w.nothingLeaks(found, secrets)
			w.searchWorks(found)
			w.masked(e.ID, len(sudo) > 0)
		})
	}
}

// A required option whose key is gone begins no step, on no node: the command would run with
// nothing in the value's place. One that need not have a value is empty.
func TestNothingRunsWithoutARequiredSecret(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, setup{local: true})
	job := func(required string) {
		w.must(w.hub.ImportJobs(w.ctx, "p", `
- name: j
  options:
  - {name: tenant, secure: true, valueExposed: true, required: `+required+`, storagePath: keys/project/p/gone}
  nodefilters: {filter: 'name: node001'}
  sequence:
    commands:
    - exec: 'echo ran >> `+filepath.Join(w.dir, "ran")+`; rm -rf "`+w.dir+`/data/"${option.tenant}"/tmp"'
`))
	}
	job("true")
	e := w.end(w.run(), "failed", 30*time.Second)
	steps, err := w.hub.NodeSteps(w.ctx, e.ID)
	w.must(err)
	if len(steps) != 1 || !strings.Contains(steps[0].Message, `The option tenant has no value: There is no key "keys/project/p/gone"`) {
		t.Errorf("the step tells %+v", steps)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "ran")); err == nil {
		t.Error("the command ran")
	}
	job("false")
	w.end(w.run(), "succeeded", 30*time.Second)
}

// passwordNode makes node001 one where a password signs in, and sudo takes it.
func (w *world) passwordNode() *lab.Account {
	w.Helper()
	account, err := lab.NewAccount(w.ctx)
	w.must(err)
	w.Cleanup(func() {
		if err := account.Remove(context.Background()); err != nil {
			w.Error(err)
		}
	})
	server, err := lab.StartSSHD(w.ctx, tempDir(w.T), 1, "UsePAM yes", "PasswordAuthentication yes")
	w.must(err)
	w.Cleanup(server.Stop)
	server.User = account.Name
	w.must(w.hub.SetKey(w.ctx, "keys/project/p/password", "password", []byte(account.Password)))
	w.must(w.hub.ImportNodes(w.ctx, "p", server.NodesYAML(1, "ssh-authentication: password", "ssh-password-storage-path: keys/project/p/password",
		"sudo-command-enabled: 'true'", "sudo-password-storage-path: keys/project/p/password")))
	return account
}

// meetingPlace is a directory outside the world's, open to every account, with a file of
// the secrets for the step to print.
func (w *world) meetingPlace(secrets []string) string {
	w.Helper()
	dir := tempDir(w.T)
	w.must(os.Chmod(dir, 0o755))
	w.must(os.WriteFile(filepath.Join(dir, "secrets"), []byte(strings.Join(secrets, "\n")+"\n"), 0o644))
	return dir
}

// secretJob imports a job "j" that prints its secure option in every way that a shell
// has at hand, makes a shell complain about it, and puts it into a script. The runner
// explains itself.
func (w *world) secretJob(meet, sudo string) {
	w.Helper()
	step := sudo + `printf '%s\n' ${option.hidden} ${option.plain}; printf '%s\n' "$RD_OPTION_HIDDEN"; ` +
		`printf '%s' "$RD_OPTION_HIDDEN" | base64 -w0; echo; printf 'me:%s' "$RD_OPTION_HIDDEN" | base64; ` +
		`LC_ALL=C.UTF-8 bash -c 'declare -p RD_OPTION_HIDDEN; printf "%q\n" "$RD_OPTION_HIDDEN"'; ` +
		`LC_ALL=C bash -c 'set -x; cd "$RD_OPTION_HIDDEN"'; cd ${option.hidden}; ` +
		`cat ` + meet + `/secrets; base64 ` + meet + `/secrets; printf 'only-%s\n' output; ` +
		`sh -c 'while [ ! -e ` + meet + `/go ]; do sleep 0.05; done' ${option.plain}`
	w.must(w.hub.ImportJobs(w.ctx, "p", `
- name: j
  loglevel: DEBUG
  options:
  - {name: hidden, secure: true, valueExposed: true}
  - {name: plain}
  nodefilters: {filter: 'name: node001'}
  sequence:
    commands:
    - exec: `+strconv.Quote(step)+`
    - script: |
        cat <<'END'
        @option.hidden@
        END
`))
}

// commandLines are those that were seen of all processes of the host.
type commandLines struct {
	mu   sync.Mutex // guards seen
	seen map[string]bool
}

// watchCommandLines looks at every process again and again until the test ends.
func (w *world) watchCommandLines() *commandLines {
	c := &commandLines{seen: map[string]bool{}}
	ctx, stop := context.WithCancel(w.ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			c.look()
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	w.Cleanup(func() { stop(); done.Wait() })
	return c
}

func (c *commandLines) look() {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // fails for a bad pattern alone
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil { // else the process has ended
			c.mu.Lock()
			c.seen[string(line)] = true
			c.mu.Unlock()
		}
	}
}

// text is all lines, one after another.
func (c *commandLines) text() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []byte(strings.Join(slices.Collect(maps.Keys(c.seen)), "\n"))
}

// filesText reads all files of hub and runner, their logs among them, by name.
func (w *world) filesText() map[string][]byte {
	w.Helper()
	out := map[string][]byte{}
	w.must(filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) { // between the list and now
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		out[path] = withUnpacked(text)
		return err
	}))
	return out
}

// withUnpacked adds to a file what every zstd frame in it holds: output is stored so.
func withUnpacked(file []byte) []byte {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	out := bytes.Clone(file)
	for rest := file; ; rest = rest[len(magic):] {
		at := bytes.Index(rest, magic)
		if at < 0 {
			return out
		}
		rest = rest[at:]
		in, err := zstd.NewReader(bytes.NewReader(rest), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(8<<20))
		if err != nil {
			continue // by chance, no frame
		}
		var frame bytes.Buffer
		_, _ = frame.ReadFrom(in) // what follows on the frame is none, and ends it with an error
		in.Close()
		out = append(out, frame.Bytes()...)
	}
}

// nothingLeaks looks for the secrets as they are and in the forms that programs write
// values in.
func (w *world) nothingLeaks(found map[string][]byte, secrets []string) {
	w.Helper()
	for _, secret := range secrets {
		for form, text := range writtenAs(secret) {
			for where, content := range found {
				if bytes.Contains(content, []byte(text)) {
					w.Errorf("%s holds a secret, %s: %s", where, form, text)
				}
			}
		}
	}
}

func writtenAs(secret string) map[string]string {
	quoted, _ := json.Marshal(secret) // a string always can be
	whole := secret[:len(secret)/3*3] // its base64 does not depend on what follows
	return map[string]string{
		"as it is": secret, "in JSON": strings.Trim(string(quoted), `"`), "in Go": strings.Trim(strconv.Quote(secret), `"`),
		"in single quotes": strings.ReplaceAll(secret, "'", `'\''`), "in mixed quotes": strings.ReplaceAll(secret, "'", `'"'"'`),
		"in $'...'":        strings.NewReplacer(`\`, `\\`, `'`, `\'`, "ü", `\303\274`, "ï", `\303\257`, "→", `\342\206\222`).Replace(secret),
		"in double quotes": strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(secret),
		"in a query":       url.QueryEscape(secret), "in a path": url.PathEscape(secret), "in hex": hex.EncodeToString([]byte(secret)),
		"in base64": base64.StdEncoding.EncodeToString([]byte(whole)), "in base64 for URLs": base64.URLEncoding.EncodeToString([]byte(whole)),
	}
}

// searchWorks checks that what is no secret is found in all the places that are searched.
func (w *world) searchWorks(found map[string][]byte) {
	w.Helper()
	holds := func(what, part string) {
		w.Helper()
		for where, content := range found {
			if strings.Contains(where, part) && bytes.Contains(content, []byte(what)) {
				return
			}
		}
		w.Errorf("%q is not found in %s, so the search proves nothing", what, part)
	}
	holds(plainValue, "/log?format=text")
	for _, dir := range []string{w.hub.DataDir + "/", w.runner.DataDir + "/"} {
		holds(onlyOutput, dir)
	}
	for _, p := range []*lab.Process{w.hub.Process, w.runner.Process} {
		if len(found[p.Log]) == 0 {
			w.Errorf("%s was not read", p.Log)
		}
	}
}

// masked checks that the output shows where the secrets stood.
func (w *world) masked(id string, sudo bool) {
	w.Helper()
	text, err := w.hub.Log(w.ctx, id, "format=text")
	w.must(err)
	// The shells' complaints come on stderr, at any place between these lines.
	want := []string{"*****\n", plainValue + "\n", "+ cd ", `declare -x RD_OPTION_HIDDEN="*****"`}
	if sudo {
		want = append(want, "root\n")
	}
	for _, s := range want {
		if !strings.Contains(text, s) {
			w.Errorf("the output does not say %q:\n%s", s, text)
		}
	}
	own, err := w.hub.Log(w.ctx, id, "format=ndjson")
	w.must(err)
	explained := `"Runs: printf '%s\\n' '*****' `
	if sudo {
		explained = `"Runs: sudo id -un; printf '%s\\n' '*****' `
	}
	if !strings.Contains(own, explained) || !strings.Contains(own, "host key ssh-ed25519 SHA256:") && !strings.Contains(own, "On the runner's own host.") {
		w.Errorf("the runner does not say what it runs:\n%s", own)
	}
	if script, err := w.hub.Log(w.ctx, id, "format=text&step=1"); err != nil || !strings.Contains(script, "*****") {
		w.Errorf("the script's output is %q, %v", script, err)
	}
}
