package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
)

func load(t *testing.T, s Source) (*Config, []Field, error) {
	t.Helper()
	c := Default(Home{Dir: "/home/ann"})
	fields, err := Load(&c, s)
	return &c, fields, err
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hub.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNamesAreDerived(t *testing.T) {
	t.Parallel()
	_, fields, err := load(t, Source{})
	if err != nil {
		t.Fatal(err)
	}
	envs := map[string]string{}
	for _, f := range fields {
		if f.Help == "" || f.Key == "" || strings.HasSuffix(f.Key, ".") {
			t.Errorf("field %+v has no key or no help", f)
		}
		if other, ok := envs[f.Env]; ok {
			t.Errorf("%s and %s share %s", f.Key, other, f.Env)
		}
		envs[f.Env] = f.Key
	}
	for env, key := range map[string]string{
		"FAIRLEAD_HUB_CLUSTER_HEARTBEAT_CONSIDER_DEAD": "cluster.heartbeat.considerDead",
		"FAIRLEAD_HUB_DATA_DIR":                        "dataDir",
		"FAIRLEAD_HUB_BOOTSTRAP_TOKEN":                 "bootstrapToken",
	} {
		if envs[env] != key {
			t.Errorf("%s is %q, want %q", env, envs[env], key)
		}
	}
}

func TestOrderOfSources(t *testing.T) {
	t.Parallel()
	file := write(t, "http: :1\ngateway: :2\nmember: file\ncluster:\n  heartbeat:\n    interval: 3s\ninsecureHttp: true\n")
	secret := write(t, "postgres://file@host/name\n")
	c, fields, err := load(t, Source{
		File:    file,
		Environ: []string{"FAIRLEAD_HUB_GATEWAY=:3", "FAIRLEAD_HUB_MEMBER=", "FAIRLEAD_HUB_DATABASE_FILE=" + secret, "OTHER=x", "FAIRLEAD_HUB_CONFIG=x"},
		Flags:   map[string]string{"member": "flag", "help": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, f := range fields {
		sources[f.Key] = f.Source
	}
	got := []string{c.HTTP, c.Gateway, c.Member, c.Database, c.Cluster.Heartbeat.Interval.String(), c.Log.Level}
	if diff := cmp.Diff([]string{":1", ":3", "flag", "postgres://file@host/name", "3s", "info"}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if !c.InsecureHTTP || sources["http"] != file+":1" || sources["gateway"] != "FAIRLEAD_HUB_GATEWAY" || sources["member"] != "--member" || sources["log.level"] != "default" || sources["database"] != "FAIRLEAD_HUB_DATABASE_FILE" {
		t.Errorf("sources %v", sources)
	}
	for _, f := range fields {
		if f.Key == "database" && strings.Contains(f.Shown(), "postgres") {
			t.Error("the database's address, which may hold a password, is shown")
		}
	}
}

func TestLoadTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	file := write(t, "htpp: :1\ncluster:\n  heartbeat:\n    intervall: 1s\nmember: [a]\nlog: x\noutput:\n  retention: soon\nhttp: :1\nhttp: :2\n")
	_, _, err := load(t, Source{
		File:    file,
		Environ: []string{"FAIRLEAD_HUB_GATEWAYY=:3", "FAIRLEAD_HUB_INSECURE_HTTP=perhaps", "FAIRLEAD_HUB_HTTP_FILE=/x", "FAIRLEAD_HUB_MASTER_KEY_FILE=/not/there"},
	})
	if hub.ErrorCode(err) != hub.CodeInvalid {
		t.Fatalf("error %v", err)
	}
	var coded *hub.Error
	if !errorsAs(err, &coded) {
		t.Fatal(err)
	}
	var told []string
	for _, f := range coded.Fields {
		told = append(told, strings.TrimPrefix(f.Path, file)+" "+f.Message)
	}
	for _, want := range []string{
		":1 htpp is not known; did you mean http?",
		"cluster.heartbeat.intervall is not known; did you mean cluster.heartbeat.interval?",
		"member must be a plain value", "log is not known", "is no duration", "http is given twice",
		"FAIRLEAD_HUB_GATEWAYY is not known; did you mean FAIRLEAD_HUB_GATEWAY?",
		"FAIRLEAD_HUB_INSECURE_HTTP insecureHttp: \"perhaps\" is neither true nor false",
		"FAIRLEAD_HUB_HTTP_FILE is not known", "FAIRLEAD_HUB_MASTER_KEY_FILE open /not/there",
	} {
		if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("not told: %s\n%s", want, strings.Join(told, "\n"))
		}
	}
}

// What stands in a second document, or once more under another spelling, is told: one of the
// two would be passed over without a word.
func TestFileTellsWhatItWouldPassOver(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http: :1\n---\ngateway: :2\n":            "a second YAML document",
		"log: {level: debug}\nlog.level: info\n":  "log.level is given twice",
		"log.level: info\nlog:\n  level: debug\n": "log.level is given twice",
		"log.level: info\nlog:\n  format: json\n": "",
		"---\nhttp: :1\n...\n":                    "",
		"":                                        "",
	} {
		_, _, err := load(t, Source{File: write(t, text)})
		var coded *hub.Error
		if want == "" && err == nil {
			continue
		}
		if want == "" || !errorsAs(err, &coded) || len(coded.Fields) != 1 || !strings.Contains(coded.Fields[0].Message, want) {
			t.Errorf("%q: error %v %+v, want %q", text, err, coded, want)
		}
	}
}

// What can be known to be wrong with an address is told before the hub is stopped for it.
func TestValidateAddresses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"http":             func(c *Config) { c.HTTP = "127.0.0.1:99999" },
		"gateway":          func(c *Config) { c.Gateway = ":grpcc" },
		"metrics.listen":   func(c *Config) { c.Metrics.Listen = ":-1" },
		"advertiseGateway": func(c *Config) { c.AdvertiseGateway = "hub1:70000" },
		"advertiseMember":  func(c *Config) { c.AdvertiseMember = "hub1:0" },
		"publicUrl":        func(c *Config) { c.PublicURL = "https://hub.example/fairlead" },
	} {
		c := Default(Home{Dir: "/home/ann"})
		change(&c)
		var coded *hub.Error
		if err := c.Validate(); !errorsAs(err, &coded) || len(coded.Fields) != 1 || coded.Fields[0].Path != name {
			t.Errorf("%s: error %+v", name, coded)
		}
	}
	c := Default(Home{Dir: "/home/ann"})
	c.PublicURL, c.HTTP, c.Gateway = "https://hub.example:8440/", ":https", "127.0.0.1:0"
	if err := c.Validate(); err != nil {
		t.Errorf("right addresses: %v", err)
	}
}

// A secret's file that is empty was not written yet, or not whole. Taken for a setting that
// is not there, it would start another hub: on SQLite, under a master key of its own.
func TestEmptySecretFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " \n"} {
		file := write(t, text)
		for _, name := range []string{"FAIRLEAD_HUB_DATABASE_FILE", "FAIRLEAD_HUB_MASTER_KEY_FILE"} {
			_, _, err := load(t, Source{Environ: []string{name + "=" + file}})
			var coded *hub.Error
			if !errorsAs(err, &coded) || len(coded.Fields) != 1 || coded.Fields[0].Path != name || !strings.Contains(coded.Fields[0].Message, file+" is empty") {
				t.Errorf("%s of %q: error %+v", name, text, coded)
			}
		}
	}
}

// A service in Kubernetes that is called as the hub is puts variables under its prefix.
func TestVariablesOfKubernetes(t *testing.T) {
	t.Parallel()
	var environ []string
	for _, service := range []string{"FAIRLEAD_HUB", "FAIRLEAD_HUB_GATEWAY", "FAIRLEAD_HUB_0"} {
		environ = append(environ,
			service+"_SERVICE_HOST=10.96.0.7", service+"_SERVICE_PORT=8440", service+"_SERVICE_PORT_HTTPS=8440",
			service+"_PORT=tcp://10.96.0.7:8440", service+"_PORT_8440_TCP=tcp://10.96.0.7:8440", service+"_PORT_8440_TCP_PROTO=tcp",
			service+"_PORT_8440_TCP_PORT=8440", service+"_PORT_8440_TCP_ADDR=10.96.0.7")
	}
	if _, _, err := load(t, Source{Environ: environ}); err != nil {
		t.Errorf("the hub does not start beside its service: %v", err)
	}
	if _, _, err := load(t, Source{Environ: []string{"FAIRLEAD_HUB_HTTP_PORT=8440"}}); hub.ErrorCode(err) != hub.CodeInvalid {
		t.Errorf("a mistyped setting: %v", err)
	}
}

func errorsAs(err error, to **hub.Error) bool {
	e, ok := err.(*hub.Error) //nolint:errorlint // Load returns it bare
	*to = e
	return ok
}

func TestNotYAML(t *testing.T) {
	t.Parallel()
	for _, file := range []string{write(t, "a: [\n"), "/not/there.yaml"} {
		if _, _, err := load(t, Source{File: file}); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, _, err := load(t, Source{File: write(t, "")}); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Default(Home{Root: true})
	if err := good.Validate(); err != nil || good.DataDir != "/var/lib/fairlead-hub" {
		t.Errorf("the defaults: %s, %v", good.DataDir, err)
	}
	for path, change := range map[string]func(*Config){
		"dataDir":                    func(c *Config) { c.DataDir = "" },
		"http":                       func(c *Config) { c.HTTP = "8440" },
		"gateway":                    func(c *Config) { c.Gateway = "x" },
		"advertiseGateway":           func(c *Config) { c.AdvertiseGateway = ":8441" },
		"publicUrl":                  func(c *Config) { c.PublicURL = "hub.example:8440" },
		"database":                   func(c *Config) { c.Database = "mysql://x" },
		"tls":                        func(c *Config) { c.TLS.Cert = "x" },
		"log.level":                  func(c *Config) { c.Log.Level = "loud" },
		"log.format":                 func(c *Config) { c.Log.Format = "xml" },
		"cluster.heartbeat.interval": func(c *Config) { c.Cluster.Heartbeat.Interval = time.Millisecond },
		"cluster.heartbeat":          func(c *Config) { c.Cluster.Heartbeat.ConsiderDead = time.Second },
		"cluster.roles": func(c *Config) {
			c.Database, c.Cluster.Mode, c.Cluster.Roles = "postgres://x", ModeActivePassive, "api,gateway"
		},
		"attempts.lostAfterTicks": func(c *Config) { c.Attempts.LostAfterTicks = 0 },
		"metrics.listen":          func(c *Config) { c.Metrics.Listen = "9090" },
		"output.retention":        func(c *Config) { c.Output.Retention = -1 },
		"sessions":                func(c *Config) { c.Sessions.Idle = 0 },
	} {
		c := good
		change(&c)
		var coded *hub.Error
		if err := c.Validate(); !errorsAs(err, &coded) || len(coded.Fields) != 1 || coded.Fields[0].Path != path {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "nonsense": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	for want, home := range map[string]Home{
		"/var/lib/fairlead-hub":             {Root: true, XDGDataHome: "/x"},
		"/x/fairlead-hub":                   {XDGDataHome: "/x", Dir: "/home/a"},
		"/home/a/.local/share/fairlead-hub": {Dir: "/home/a"},
	} {
		if got := Default(home).DataDir; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	c, _, err := load(t, Source{File: write(t, `archive:
  url: s3://logs/hub
  path: "{project}/{attempt}"
  s3: {endpoint: "https://minio.example:9000", pathStyle: true, accessKey: a}
  other: {url: "file:///srv/logs"}
`), Environ: []string{"FAIRLEAD_HUB_ARCHIVE_S3_SECRET_KEY=b"}})
	if err != nil || c.Validate() != nil {
		t.Fatal(err, c.Validate())
	}
	archives, path, _ := c.Archive.Open()
	if archives.Names() != "s3://logs/hub, file:///srv/logs" || path == nil {
		t.Errorf("archives %s", archives.Names())
	}
	for text, want := range map[string]string{
		"archive: {url: /srv/logs}": "archive.url", "archive: {path: x}": "archive.path", "archive: {s3: {region: x}}": "archive.url",
		"archive: {other: {url: /x}}": "archive.other.url", "archive: {url: 's3://a/b', other: {url: 's3://a/b/'}}": "archive.other.url",
	} {
		c, _, err := load(t, Source{File: write(t, text)})
		if err == nil {
			err = c.Validate()
		}
		coded, _ := errors.AsType[*hub.Error](err)
		if coded == nil || len(coded.Fields) != 1 || coded.Fields[0].Path != want {
			t.Errorf("%s: %+v", text, coded)
		}
	}
	if c, _, err := load(t, Source{}); err != nil || c.Validate() != nil {
		t.Errorf("no archive: %v, %v", err, c.Validate())
	}
}
