package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/hub"
)

// Prefix begins the names of all variables that the hub reads.
const Prefix = "FAIRLEAD_HUB_"

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// SlogLevel returns the level to log at.
func (c *Config) SlogLevel() slog.Level { return logLevels[c.Log.Level] }

// Field is one thing that can be configured.
type Field struct {
	Key, Env, Flag, Help string
	Secret               bool
	// Bool fields are flags without a value.
	Bool bool
	// Value as text, and where it came from: default, file, FAIRLEAD_HUB_X or --flag.
	Value, Source string

	to reflect.Value
}

// Shown is the value as it may be shown to anyone.
func (f *Field) Shown() string {
	if f.Secret && f.Value != "" {
		return "(hidden)"
	}
	return f.Value
}

// Fields lists everything that can be configured, in the order of the struct.
func Fields(c *Config) []Field {
	return walk(nil, "", reflect.ValueOf(c).Elem())
}

func walk(out []Field, prefix string, v reflect.Value) []Field {
	for i := range v.NumField() {
		tag, value := v.Type().Field(i).Tag, v.Field(i)
		key := prefix + tag.Get("key")
		if value.Kind() == reflect.Struct {
			out = walk(out, key+".", value)
			continue
		}
		out = append(out, Field{
			Key: key, Env: envName(key), Flag: tag.Get("flag"), Help: tag.Get("help"),
			Secret: tag.Get("secret") != "", Bool: value.Kind() == reflect.Bool,
			Value: format(value), Source: "default", to: value,
		})
	}
	return out
}

// envName turns cluster.heartbeat.considerDead into
// FAIRLEAD_HUB_CLUSTER_HEARTBEAT_CONSIDER_DEAD.
func envName(key string) string {
	var b strings.Builder
	b.WriteString(Prefix)
	for _, r := range key {
		switch {
		case r == '.':
			b.WriteByte('_')
		case unicode.IsUpper(r):
			b.WriteByte('_')
			b.WriteRune(r)
		default:
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

func format(v reflect.Value) string {
	if d, ok := reflect.TypeAssert[time.Duration](v); ok {
		return d.String()
	}
	return fmt.Sprint(v.Interface())
}

// set parses text into the field.
func (f *Field) set(text, source string) error {
	switch f.to.Interface().(type) {
	case string:
		f.to.SetString(text)
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		f.to.SetBool(b)
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration such as 10s or 720h", text)
		}
		f.to.SetInt(int64(d))
	case int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		f.to.SetInt(n)
	default:
		return fmt.Errorf("a %s cannot be configured", f.to.Type())
	}
	f.Value, f.Source = format(f.to), source
	return nil
}

// Source is where configuration comes from beside the defaults.
type Source struct {
	// Flags that were given, by their name.
	Flags map[string]string
	// Environ as os.Environ gives it.
	Environ []string
	// File is the YAML file; "" for none.
	File string
}

// Load fills c, which holds the defaults, and returns each value with its source. All
// that is wrong is told at once; Validate is the caller's to call.
func Load(c *Config, s Source) ([]Field, error) {
	l := &loader{fields: Fields(c)}
	if s.File != "" {
		if err := l.file(s.File); err != nil {
			return nil, err
		}
	}
	l.environment(s.Environ)
	for name, text := range s.Flags {
		i := slices.IndexFunc(l.fields, func(f Field) bool { return f.Flag == name })
		if i < 0 {
			continue // a flag of the command itself
		}
		l.set(&l.fields[i], text, "--"+name)
	}
	slices.SortFunc(l.wrong, func(a, b hub.FieldError) int { return strings.Compare(a.Path, b.Path) })
	return l.fields, hub.Invalid("The configuration is wrong.", l.wrong)
}

type loader struct {
	fields []Field
	wrong  []hub.FieldError
	seen   map[string]bool // keys of the file
}

func (l *loader) bad(path, format string, args ...any) {
	l.wrong = append(l.wrong, hub.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) set(f *Field, text, source string) {
	if err := f.set(text, source); err != nil {
		if f.Secret {
			err = fmt.Errorf("cannot be read")
		}
		l.bad(source, "%s: %v", f.Key, err)
	}
}

// environment takes the variables with our prefix. An empty one counts as unset, since
// that is how a unit file or a shell clears it.
func (l *loader) environment(environ []string) {
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) || text == "" || name == Prefix+"CONFIG" {
			continue
		}
		if i := slices.IndexFunc(l.fields, func(f Field) bool { return f.Env == name }); i >= 0 {
			l.set(&l.fields[i], text, name)
			continue
		}
		base, ok := strings.CutSuffix(name, "_FILE")
		i := slices.IndexFunc(l.fields, func(f Field) bool { return f.Secret && f.Env == base })
		if (!ok || i < 0) && ofKubernetes(name, text) {
			continue
		}
		if !ok || i < 0 {
			l.bad(name, "is not known%s", l.nearest(name, func(f Field) string { return f.Env }))
			continue
		}
		content, err := os.ReadFile(text)
		if err != nil {
			l.bad(name, "%v", err)
			continue
		}
		secret := strings.TrimSpace(string(content))
		if secret == "" {
			// Not as an empty variable: who names a file means to give a secret, and the hub
			// would start without it, on SQLite or under a new master key.
			l.bad(name, "%s is empty; write the secret into it, or leave the variable away", text)
			continue
		}
		l.set(&l.fields[i], secret, name)
	}
}

// Kubernetes gives every container variables of the services beside it. One that is called
// fairlead-hub, or begins so, has them begin with our prefix: FAIRLEAD_HUB_SERVICE_HOST. They
// are no settings, and a hub that took them for mistyped ones would never start there.
var (
	serviceName = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	servicePort = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func ofKubernetes(name, value string) bool {
	return serviceName.MatchString(name) || strings.HasSuffix(name, "_PORT") && servicePort.MatchString(value)
}

// file takes a YAML file of nested keys.
func (l *loader) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return hub.Errorf(hub.CodeInvalid, "The configuration file cannot be read: %v", err)
	}
	in := yaml.NewDecoder(bytes.NewReader(text))
	for documents := 0; ; documents++ {
		var root yaml.Node
		err := in.Decode(&root)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return hub.Errorf(hub.CodeInvalid, "The configuration file %s is not YAML: %v", path, err)
		case documents > 0:
			l.bad(fmt.Sprintf("%s:%d", path, root.Line), "a second YAML document (---) begins here; put all keys into one")
			return nil
		case len(root.Content) > 0:
			l.node(path, "", root.Content[0])
		}
	}
}

func (l *loader) node(file, key string, n *yaml.Node) {
	at := fmt.Sprintf("%s:%d", file, n.Line)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			child := n.Content[i].Value
			if key != "" {
				child = key + "." + child
			}
			l.once(child, fmt.Sprintf("%s:%d", file, n.Content[i].Line))
			l.node(file, child, n.Content[i+1])
		}
	case yaml.ScalarNode:
		i := slices.IndexFunc(l.fields, func(f Field) bool { return f.Key == key })
		if i < 0 {
			l.bad(at, "%s is not known%s", key, l.nearest(key, func(f Field) string { return f.Key }))
			return
		}
		if n.Tag != "!!null" {
			l.set(&l.fields[i], n.Value, at)
		}
	default:
		l.bad(at, "%s must be a plain value", key)
	}
}

// once tells a key that was given before: as log: {level: x}, and as log.level: y beside it.
func (l *loader) once(key, at string) {
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	if l.seen[key] {
		l.bad(at, "%s is given twice", key)
	}
	l.seen[key] = true
}

// nearest suggests a known name for one that is not, or "" when none is near.
func (l *loader) nearest(name string, of func(Field) string) string {
	best, distance := "", len(name)/3+1
	for _, f := range l.fields {
		if d := editDistance(name, of(f)); d < distance {
			best, distance = of(f), d
		}
	}
	if best == "" {
		return "; `fairlead-hub config show` lists all"
	}
	return "; did you mean " + best + "?"
}

// editDistance is Levenshtein's, over bytes: names are ASCII.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := previous
			if a[i] != b[j] {
				cost++
			}
			previous = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// FileFromEnvironment is the configuration file that the environment names, "" for none.
func FileFromEnvironment(environ []string) string {
	for _, entry := range environ {
		if path, ok := strings.CutPrefix(entry, Prefix+"CONFIG="); ok {
			return path
		}
	}
	return ""
}
