package logfilter

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/proto/wire"
)

// maxLine is how much of a line is held. Of a longer one the other filters than masks
// see the first piece only, and a mask finds what is up to half as long.
const maxLine = 256 << 10

// Definition is one filter as a job states it.
type Definition struct {
	Type   string            `json:"type"`
	Config map[string]string `json:"config,omitempty"`
}

// Chain is the filters of a step. It is immutable, so that all nodes share it. Nil
// filters nothing.
type Chain struct {
	masks  []mask
	stages []func() stage
}

// New makes the filters. Masks come first, whatever their place: what they hide is to be
// on no disk, not even as a captured value. level is the job's log level. The error names
// the filter and what is wrong with it.
func New(defs []Definition, level string) (*Chain, error) {
	if len(defs) == 0 {
		return nil, nil //nolint:nilnil // none is a chain that filters nothing
	}
	c := &Chain{}
	for _, d := range defs {
		if err := c.add(d, level); err != nil {
			return nil, fmt.Errorf("log filter %s: %w", d.Type, err)
		}
	}
	return c, nil
}

// Masks are those of the definitions that hide something.
func Masks(defs []Definition) []Definition {
	var out []Definition
	for _, d := range defs {
		if strings.HasPrefix(d.Type, "mask-") {
			out = append(out, d)
		}
	}
	return out
}

func (c *Chain) add(d Definition, level string) error {
	var build func() stage
	var err error
	switch d.Type {
	case "mask-passwords": // values of secure options are masked in any case
		return nil
	case "mask-log-output-regex":
		var m mask
		m, err = newMask(d.Config)
		c.masks = append(c.masks, m)
		return err
	case "key-value-data":
		build, err = newKeyValue(d.Config)
	case "key-value-data-multilines":
		build, err = newMultiLine(d.Config)
	case "quiet-output":
		build, err = newQuiet(d.Config, level)
	case "highlight-output":
		build, err = newHighlight(d.Config)
	case "render-datatype":
		build = newDatatype(d.Config)
	default:
		return errors.New("this runner does not know it: upgrade the runner")
	}
	if build != nil {
		c.stages = append(c.stages, build)
	}
	return err
}

// Stream makes the filters of one stream of one command; dst gets what comes out, with a
// word whether something was masked in it. The runner's own words are masked, and no
// more; what is captured is captured from stdout.
func (c *Chain) Stream(stream wire.Stream, dst func(p []byte, masked bool) error) *Stream {
	s := &Stream{dst: dst}
	if c == nil {
		return s
	}
	if stream <= wire.Stderr {
		for _, build := range c.stages {
			st := build()
			if _, captures := st.(capturing); stream == wire.Stdout || !captures {
				s.stages = append(s.stages, st)
			}
		}
	}
	s.masker = &lineMasker{masks: c.masks, dst: s.line}
	return s
}

// stage is a filter of one stream.
type stage interface {
	// line looks at a line, without its line break, and may change it.
	line(l *line)
	// end returns lines that the filter adds at the stream's end.
	end() []string
}

// keeping is a stage that keeps something from line to line.
type keeping interface {
	stage
	// state points to what it keeps, for encoding/json.
	state() any
}

// capturing is a stage that captures values.
type capturing interface {
	stage
	captured() map[string]string
}

// line is a line on its way through the stages.
type line struct {
	text  []byte
	quiet bool
	// before is put in front of it, a line by itself.
	before []string
}

// Stream filters one stream. Close must be called at its end. Not safe for use by
// several goroutines at once.
type Stream struct {
	masker *lineMasker // nil: nothing is filtered
	stages []stage
	dst    func(p []byte, masked bool) error

	held   []byte // of a line whose end has not come
	masked bool   // something in it was
	long   bool   // the line is too long to be held; its beginning is told, unless quiet
	quiet  bool
}

// Write filters bytes; masked says that a secret was replaced in them. It holds back a
// line that has not ended.
func (s *Stream) Write(p []byte, masked bool) error {
	if s.masker == nil {
		return s.dst(p, masked)
	}
	return s.masker.write(p, masked)
}

// Close lets go of what is held back: the stream is over.
func (s *Stream) Close() error {
	if s.masker == nil {
		return nil
	}
	if err := s.masker.flush(); err != nil {
		return err
	}
	if len(s.held) > 0 {
		if err := s.tell(false); err != nil {
			return err
		}
	}
	for i, st := range s.stages {
		for _, text := range st.end() {
			if err := s.pass(&line{text: []byte(text)}, s.stages[i+1:], true); err != nil {
				return err
			}
		}
	}
	return nil
}

// Fresh reports whether nothing is held back: the next byte begins a line.
func (s *Stream) Fresh() bool {
	return s.masker == nil || len(s.masker.held) == 0 && !s.masker.hiding && len(s.held) == 0 && !s.long
}

// Abandon drops what is held back of a line.
func (s *Stream) Abandon() {
	if s.masker == nil {
		return
	}
	s.masker.held, s.masker.masked, s.masker.hiding = s.masker.held[:0], false, false
	s.held, s.masked, s.long = s.held[:0], false, false
}

// Save returns what the filters know of the lines so far, for Load of a stream of the same
// chain. Of what is held back it says nothing.
func (s *Stream) Save() [][]byte {
	out := make([][]byte, len(s.stages))
	for i, st := range s.stages {
		if k, keeps := st.(keeping); keeps {
			out[i], _ = json.Marshal(k.state()) // of texts, always possible
		}
	}
	return out
}

// Load has the filters go on from what Save returned; nil is the beginning.
func (s *Stream) Load(saved [][]byte) error {
	if saved != nil && len(saved) != len(s.stages) {
		return fmt.Errorf("%d filters were saved, there are %d", len(saved), len(s.stages))
	}
	for i, data := range saved {
		if k, keeps := s.stages[i].(keeping); keeps {
			if err := json.Unmarshal(data, k.state()); err != nil {
				return fmt.Errorf("filter %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// Data are the values that were captured; complete once the stream is closed.
func (s *Stream) Data() map[string]string {
	var out map[string]string
	for _, st := range s.stages {
		c, ok := st.(capturing)
		if !ok {
			continue
		}
		for k, v := range c.captured() {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = v
		}
	}
	return out
}

// line takes what the masks let through: a line, or a piece of a long one.
func (s *Stream) line(p []byte, masked bool) error {
	if len(s.stages) == 0 {
		return s.dst(p, masked)
	}
	for len(p) > 0 {
		n, ended := cutLine(p, maxLine-len(s.held))
		piece := p[:n]
		p = p[n:]
		if s.long {
			s.long = !ended
			if !s.quiet {
				if err := s.dst(piece, masked); err != nil {
					return err
				}
			}
			continue
		}
		s.held, s.masked = append(s.held, piece...), s.masked || masked
		if !ended && len(s.held) < maxLine {
			continue
		}
		s.long = !ended
		if err := s.tell(ended); err != nil {
			return err
		}
	}
	return nil
}

// tell passes on what is held.
func (s *Stream) tell(ended bool) error {
	text := s.held
	if ended {
		text = text[:len(text)-1]
	}
	err := s.pass(&line{text: text}, s.stages, ended)
	s.held, s.masked = s.held[:0], false
	return err
}

// pass takes a line through stages.
func (s *Stream) pass(l *line, stages []stage, ended bool) error {
	for _, st := range stages {
		st.line(l)
		if l.quiet {
			break
		}
	}
	s.quiet = l.quiet
	for _, text := range l.before {
		if err := s.dst([]byte(text+"\n"), false); err != nil {
			return err
		}
	}
	if l.quiet {
		return nil
	}
	if ended {
		l.text = append(slices.Clip(l.text), '\n')
	}
	if len(l.text) == 0 {
		return nil
	}
	return s.dst(l.text, s.masked)
}
