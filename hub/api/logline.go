package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/proto/wire"
)

// toLogLine converts a line for a WebSocket message.
func toLogLine(e *hub.Execution, l *output.Line, cursor string) LogLine {
	out := LogLine{
		Cursor: cursor, Node: nodeName(e, l.Node), Step: l.Step, Try: l.Try, Stream: streamName(l.Stream), Time: Time(l.Time),
		Line: l.N, Text: string(l.Data), Partial: l.Flags&wire.FlagPartial != 0, Masked: l.Flags&wire.FlagMasked != 0,
		Truncated: l.Flags&wire.FlagTruncated != 0,
	}
	if !utf8.Valid(l.Data) {
		// JSON replaces what is not UTF-8 in Text; the bytes are told beside it.
		out.Data = append([]byte(nil), l.Data...)
	}
	return out
}

// appendLine appends the JSON of a line to b. It is written by hand because a log has
// millions of them: a test holds it to what encoding/json makes of a LogLine.
func appendLine(b []byte, e *hub.Execution, l *output.Line, cursor string) []byte {
	b = appendText(append(b, `{"cursor":`...), cursor)
	b = appendText(append(b, `,"node":`...), nodeName(e, l.Node))
	b = strconv.AppendInt(append(b, `,"step":`...), int64(l.Step), 10)
	b = strconv.AppendInt(append(b, `,"try":`...), int64(l.Try), 10)
	b = appendText(append(b, `,"stream":`...), streamName(l.Stream))
	b = append(b, `,"time":"`...)
	b = l.Time.UTC().AppendFormat(b, timeFormat)
	b = strconv.AppendInt(append(b, `","line":`...), l.N, 10)
	b = appendBytes(append(b, `,"text":`...), l.Data)
	if !utf8.Valid(l.Data) {
		b = append(b, `,"data":"`...)
		b = base64.StdEncoding.AppendEncode(b, l.Data)
		b = append(b, '"')
	}
	for _, flag := range []struct {
		bit  uint8
		text string
	}{{wire.FlagPartial, `,"partial":true`}, {wire.FlagMasked, `,"masked":true`}, {wire.FlagTruncated, `,"truncated":true`}} {
		if l.Flags&flag.bit != 0 {
			b = append(b, flag.text...)
		}
	}
	return append(b, '}')
}

func appendText(b []byte, text string) []byte { return appendBytes(b, []byte(text)) }

// appendBytes appends text as a JSON string.
func appendBytes(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(string(text))
			if err != nil { // a string always has a JSON form
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// naming is e with the nodes that lines are of: an execution that waited when its log was
// opened finds them later, and until then has none.
func (s *server) naming(ctx context.Context, e *hub.Execution, lines []output.Line) (*hub.Execution, error) {
	if !slices.ContainsFunc(lines, func(l output.Line) bool { return l.Node >= len(e.Nodes) }) {
		return e, nil
	}
	return s.Store.GetExecution(ctx, e.OrganisationID, e.ID)
}

// nodeName is the name of the node at a position.
func nodeName(e *hub.Execution, position int) string {
	if position < 0 || position >= len(e.Nodes) {
		return ""
	}
	return e.Nodes[position].Name
}

// streamOf is the stream of a name.
func streamOf(name string) (stream wire.Stream, ok bool) {
	for _, stream := range []wire.Stream{wire.Stdout, wire.Stderr, wire.System} {
		if streamName(stream) == name {
			return stream, true
		}
	}
	return 0, false
}

func streamName(s wire.Stream) string {
	switch s {
	case wire.Stderr:
		return "stderr"
	case wire.System:
		return "system"
	default:
		return "stdout"
	}
}

// maxStreamWrite is how long a client may take to accept what is written to it: a
// slower one is dropped and may come back with its cursor.
const maxStreamWrite = 30 * time.Second
