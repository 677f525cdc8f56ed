package repo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/hub/config"
)

// systemd takes the units as they are. Only the programs are replaced, which need not be
// installed here.
func TestUnits(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fairlead-hub", "fairlead-runner"} {
		text, err := os.ReadFile(filepath.Join(root(t), "installer/systemd", name+".service"))
		if err != nil {
			t.Fatal(err)
		}
		const installed = "ExecStart=/usr/bin/"
		if !strings.Contains(string(text), installed+name+" ") {
			t.Errorf("%s does not start %s", name, name)
		}
		// A hub whose database is away ends at once: five starts take five seconds.
		if !strings.Contains(string(text), "\nStartLimitIntervalSec=0\n") {
			t.Errorf("systemd gives up to start %s", name)
		}
		unit := filepath.Join(t.TempDir(), name+".service")
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), installed+name, "ExecStart=/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
		if err != nil || strings.Contains(string(out), name) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The compose file is read, its members are three different ones of one cluster, and
// every setting that it gives them is one that a hub knows.
func TestCompose(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root(t), "installer/compose/compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
			Secrets     []string
		}
		Secrets map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	secrets := t.TempDir()
	for name, content := range map[string]string{"database": "postgres://fairlead@postgres/fairlead", "master.key": strings.Repeat("00", 32)} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	members := map[string]bool{}
	for name, s := range compose.Services {
		for _, secret := range s.Secrets {
			if compose.Secrets[secret].File == "" {
				t.Errorf("%s wants the secret %s, which has no file", name, secret)
			}
		}
		if !strings.HasPrefix(name, "hub") {
			continue
		}
		var environ []string
		for k, v := range s.Environment {
			environ = append(environ, fmt.Sprintf("%s=%s", k, strings.ReplaceAll(v, "/run/secrets", secrets)))
		}
		c := config.Default(config.Home{Root: true})
		if _, err := config.Load(&c, config.Source{Environ: environ}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.Member != name || c.AdvertiseMember != name+".example:8441" || c.Database == "" || c.MasterKey == "" {
			t.Errorf("%s is member %q at %q of database %q", name, c.Member, c.AdvertiseMember, c.Database)
		}
		members[c.Member] = true
	}
	if len(members) != 3 {
		t.Errorf("members %v", members)
	}
}
