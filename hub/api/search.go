package api

import (
	"context"
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
)

type searchLogInput struct {
	ExecutionPath
	LogFilter
	Query      string `query:"q" required:"true" minLength:"1" maxLength:"1000" doc:"What to look for"`
	Regex      bool   `query:"regex" doc:"q is a regular expression in the syntax of RE2"`
	IgnoreCase bool   `query:"ignoreCase" doc:"Capital and small letters are the same"`
	Context    int    `query:"context" minimum:"0" maximum:"20" doc:"How many lines to tell around each"`
	Limit      int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many lines at most"`
	Cursor     string `query:"cursor" maxLength:"60000" doc:"Look behind this position"`
}

// searchWithin is how long one page of a search may take: a client is to see that it
// goes on, and proxies are patient for longer.
const searchWithin = 2 * time.Second

func (s *server) searchLog(ctx context.Context, in *searchLogInput) (*body[LogSearch], error) {
	q := output.Query{}
	e, err := s.logFilter(ctx, in.ID, &in.LogFilter, &q)
	if err != nil {
		return nil, err
	}
	found, err := s.Output.Search(ctx, &output.Search{
		OrganisationID: q.OrganisationID, ExecutionID: q.ExecutionID, Filter: q.Filter, Cursor: in.Cursor,
		Pattern: output.Pattern{Text: in.Query, Regex: in.Regex, IgnoreCase: in.IgnoreCase},
		Limit:   in.Limit, Context: in.Context, Within: searchWithin,
	})
	if err != nil {
		return nil, err
	}
	return &body[LogSearch]{Body: LogSearch{
		Items: mapped(found.Matches, func(m output.Match) LogMatch { return toLogMatch(e, &m) }),
		Next:  found.Next, Reached: found.Reached, Lines: found.Lines,
	}}, nil
}

func toLogMatch(e *hub.Execution, m *output.Match) LogMatch {
	l := &m.Line
	out := LogMatch{
		Attempt: m.AttemptID, Before: m.Before, Cursor: m.After, Node: nodeName(e, l.Node), Step: l.Step, Try: l.Try,
		Stream: streamName(l.Stream), Time: Time(l.Time), Line: l.N, Cut: m.Cut,
		Ahead: nearLines(e, m.Ahead), Behind: nearLines(e, m.Behind),
	}
	from := 0
	add := func(to int, match bool) {
		if to > from {
			out.Parts = append(out.Parts, LogPart{Text: strings.ToValidUTF8(string(l.Data[from:to]), "\ufffd"), Match: match})
		}
		from = to
	}
	for _, mark := range m.Marks {
		add(mark[0], false)
		add(mark[1], true)
	}
	add(len(l.Data), false)
	out.Parts = list(out.Parts)
	return out
}

func (s *server) logFailure(ctx context.Context, in *ExecutionPath) (*body[LogFailure], error) {
	e, err := s.Store.GetExecution(ctx, principal(ctx).OrganisationID, in.ID)
	if err != nil {
		return nil, err
	}
	f, err := s.Output.FirstFailure(ctx, e.OrganisationID, e.ID)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, hub.Errorf(hub.CodeNotFound, "No step of execution %d has failed.", e.Number)
	}
	out := LogFailure{
		Attempt: f.AttemptID, Node: nodeName(e, f.Node), Step: f.Step, Try: f.Try, Status: Status(f.Status), Message: f.Message,
		EndedAt: Time(f.EndedAt), Before: f.Before, Line: f.Line, Last: list(nearLines(e, f.Last)),
	}
	if f.Exited {
		out.Code = &f.Code
	}
	return &body[LogFailure]{Body: out}, nil
}

func nearLines(e *hub.Execution, lines []output.ContextLine) []LogLine {
	var out []LogLine
	for i := range lines {
		l := toLogLine(e, &lines[i].Line, lines[i].After)
		l.Truncated = l.Truncated || lines[i].Cut
		out = append(out, l)
	}
	return out
}
