package logfilter

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/fairlead/fairlead/proto/wire"
)

// What Rundeck's filters look for when nothing is said.
const (
	dataPattern       = `^RUNDECK:DATA:\s*([^\s]+?)\s*=\s*(.+)$`
	invalidKeyPattern = `\s|\$|\{|\}|\\`
)

// capture is what key-value-data and key-value-data-multilines share.
type capture struct {
	re      *regexp.Regexp
	invalid *regexp.Regexp
	// name of the value where the pattern has one group.
	name string
	log  bool
	// many: all matches of a text count, not the first alone.
	many bool
}

func newCapture(config map[string]string) (capture, error) {
	re, err := pattern(config, "regex", dataPattern)
	if err != nil {
		return capture{}, err
	}
	invalid, err := pattern(config, "invalidKeyPattern", invalidKeyPattern)
	if err != nil {
		return capture{}, err
	}
	c := capture{re: re, invalid: invalid, name: config["name"], log: truth(config["logData"])}
	switch groups := re.NumSubexp(); {
	case groups == 0:
		return c, errors.New("regex needs two groups, of key and value, or one and a name")
	case groups == 1 && c.name == "":
		return c, errors.New("regex has one group, so name must say what the value is called")
	}
	return c, nil
}

// take captures what a text holds.
func (c capture) take(text []byte, into *values) {
	most := 1
	if c.many {
		most = -1
	}
	for _, found := range c.re.FindAllSubmatch(text, most) {
		key, value := c.name, found[1]
		if len(found) > 2 {
			key, value = string(found[1]), found[2]
		}
		into.put(c.invalid.ReplaceAllString(key, "_"), string(value))
	}
}

// values are what was captured. Beyond what a record takes nothing more is kept; that
// is then told where the record is made.
type values struct {
	Data map[string]string `json:"data,omitempty"`
	Size int               `json:"size,omitempty"`
}

func (v *values) put(key, value string) {
	key, value = strings.ToValidUTF8(key, "\ufffd"), strings.ToValidUTF8(value, "\ufffd")
	if key == "" || v.Size > wire.MaxRecordData {
		return
	}
	if v.Data == nil {
		v.Data = map[string]string{}
	}
	if before, has := v.Data[key]; has {
		v.Size -= len(key) + len(before)
	}
	v.Data[key] = value
	v.Size += len(key) + len(value)
}

func (v *values) captured() map[string]string { return v.Data }

// shown is what logData adds to the log.
func (v *values) shown(log bool) []string {
	if !log || len(v.Data) == 0 {
		return nil
	}
	text, err := json.Marshal(v.Data)
	if err != nil {
		return nil // texts are always JSON
	}
	return []string{string(text)}
}

// keyValue is key-value-data.
type keyValue struct {
	capture
	values
}

func newKeyValue(config map[string]string) (func() stage, error) {
	c, err := newCapture(config)
	if err != nil {
		return nil, err
	}
	c.many = truth(config["allowMultipleMatches"])
	if !truth(config["matchSubstrings"]) && !c.many {
		c.re, err = regexp.Compile(`^(?:` + c.re.String() + `)$`)
	}
	return func() stage { return &keyValue{capture: c} }, err
}

func (k *keyValue) line(l *line) { k.take(bytes.TrimSuffix(l.text, []byte{'\r'}), &k.values) }

func (k *keyValue) state() any { return &k.values }

func (k *keyValue) end() []string { return k.shown(k.log) }

// maxText is how much output key-value-data-multilines searches.
const maxText = 1 << 20

// multiLine is key-value-data-multilines: it searches all output at its end, and a value
// may have several lines.
type multiLine struct {
	capture
	values
	hide bool
	searched
}

// searched is the text that multiLine searches at the end.
type searched struct {
	Text []byte `json:"text,omitempty"`
	Over bool   `json:"over,omitempty"`
}

func newMultiLine(config map[string]string) (func() stage, error) {
	c, err := newCapture(config)
	if err != nil {
		return nil, err
	}
	c.many = truth(config["captureMultipleKeysValues"])
	hide := truth(config["hideOutput"])
	c.re, err = regexp.Compile(`(?ms:` + c.re.String() + `)`)
	return func() stage { return &multiLine{capture: c, hide: hide} }, err
}

func (m *multiLine) line(l *line) {
	m.Over = m.Over || len(m.Text)+len(l.text)+1 > maxText
	if !m.Over {
		m.Text = append(append(m.Text, bytes.TrimSuffix(l.text, []byte{'\r'})...), '\n')
	}
	l.quiet = l.quiet || m.hide
}

// Nothing is captured before the end.
func (m *multiLine) state() any { return &m.searched }

func (m *multiLine) end() []string {
	if len(m.Text) == 0 {
		return nil
	}
	m.take(bytes.TrimSuffix(m.Text, []byte{'\n'}), &m.values)
	shown := m.shown(m.log)
	if m.Over {
		shown = append(shown, "[key-value-data-multilines searched the first MiB of the output only]")
	}
	return shown
}
