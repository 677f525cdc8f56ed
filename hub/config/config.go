package config

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
)

// Config is everything that can be configured. Tags: key is the name in the file, flag
// the name on the command line (none: file and environment alone), secret hides the
// value wherever it is shown.
type Config struct {
	DataDir  string `key:"dataDir" flag:"data-dir" help:"where the database file and the master key lie"`
	HTTP     string `key:"http" flag:"http" help:"address of UI and API; beyond loopback it is HTTPS"`
	Gateway  string `key:"gateway" flag:"gateway" help:"address that runners connect to (gRPC, TLS 1.3); the same as http: one port for both"`
	Database string `key:"database" flag:"database" help:"postgres://user@host/name; empty: SQLite in the data directory" secret:"true"`
	Member   string `key:"member" flag:"member" help:"name of this hub in the cluster; empty: the host's"`
	// PublicURL is what people and runners are shown: links, enrol commands.
	PublicURL        string `key:"publicUrl" flag:"public-url" help:"address of the UI as people and runners reach it"`
	AdvertiseGateway string `key:"advertiseGateway" flag:"advertise-gateway" help:"host:port of the gateway as runners reach it"`
	AdvertiseMember  string `key:"advertiseMember" flag:"advertise-member" help:"host:port of the gateway as other hubs reach it"`
	TLS              TLS    `key:"tls"`
	InsecureHTTP     bool   `key:"insecureHttp" flag:"insecure-http" help:"plain HTTP also beyond loopback: passwords and tokens travel readable"`
	// MasterKey encrypts all secrets; 32 bytes in base64 or hex. Empty: MasterKeyFile.
	MasterKey      string  `key:"masterKey" help:"32 bytes in base64 or hex that all secrets are encrypted under" secret:"true"`
	MasterKeyPath  string  `key:"masterKeyPath" flag:"master-key-path" help:"file of the master key, made when absent; empty: master.key in the data directory"`
	BootstrapToken string  `key:"bootstrapToken" help:"becomes an administrator's API token at the first start" secret:"true"`
	Log            Log     `key:"log"`
	DB             DB      `key:"db"`
	Cluster        Cluster `key:"cluster"`
	Attempts       Attempt `key:"attempts"`
	Output         Output  `key:"output"`
	Archive        Archive `key:"archive"`
	Sessions       Session `key:"sessions"`
	Metrics        Metrics `key:"metrics"`
}

// TLS is a certificate for people's listener in place of one of the hub's own CA.
type TLS struct {
	Cert string `key:"cert" flag:"tls-cert" help:"certificate chain for HTTPS, PEM"`
	Key  string `key:"key" flag:"tls-key" help:"its private key, PEM"`
}

// Log is how the hub logs.
type Log struct {
	Level  string `key:"level" flag:"log-level" help:"debug, info, warn or error"`
	Format string `key:"format" flag:"log-format" help:"text or json"`
}

// DB is what the hub may rely on of its database.
type DB struct {
	Failover string `key:"failover" help:"lossy, or lossless: a standby that is promoted has every commit, so nothing is held then"`
}

// The values of DB.Failover.
const (
	FailoverLossy    = "lossy"
	FailoverLossless = "lossless"
)

// Cluster is how members watch one another.
type Cluster struct {
	Heartbeat Heartbeat `key:"heartbeat"`
	Mode      string    `key:"mode" help:"active-active, or active-passive: one member serves runners and schedules, the others wait to take over"`
	Takeover  Takeover  `key:"takeover"`
	Roles     string    `key:"roles" flag:"roles" help:"what this member does: api, gateway, scheduler"`
	// ExecutionMode that the member starts with; a person may change it while it runs.
	ExecutionMode string `key:"executionMode" help:"active, or passive: no schedule fires on this member"`
}

// Takeover says who follows an active member that failed.
type Takeover struct {
	Policy  string `key:"policy" help:"automatic, or manual: another member takes over only by fairlead cluster promote"`
	Members string `key:"members" help:"names of the members that may take over, separated by commas; empty: any"`
}

// Heartbeat are the times of design's cluster table.
type Heartbeat struct {
	Interval         time.Duration `key:"interval" help:"between two signs of life of a member"`
	ConsiderInactive time.Duration `key:"considerInactive" help:"without a sign of life until a member counts as inactive"`
	ConsiderDead     time.Duration `key:"considerDead" help:"without a sign of life until a member counts as dead"`
}

// Attempt are defaults for attempts, in lease ticks: about a second each, and none
// while no hub or no database is up.
type Attempt struct {
	LostAfterTicks int64 `key:"lostAfterTicks" help:"ticks without its runner until a running step is unknown; a job's lostAfter overrides"`
}

// Output is how long executions and their output are kept.
type Output struct {
	Retention time.Duration `key:"retention" help:"how long ended executions and their output are kept in projects that do not say so themselves; 0s: for ever"`
}

// Session is how long a browser stays signed in.
type Session struct {
	Idle     time.Duration `key:"idle" help:"without a request until a browser is signed out"`
	Absolute time.Duration `key:"absolute" help:"until a browser must sign in again"`
}

// Metrics is where scrapers come to.
type Metrics struct {
	Listen string `key:"listen" help:"address of a listener for /metrics alone, plain HTTP and without sign-in; empty: none"`
}

// Default returns the configuration of a hub that is told nothing. home is the
// environment of the process as far as the data directory depends on it.
func Default(home Home) Config {
	return Config{
		DataDir: home.dataDir("fairlead-hub"),
		HTTP:    "127.0.0.1:8440",
		Gateway: ":8441",
		Log:     Log{Level: "info", Format: "text"},
		DB:      DB{Failover: FailoverLossy},
		Cluster: Cluster{
			Heartbeat: Heartbeat{Interval: 2 * time.Second, ConsiderInactive: 6 * time.Second, ConsiderDead: 10 * time.Second},
			Mode:      ModeActiveActive, Takeover: Takeover{Policy: TakeoverAutomatic},
			Roles: strings.Join(hub.Roles(), ","), ExecutionMode: string(hub.ModeActive),
		},
		Attempts: Attempt{LostAfterTicks: 600},
		Output:   Output{Retention: 90 * 24 * time.Hour},
		Archive:  Archive{Path: archive.DefaultPath},
		Sessions: Session{Idle: 30 * time.Minute, Absolute: 12 * time.Hour},
	}
}

// Home is what the default data directory depends on.
type Home struct {
	Root        bool
	XDGDataHome string
	Dir         string
}

func (h Home) dataDir(name string) string {
	switch {
	case h.Root:
		return filepath.Join("/var/lib", name)
	case h.XDGDataHome != "":
		return filepath.Join(h.XDGDataHome, name)
	default:
		return filepath.Join(h.Dir, ".local/share", name)
	}
}

// Validate tells everything that is wrong at once.
func (c *Config) Validate() error {
	var wrong []hub.FieldError
	bad := func(path, format string, args ...any) {
		wrong = append(wrong, hub.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if c.DataDir == "" {
		bad("dataDir", "is empty; give --data-dir DIR")
	}
	for _, a := range []struct{ key, value string }{{"http", c.HTTP}, {"gateway", c.Gateway}, {"metrics.listen", c.Metrics.Listen}} {
		if _, ok := portOf(a.value); !ok && (a.value != "" || a.key != "metrics.listen") {
			bad(a.key, "%q is not host:port, such as :8440 or 127.0.0.1:8440", a.value)
		}
	}
	for _, a := range []struct{ key, value string }{{"advertiseGateway", c.AdvertiseGateway}, {"advertiseMember", c.AdvertiseMember}} {
		port, ok := portOf(a.value)
		if a.value != "" && (!ok || port == 0 || strings.HasPrefix(a.value, ":")) {
			bad(a.key, "%q is not host:port as others reach it, such as hub1.example:8441", a.value)
		}
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		bad("publicUrl", "%q is not an address like https://hub.example:8440", c.PublicURL)
	} else if c.PublicURL != "" && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
		// Links would lead there, and the pages know only the root.
		bad("publicUrl", "%q has more than scheme, host and port; the hub is served at the root of its address alone", c.PublicURL)
	}
	if u, err := url.Parse(c.Database); c.Database != "" && (err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql") {
		bad("database", "is not an address like postgres://user@host/name")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("tls", "cert and key go together; one of them is missing")
	}
	c.validateRest(bad)
	return hub.Invalid("The configuration is wrong.", wrong)
}

// portOf is the port of host:port; ok is false if the text is not that. A port may have the
// name of a service.
func portOf(address string) (port int, ok bool) {
	_, text, err := net.SplitHostPort(address)
	if err != nil || text == "" {
		return 0, false
	}
	port, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", text)
	return port, err == nil
}

func (c *Config) validateRest(bad func(path, format string, args ...any)) {
	if _, ok := logLevels[c.Log.Level]; !ok {
		bad("log.level", "%q is none of debug, info, warn and error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format", "%q is neither text nor json", c.Log.Format)
	}
	if f := c.DB.Failover; f != FailoverLossy && f != FailoverLossless {
		bad("db.failover", "%q is neither lossy nor lossless", f)
	}
	h := c.Cluster.Heartbeat
	if h.Interval < 100*time.Millisecond {
		bad("cluster.heartbeat.interval", "%s is too short; at least 100ms", h.Interval)
	}
	if h.ConsiderInactive < 2*h.Interval || h.ConsiderDead < h.ConsiderInactive {
		bad("cluster.heartbeat", "considerInactive (%s) must be at least twice the interval (%s), considerDead (%s) no less than that", h.ConsiderInactive, h.Interval, h.ConsiderDead)
	}
	c.validateCluster(bad)
	if c.Attempts.LostAfterTicks < 1 {
		bad("attempts.lostAfterTicks", "%d is not a number of ticks above 0", c.Attempts.LostAfterTicks)
	}
	if c.Output.Retention < 0 {
		bad("output.retention", "%s is negative", c.Output.Retention)
	}
	_, _, wrong := c.Archive.Open()
	for _, f := range wrong {
		bad(f.Path, "%s", f.Message)
	}
	if c.Sessions.Idle < time.Minute || c.Sessions.Absolute < c.Sessions.Idle {
		bad("sessions", "idle (%s) must be a minute or more, and absolute (%s) no less", c.Sessions.Idle, c.Sessions.Absolute)
	}
}

func (c *Config) validateCluster(bad func(path, format string, args ...any)) {
	if c.Cluster.Mode != ModeActiveActive && c.Cluster.Mode != ModeActivePassive {
		bad("cluster.mode", "%q is neither %s nor %s", c.Cluster.Mode, ModeActiveActive, ModeActivePassive)
	}
	if p := c.Cluster.Takeover.Policy; p != TakeoverAutomatic && p != TakeoverManual {
		bad("cluster.takeover.policy", "%q is neither %s nor %s", p, TakeoverAutomatic, TakeoverManual)
	}
	if m := c.Cluster.ExecutionMode; m != string(hub.ModeActive) && m != string(hub.ModePassive) {
		bad("cluster.executionMode", "%q is neither active nor passive", m)
	}
	roles := List(c.Cluster.Roles)
	if len(roles) == 0 {
		bad("cluster.roles", "is empty; name one or more of %s", strings.Join(hub.Roles(), ", "))
	}
	for _, r := range roles {
		if !slices.Contains(hub.Roles(), r) {
			bad("cluster.roles", "%q is none of %s", r, strings.Join(hub.Roles(), ", "))
		}
	}
	if c.Cluster.Mode == ModeActivePassive && slices.Contains(roles, hub.RoleGateway) != slices.Contains(roles, hub.RoleScheduler) {
		bad("cluster.roles", "%s: in an active-passive cluster one member serves runners and schedules; name gateway and scheduler, or neither", c.Cluster.Roles)
	}
	if c.Database == "" && len(roles) < len(hub.Roles()) {
		bad("cluster.roles", "a hub on SQLite has no other members that could do what it leaves out; set --database, or leave the roles away")
	}
}

// Modes of a cluster, and policies of takeover.
const (
	// ModeActiveActive is the default.
	ModeActiveActive  = "active-active"
	ModeActivePassive = "active-passive"
	// TakeoverAutomatic is the default.
	TakeoverAutomatic = "automatic"
	TakeoverManual    = "manual"
)

// List takes a value of names apart that are separated by commas.
func List(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// OnePort reports whether people and runners share a port. Port 0, which is any free
// one, is another each time.
func (c *Config) OnePort() bool { return c.HTTP == c.Gateway && !strings.HasSuffix(c.HTTP, ":0") }

// Loopback tells whether an address to listen on is this machine's alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// MasterKeyFile is the file of the master key.
func (c *Config) MasterKeyFile() string {
	if c.MasterKeyPath != "" {
		return c.MasterKeyPath
	}
	return filepath.Join(c.DataDir, "master.key")
}

// DatabaseFile is the SQLite file, "" when PostgreSQL is configured.
func (c *Config) DatabaseFile() string {
	if c.Database != "" {
		return ""
	}
	return c.SQLiteFile()
}

// SQLiteFile is where the data directory has its SQLite file, also when PostgreSQL is
// configured.
func (c *Config) SQLiteFile() string { return filepath.Join(c.DataDir, "fairlead.db") }

// MemberName is the member's name, the host's when none was given.
func (c *Config) MemberName() string {
	if c.Member != "" {
		return c.Member
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "hub"
}
