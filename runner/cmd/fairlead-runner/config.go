package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/spool"
)

// config is what a runner can be told. docs/runner.md has the table.
type config struct {
	DataDir   string   `yaml:"dataDir"`
	Slots     int      `yaml:"slots"`
	Gateways  []string `yaml:"gateways"`
	Drain     drain    `yaml:"drain"`
	Spool     spoolCfg `yaml:"spool"`
	Retention retained `yaml:"retention"`
	Identity  identity `yaml:"identity"`
	Log       logCfg   `yaml:"log"`
}

type drain struct {
	Timeout duration `yaml:"timeout"`
}

type spoolCfg struct {
	MaxUnacknowledged int64  `yaml:"maxUnacknowledged"`
	Full              string `yaml:"full"`
}

// What becomes of output while the spool is full.
const (
	fullBackpressure = "backpressure" // the command waits
	fullTruncate     = "truncate"     // it is dropped, and the log says how much
)

type retained struct {
	Time    duration `yaml:"time"`
	Percent int      `yaml:"percent"`
}

type identity struct {
	HostBinding string `yaml:"hostBinding"`
}

type logCfg struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// duration reads "30s", "24h".
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration: write it as 30s, 10m or 24h", text)
	}
	*d = duration(v)
	return nil
}

const envPrefix = "FAIRLEAD_RUNNER"

func defaults(dataDir string) config {
	return config{
		DataDir: dataDir, Slots: runner.DefaultSlots, Drain: drain{duration(runner.DefaultDrainTimeout)},
		Spool:     spoolCfg{spool.DefaultMaxUnacknowledged, fullBackpressure},
		Retention: retained{duration(spool.DefaultRetention), spool.DefaultRetentionPercent},
		Identity:  identity{string(runner.BindAuto)}, Log: logCfg{"info", "text"},
	}
}

// defaultDataDir is where a service keeps its state, or a person their own.
func defaultDataDir(root bool, getenv func(string) string) string {
	if root {
		return "/var/lib/fairlead-runner"
	}
	base := getenv("XDG_DATA_HOME")
	if base == "" {
		base = filepath.Join(cmp.Or(getenv("HOME"), "."), ".local", "share")
	}
	return filepath.Join(base, "fairlead-runner")
}

// load reads defaults, then the file, then the environment, then flags.
func (p *program) load() (*config, error) {
	c := defaults(defaultDataDir(p.root, p.getenv))
	if p.file != "" {
		data, err := os.ReadFile(p.file)
		if err != nil {
			return nil, usageError{fmt.Errorf("reading the configuration: %w", err)}
		}
		if err := c.read(data); err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", p.file, err)}
		}
	}
	if err := p.environment(reflect.ValueOf(&c).Elem(), envPrefix); err != nil {
		return nil, usageError{err}
	}
	if err := p.unknownVariables(); err != nil {
		return nil, usageError{err}
	}
	c.DataDir = cmp.Or(p.flags.dataDir, c.DataDir)
	c.Log.Level = cmp.Or(p.flags.logLevel, c.Log.Level)
	c.Log.Format = cmp.Or(p.flags.logFormat, c.Log.Format)
	if err := c.validate(); err != nil {
		return nil, usageError{err}
	}
	// Shims have a working directory of their own.
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory: %w", err)
	}
	c.DataDir = dir
	return &c, nil
}

// read takes a YAML document over c. Unknown keys are errors, since a key that is
// passed over is a promise that is not kept.
func (c *config) read(data []byte) error {
	var known map[string]any
	if err := yaml.Load(data, &known); err != nil {
		return err
	}
	if err := unknownKeys(reflect.TypeOf(*c), known, ""); err != nil {
		return err
	}
	if len(known) == 0 {
		return nil
	}
	return yaml.Load(data, c, yaml.WithKnownFields())
}

// unknownKeys names every key that the struct does not have, with the nearest one.
func unknownKeys(t reflect.Type, given map[string]any, path string) error {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		fields[f.Tag.Get("yaml")] = f.Type
	}
	var problems []error
	for key, value := range given {
		field, ok := fields[key]
		if !ok {
			problems = append(problems, fmt.Errorf("%s%s is not known; did you mean %s%s?", path, key, path, nearest(key, fields)))
			continue
		}
		if inner, ok := value.(map[string]any); ok && field.Kind() == reflect.Struct {
			problems = append(problems, unknownKeys(field, inner, path+key+"."))
		}
	}
	return errors.Join(problems...)
}

func nearest(key string, fields map[string]reflect.Type) string {
	best, bestDistance := "", 1<<30
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if d := distance(strings.ToLower(key), strings.ToLower(name)); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is how many letters must change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// environment sets fields from variables whose names follow from the struct:
// drain.timeout is FAIRLEAD_RUNNER_DRAIN_TIMEOUT.
func (p *program) environment(v reflect.Value, prefix string) error {
	for i := range v.NumField() {
		field, key := v.Field(i), v.Type().Field(i).Tag.Get("yaml")
		name := prefix + "_" + upperSnake(key)
		if field.Kind() == reflect.Struct {
			if err := p.environment(field, name); err != nil {
				return err
			}
			continue
		}
		text := p.getenv(name)
		if text == "" {
			continue
		}
		if err := set(field, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// unknownVariables tells variables with our prefix that say nothing to us: a mistyped one
// is a setting that its author believes in.
func (p *program) unknownVariables() error {
	known := map[string]reflect.Type{envPrefix + "_HUB": nil, envPrefix + "_TOKEN": nil, takeoverFD: nil}
	variables(known, reflect.TypeFor[config](), envPrefix)
	var problems []error
	for _, entry := range p.environ {
		name, text, _ := strings.Cut(entry, "=")
		if _, ok := known[name]; ok || text == "" || !strings.HasPrefix(name, envPrefix+"_") || ofKubernetes(name, text) {
			continue
		}
		problems = append(problems, fmt.Errorf("%s is not known; did you mean %s?", name, nearest(name, known)))
	}
	return errors.Join(problems...)
}

func variables(known map[string]reflect.Type, t reflect.Type, prefix string) {
	for f := range t.Fields() {
		name := prefix + "_" + upperSnake(f.Tag.Get("yaml"))
		if f.Type.Kind() == reflect.Struct {
			variables(known, f.Type, name)
			continue
		}
		known[name] = f.Type
	}
}

// Kubernetes gives every container variables of the services beside it; those of one that
// is called fairlead-runner begin with our prefix and are no settings.
var (
	serviceName = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	servicePort = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func ofKubernetes(name, value string) bool {
	return serviceName.MatchString(name) || strings.HasSuffix(name, "_PORT") && servicePort.MatchString(value)
}

func set(field reflect.Value, text string) error {
	if d, ok := reflect.TypeAssert[*duration](field.Addr()); ok {
		return d.UnmarshalText([]byte(text))
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Slice:
		field.Set(reflect.ValueOf(strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })))
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		field.SetInt(n)
	}
	return nil
}

func upperSnake(camel string) string {
	var b strings.Builder
	for _, r := range camel {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

func (c *config) validate() error {
	var problems []error
	say := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	var level slog.Level
	say(c.DataDir != "", "dataDir must name a directory")
	say(c.Slots >= 1 && c.Slots <= 10_000, "slots must be 1 to 10000, not %d", c.Slots)
	for _, address := range c.Gateways {
		host, port, err := net.SplitHostPort(address)
		n, parsed := strconv.ParseUint(port, 10, 16)
		say(err == nil && host != "" && parsed == nil && n > 0, "gateways: %q is not host:port, such as hub1.example:8441", address)
	}
	say(c.Spool.MaxUnacknowledged >= 16<<20, "spool.maxUnacknowledged must be at least %d bytes, not %d", 16<<20, c.Spool.MaxUnacknowledged)
	say(c.Spool.Full == fullBackpressure || c.Spool.Full == fullTruncate,
		"spool.full must be %s or %s, not %q", fullBackpressure, fullTruncate, c.Spool.Full)
	say(c.Retention.Percent >= 1 && c.Retention.Percent <= 90, "retention.percent must be 1 to 90, not %d", c.Retention.Percent)
	say(c.Identity.HostBinding == string(runner.BindAuto) || c.Identity.HostBinding == string(runner.BindStrict),
		"identity.hostBinding must be auto or strict, not %q", c.Identity.HostBinding)
	say(level.UnmarshalText([]byte(c.Log.Level)) == nil, "log.level must be debug, info, warn or error, not %q", c.Log.Level)
	say(c.Log.Format == "text" || c.Log.Format == "json", "log.format must be text or json, not %q", c.Log.Format)
	return errors.Join(problems...)
}

func (p *program) logger(c *config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // validated
	options := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}
