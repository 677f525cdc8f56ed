package api

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"strconv"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/terminal"
	"github.com/fairlead/fairlead/proto/wire"
)

// htmlHead begins a log as a page that stands alone: no script, nothing from elsewhere, and
// a policy that says so to the browser.
const htmlHead = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>%s</title>
<style>
:root{--0:#24292e;--1:#b31d28;--2:#176f2c;--3:#8a6100;--4:#0b55c4;--5:#7a35b5;--6:#0a6c74;--7:#6a737d;--8:#586069;--9:#d1242f;--10:#1a7f37;--11:#9a6700;--12:#0969da;--13:#8250df;--14:#1b7c83;--15:#57606a;--quiet:#6a737d}
@media(prefers-color-scheme:dark){:root{--0:#8b949e;--1:#ff7b72;--2:#56d364;--3:#e3b341;--4:#79c0ff;--5:#d2a8ff;--6:#76e3ea;--7:#c9d1d9;--8:#8b949e;--9:#ffa198;--10:#7ee787;--11:#f2cc60;--12:#a5d6ff;--13:#e2c5ff;--14:#b3f0ff;--15:#f0f6fc;--quiet:#8b949e}}
body{font:14px/1.5 system-ui,sans-serif;margin:16px}
pre{font:12px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
h1{font-size:18px}
pre b{color:var(--quiet);font-weight:normal;user-select:none}
.e{border-left:2px solid var(--1);padding-left:4px}
.s{color:var(--quiet);font-style:italic}
.k{outline:1px solid;font-size:90%%}
%s</style>
<h1>%s</h1>
<pre>
`

// maxHTMLLine bounds what is put together of a line that came in pieces, in bytes.
const maxHTMLLine = 64 << 10

// logPage writes a log as HTML. Lines that come in pieces are put together, since what
// overwrites a line comes behind it; it holds those alone.
type logPage struct {
	e    *hub.Execution
	buf  []byte
	open map[logCell]*openText
	// order is that of the cells whose lines are open.
	order  []logCell
	styles map[logCell]terminal.Style
	// now is what each node does, without a stream: of what it did before nothing is held.
	now map[int]logCell
}

// logCell is where lines come from, one behind the other.
type logCell struct {
	node, step, try int
	stream          wire.Stream
}

// openText is a line that has not ended: its first piece, and the text of all.
type openText struct {
	first output.Line
	text  []byte
}

// writeHTML writes the page of a log.
func (s *server) writeHTML(ctx context.Context, e *hub.Execution, q output.Query, out *streamWriter) error {
	p := &logPage{e: e, open: make(map[logCell]*openText), styles: make(map[logCell]terminal.Style), now: make(map[int]logCell)}
	title := html.EscapeString(visible("#" + strconv.FormatInt(e.Number, 10) + " " + e.JobName))
	if err := out.write(fmt.Appendf(nil, htmlHead, title, colourClasses(), title)); err != nil {
		return err
	}
	for batch, err := range s.Output.Read(ctx, q) {
		if err != nil {
			return err
		}
		if p.e, err = s.naming(ctx, p.e, batch.Lines); err != nil {
			return err
		}
		for i := range batch.Lines {
			p.take(&batch.Lines[i])
		}
		if err := out.write(p.buf); err != nil {
			return err
		}
		p.buf = p.buf[:0]
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, c := range p.order {
		p.line(c, &p.open[c].first, p.open[c].text)
	}
	return out.write(append(p.buf, "</pre>\n</html>\n"...))
}

// take adds a line, or a piece of one.
func (p *logPage) take(l *output.Line) {
	c := logCell{l.Node, l.Step, l.Try, l.Stream}
	p.turn(logCell{node: l.Node, step: l.Step, try: l.Try})
	open := p.open[c]
	partial := l.Flags&wire.FlagPartial != 0
	switch {
	case open == nil && !partial:
		p.line(c, l, l.Data)
	case open == nil:
		p.open[c] = &openText{first: *l, text: bytes.Clone(l.Data)}
		p.open[c].first.Data = nil
		p.order = append(p.order, c)
	default:
		open.text = append(open.text, l.Data...)
		if !partial || len(open.text) > maxHTMLLine {
			p.end(c)
		}
	}
}

// turn notes what a node does. What it left open before has no end, and comes first.
func (p *logPage) turn(to logCell) {
	before, known := p.now[to.node]
	if before == to && known {
		return
	}
	p.now[to.node] = to
	if !known {
		return
	}
	for before.stream = range wire.Stream(4) { // it has two bits, whatever they say
		p.end(before)
		delete(p.styles, before)
	}
}

// end writes the line of a cell as far as it came, if one is open.
func (p *logPage) end(c logCell) {
	if open := p.open[c]; open != nil {
		p.line(c, &open.first, open.text)
		delete(p.open, c)
		p.forget(c)
	}
}

func (p *logPage) forget(c logCell) {
	for i := range p.order {
		if p.order[i] == c {
			p.order = append(p.order[:i], p.order[i+1:]...)
			return
		}
	}
}

// line writes one line.
func (p *logPage) line(c logCell, l *output.Line, text []byte) {
	runs, after := terminal.Line(text, p.styles[c])
	if after == (terminal.Style{}) {
		delete(p.styles, c)
	} else {
		p.styles[c] = after
	}
	p.buf = append(p.buf, `<b title="`...)
	p.buf = l.Time.UTC().AppendFormat(p.buf, timeFormat)
	p.buf = append(p.buf, `">`...)
	p.buf = append(p.buf, html.EscapeString(visible(nodeName(p.e, l.Node)))...)
	p.buf = append(p.buf, `</b> <bdi`...)
	switch l.Stream {
	case wire.Stderr:
		p.buf = append(p.buf, ` class="e"`...)
	case wire.System:
		p.buf = append(p.buf, ` class="s"`...)
	}
	p.buf = append(p.buf, '>')
	for i := range runs {
		p.buf = appendRun(p.buf, &runs[i])
	}
	p.buf = append(p.buf, "</bdi>\n"...)
}

// visible is a name without what could hide in it.
func visible(name string) string {
	runs, _ := terminal.Line([]byte(name), terminal.Style{})
	var b []byte
	for _, r := range runs {
		b = append(b, r.Text...)
	}
	return string(b)
}

// colourClasses are the sixteen colours that follow the reader's theme.
func colourClasses() string {
	var b []byte
	for i := range 16 {
		b = fmt.Appendf(b, ".f%d{color:var(--%d)}.g%d{background:var(--%d)}\n", i, i, i, i)
	}
	return string(b)
}

func appendRun(b []byte, r *terminal.Run) []byte {
	class, style := look(r)
	if class == nil && style == nil {
		return append(b, html.EscapeString(r.Text)...)
	}
	b = append(b, "<span"...)
	if class != nil {
		b = append(append(append(b, ` class="`...), class[1:]...), '"')
	}
	if style != nil {
		b = append(append(append(b, ` style="`...), style...), '"')
	}
	b = append(append(b, '>'), html.EscapeString(r.Text)...)
	return append(b, "</span>"...)
}

// look is how a run looks: classes, each behind a blank, and declarations.
func look(r *terminal.Run) (class, style []byte) {
	if r.Code {
		class = append(class, " k"...)
	}
	s := &r.Style
	front, back := s.Foreground, s.Background
	if s.Inverted {
		front, back = back, front
		if front == 0 {
			style = append(style, "color:Canvas;"...)
		}
		if back == 0 {
			style = append(style, "background:CanvasText;"...)
		}
	}
	paint := func(c terminal.Colour, prefix, property string) {
		switch n := c.Palette(); {
		case c == 0:
		case n >= 0 && n < 16:
			class = fmt.Appendf(class, " %s%d", prefix, n)
		default:
			red, green, blue := c.RGB()
			style = fmt.Appendf(style, "%s:#%02x%02x%02x;", property, red, green, blue)
		}
	}
	paint(front, "f", "color")
	paint(back, "g", "background")
	for _, d := range []struct {
		on   bool
		text string
	}{{s.Bold, "font-weight:bold;"}, {s.Faint, "opacity:.7;"}, {s.Italic, "font-style:italic;"}} {
		if d.on {
			style = append(style, d.text...)
		}
	}
	switch {
	case s.Underline && s.Strike:
		style = append(style, "text-decoration:underline line-through;"...)
	case s.Underline:
		style = append(style, "text-decoration:underline;"...)
	case s.Strike:
		style = append(style, "text-decoration:line-through;"...)
	}
	return class, style
}
