package api

import (
	"context"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
)

// LogFilter narrows a log.
type LogFilter struct {
	Node   []string  `query:"node,explode" maxItems:"1000" doc:"Lines of this node alone; repeated: of these"`
	Step   int       `query:"step" minimum:"-1" maximum:"100000" default:"-1" doc:"Lines of the step at this position alone, from 0, with its error handler; -1: all"`
	Stream []string  `query:"stream" enum:"stdout,stderr,system" doc:"Lines of these streams alone; system is what the runner says about a step"`
	Since  time.Time `query:"since" doc:"Lines from this time on, by the runner's clock"`
	Until  time.Time `query:"until" doc:"Lines before this time, by the runner's clock"`
}

type logInput struct {
	ExecutionPath
	LogFilter
	Format   string `query:"format" enum:"text,ndjson,html" default:"text" doc:"text: what the commands printed, byte for byte, but for a newline where another node prints into an unfinished line; ndjson: one LogLine a line, and at the end one line {\"end\": LogEnd}; html: a page that stands alone, as a terminal would show it, always as a file"`
	Follow   bool   `query:"follow" doc:"Stay until the execution has ended"`
	Cursor   string `query:"cursor" maxLength:"60000" doc:"Lines after this position"`
	Back     int64  `query:"back" minimum:"0" maximum:"100000" doc:"Begin so many lines in front of the cursor, counted over what the other parameters leave"`
	Line     int64  `query:"line" minimum:"0" doc:"First line, counted from 0 over what the other parameters leave"`
	Lines    int64  `query:"lines" minimum:"0" doc:"How many lines at most; 0: all"`
	Tail     int64  `query:"tail" minimum:"0" maximum:"100000" doc:"The last so many lines alone"`
	Download bool   `query:"download" doc:"As a file to save, named after the job, the execution's number and the node"`
	Bytes    string `query:"bytes" maxLength:"50" doc:"A range of the text format, FIRST-LAST or FIRST-, from 0"`
}

func (s *server) logRoutes() {
	register(s, op{method: http.MethodGet, path: "/executions/{id}/log", id: "get-log", summary: "Read or follow the log", right: read, gives: []string{"text/plain", "application/x-ndjson", "text/html"}}, s.getLog)
	register(s, op{method: http.MethodGet, path: "/executions/{id}/log/search", id: "search-log", summary: "Search the log", right: read}, s.searchLog)
	register(s, op{method: http.MethodGet, path: "/executions/{id}/log/failure", id: "get-log-failure", summary: "Find the first failure in the log", right: read}, s.logFailure)
	register(s, op{method: http.MethodGet, path: "/executions/{id}/log/export", id: "export-log", summary: "Export the log with its proof", right: read, gives: []string{"application/x-ndjson"}}, s.exportLog)
}

// logQuery turns the input into a query, and finds the execution it is about.
func (s *server) logQuery(ctx context.Context, in *logInput) (*hub.Execution, output.Query, error) {
	q := output.Query{Cursor: in.Cursor, FirstLine: in.Line, Lines: in.Lines, Tail: in.Tail, Back: in.Back, Follow: in.Follow}
	if in.Line > 0 && (in.Tail > 0 || in.Back > 0) || in.Tail > 0 && in.Back > 0 {
		return nil, q, hub.Invalid("The log can begin at one place alone.", []hub.FieldError{{Path: "query", Message: "give one of line, tail and back"}})
	}
	e, err := s.logFilter(ctx, in.ID, &in.LogFilter, &q)
	return e, q, err
}

// logFilter finds the execution that a query is about and narrows the query.
func (s *server) logFilter(ctx context.Context, id string, in *LogFilter, q *output.Query) (*hub.Execution, error) {
	q.OrganisationID = principal(ctx).OrganisationID
	e, err := s.Store.GetExecution(ctx, q.OrganisationID, id)
	if err != nil {
		return nil, err
	}
	q.ExecutionID, q.Since, q.Until = e.ID, in.Since, in.Until
	var wrong []hub.FieldError
	if in.Step >= 0 {
		q.Step = &in.Step
		if in.Step >= len(e.Definition.Workflow.Steps) {
			wrong = append(wrong, hub.FieldError{Path: "query.step", Message: "the workflow has no such step; it has " + strconv.Itoa(len(e.Definition.Workflow.Steps))})
		}
	}
	if !in.Since.IsZero() && !in.Until.IsZero() && !in.Since.Before(in.Until) {
		wrong = append(wrong, hub.FieldError{Path: "query.until", Message: "later than since"})
	}
	for _, word := range in.Stream {
		stream, ok := streamOf(word)
		if !ok {
			wrong = append(wrong, hub.FieldError{Path: "query.stream", Message: "stdout, stderr or system"})
		}
		q.Streams = append(q.Streams, stream)
	}
	if err := hub.Invalid("The log cannot be narrowed so.", wrong); err != nil {
		return nil, err
	}
	for _, name := range in.Node {
		i := slices.IndexFunc(e.Nodes, func(n hub.Node) bool { return n.Name == name })
		if i < 0 {
			return nil, hub.Errorf(hub.CodeNotFound, "Execution %d does not run on a node %q.", e.Number, name)
		}
		q.Nodes = append(q.Nodes, i)
	}
	return e, nil
}

func (s *server) getLog(ctx context.Context, in *logInput) (*huma.StreamResponse, error) {
	e, q, err := s.logQuery(ctx, in)
	if err != nil {
		return nil, err
	}
	want, err := byteRange(in)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		r = r.WithContext(hc.Context())
		w.Header().Set("Content-Disposition", disposition(in, e))
		switch in.Format {
		case "html":
			s.stream(w, r, "text/html; charset=utf-8", false, func(ctx context.Context, out *streamWriter) error {
				return s.writeHTML(ctx, e, q, out)
			})
			return
		case "ndjson":
			s.stream(w, r, "application/x-ndjson", true, func(ctx context.Context, out *streamWriter) error {
				return s.writeRecords(ctx, e, q, out)
			})
			return
		}
		s.stream(w, r, "text/plain; charset=utf-8", false, func(ctx context.Context, out *streamWriter) error {
			return s.writeText(ctx, q, out, want)
		})
	}}, nil
}

// disposition names the file that a browser saves the log as.
func disposition(in *logInput, e *hub.Execution) string {
	kind, ending := "inline", "log"
	// A page made of what others printed is never shown as one of the hub's own.
	if in.Download || in.Format == "html" {
		kind = "attachment"
	}
	if in.Format == "ndjson" || in.Format == "html" {
		ending = in.Format
	}
	job := "execution"
	if e.JobID != "" {
		job = fileName(e.JobName)
	}
	name := job + "-" + strconv.FormatInt(e.Number, 10)
	switch len(in.Node) {
	case 0:
	case 1:
		name += "-" + fileName(in.Node[0])
	default:
		name += "-" + strconv.Itoa(len(in.Node)) + "-nodes"
	}
	if in.Step >= 0 {
		name += "-step" + strconv.Itoa(in.Step+1)
	}
	return mime.FormatMediaType(kind, map[string]string{"filename": name + "." + ending})
}

// maxFileName bounds one part of a file's name, in runes: file systems take 255 bytes
// of it all.
const maxFileName = 60

// fileName is a name as part of a file's, of a long one its end: a job's group stands
// first and says less. What a file system, a shell or a header would take for something
// else becomes "_", and so does what turns the direction of text and hides an ending.
func fileName(name string) string {
	runes := []rune(name)
	runes = runes[max(0, len(runes)-maxFileName):]
	for i, r := range runes {
		if !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) && r != '-' && (r != '.' || i == 0) {
			runes[i] = '_'
		}
	}
	return string(runes)
}

// byteRange reads the range of the text format.
func byteRange(in *logInput) (output.ByteRange, error) {
	all := output.ByteRange{End: -1}
	if in.Bytes == "" {
		return all, nil
	}
	from, to, found := strings.Cut(in.Bytes, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	want := output.ByteRange{First: first, End: -1}
	if err == nil && to != "" {
		var last int64
		last, err = strconv.ParseInt(to, 10, 64)
		want.End = last + 1
		found = found && last >= first && last < math.MaxInt64
	}
	if err != nil || !found || first < 0 || in.Format != "text" {
		return all, hub.Invalid("The byte range cannot be read.", []hub.FieldError{{Path: "query.bytes", Message: "FIRST-LAST or FIRST-, from 0, with format=text"}})
	}
	return want, nil
}

// writeText writes the text of lines, of which only a range.
func (s *server) writeText(ctx context.Context, q output.Query, out *streamWriter, want output.ByteRange) error {
	for part, err := range s.Output.ReadText(ctx, q, want) {
		if err != nil {
			return err
		}
		if err := out.write(part); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// writeRecords writes one line as JSON for each line of output, and the end.
func (s *server) writeRecords(ctx context.Context, e *hub.Execution, q output.Query, out *streamWriter) error {
	end := LogEnd{Cursor: q.Cursor}
	var told int64
	var buf []byte
	for batch, err := range s.Output.Read(ctx, q) {
		if err != nil {
			return err
		}
		if e, err = s.naming(ctx, e, batch.Lines); err != nil {
			return err
		}
		buf = buf[:0]
		for i := range batch.Lines {
			buf = appendLine(buf, e, &batch.Lines[i], batch.CursorAt(i))
			buf = append(buf, '\n')
		}
		told += int64(len(batch.Lines))
		end.Cursor = batch.Cursor()
		if err := out.write(buf); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	end.More = q.Lines > 0 && told >= q.Lines
	if err := s.finish(ctx, e, &end); err != nil {
		return err
	}
	return out.write([]byte(`{"end":` + jsonText(end) + "}\n"))
}

// finish fills in how the execution is now.
func (s *server) finish(ctx context.Context, e *hub.Execution, end *LogEnd) error {
	now, err := s.Store.ExecutionRow(ctx, e.OrganisationID, e.ID)
	if err != nil {
		return err
	}
	end.Status, end.Outcome, end.LogComplete = shown(&now.Execution), Status(now.Outcome), now.LogComplete
	return nil
}
