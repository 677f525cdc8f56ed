package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/sdk/rest"
)

// LogFilter says which lines of a log are wanted; the zero value wants all.
type LogFilter struct {
	// Nodes by name; none: all.
	Nodes []string
	// Step at this position alone, counted from 1; 0: all.
	Step int
	// Streams among stdout, stderr and system; none: all.
	Streams []string
	// Since and Until bound the time by the runner's clock: from Since on, before Until.
	Since, Until time.Time
}

// query renders f for the API, whose steps count from 0.
func (f *LogFilter) query() url.Values {
	q := url.Values{}
	if len(f.Nodes) > 0 {
		q["node"] = f.Nodes
	}
	if f.Step > 0 {
		q.Set("step", strconv.Itoa(f.Step-1))
	}
	if len(f.Streams) > 0 {
		q.Set("stream", strings.Join(f.Streams, ","))
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		q.Set("until", f.Until.Format(time.RFC3339Nano))
	}
	return q
}

// LogOptions narrows a log; the zero value is the whole of it.
type LogOptions struct {
	LogFilter
	// Cursor goes on behind a line read before.
	Cursor string
	// Tail starts with the last so many lines; 0: with the first.
	Tail int64
	// Line skips so many of the lines that the rest leaves, and Lines bounds how many
	// are told; 0: all. They are of ReadLog and LogText: a followed log has no range.
	Line, Lines int64
	// Bytes is a range of the text format, FIRST-LAST or FIRST-, from 0; of LogText alone.
	Bytes string
}

// LogRecord is one line of an NDJSON log: a line of output, or at the very end End.
type LogRecord struct {
	rest.LogLine
	End *rest.LogEnd `json:"end"`
}

// maxFaults is how often in a row a hub may answer that something broke inside it
// before a follower believes it.
const maxFaults = 20

// FollowLog calls each for every line, in order and each once, until the execution
// has ended; a hub that restarts or a connection that breaks is waited for, and the
// log goes on behind the last line that each returned nil for. An error of each, or a
// refusal of the hub, ends it.
func (c *Client) FollowLog(ctx context.Context, id string, o LogOptions, each func(rest.LogLine) error) (*rest.LogEnd, error) {
	o.Line, o.Lines, o.Bytes = 0, 0, ""
	for try := 0; ; try++ {
		before := o.Cursor
		// The tail is read by itself first, since its end tells where to go on even if it has
		// no line. Asked for again after a cut, it would be that of a longer log, and what
		// was printed meanwhile in front of it would be lost.
		tail := o.Tail > 0 && o.Cursor == ""
		end, err := c.readLog(ctx, id, !tail, &o, each)
		var own *callerError
		switch {
		case end != nil && tail:
			o.Tail, o.Cursor, try = 0, end.Cursor, -1
			continue
		case end != nil:
			return end, nil
		case errors.As(err, &own):
			return nil, own.err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case lasting(err), try > maxFaults && ErrorCode(err) == CodeInternal:
			return nil, err
		}
		if o.Cursor != before {
			try = 0
		}
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

// ReadLog calls each for every line that is stored now. With o.Lines the end tells
// whether More follow behind its Cursor.
func (c *Client) ReadLog(ctx context.Context, id string, o LogOptions, each func(rest.LogLine) error) (*rest.LogEnd, error) {
	o.Bytes = ""
	end, err := c.readLog(ctx, id, false, &o, each)
	if own, ok := errors.AsType[*callerError](err); ok {
		return nil, own.err
	}
	return end, err
}

// LogText opens the text format: the bytes of the output and nothing else. The
// caller closes it.
func (c *Client) LogText(ctx context.Context, id string, o LogOptions) (io.ReadCloser, error) {
	q := o.query()
	q.Set("format", "text")
	resp, err := c.get(ctx, c.logPath(id, q))
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// query renders o for the API.
func (o *LogOptions) query() url.Values {
	q := o.LogFilter.query()
	if o.Cursor != "" {
		q.Set("cursor", o.Cursor)
	}
	if o.Tail > 0 && o.Cursor == "" {
		q.Set("tail", strconv.FormatInt(o.Tail, 10))
	}
	if o.Line > 0 {
		q.Set("line", strconv.FormatInt(o.Line, 10))
	}
	if o.Lines > 0 {
		q.Set("lines", strconv.FormatInt(o.Lines, 10))
	}
	if o.Bytes != "" {
		q.Set("bytes", o.Bytes)
	}
	return q
}

// callerError is an error of the caller's own function, or another not to try again
// after.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// readLog reads one answer and moves o.Cursor along with it. It returns the end, or
// why there was none.
func (c *Client) readLog(ctx context.Context, id string, follow bool, o *LogOptions, each func(rest.LogLine) error) (*rest.LogEnd, error) {
	q := o.query()
	q.Set("format", "ndjson")
	q.Set("follow", strconv.FormatBool(follow))
	var end *rest.LogEnd
	err := c.stream(ctx, c.logPath(id, q), func(text []byte) error {
		var r LogRecord
		if err := json.Unmarshal(text, &r); err != nil {
			return &callerError{fmt.Errorf("reading the log: %w", err)} // it would be the same again
		}
		if r.End != nil {
			end = r.End
			return io.EOF
		}
		if err := each(r.LogLine); err != nil {
			return &callerError{err}
		}
		o.Cursor = r.Cursor
		return nil
	})
	if end != nil {
		return end, nil
	}
	return nil, err
}
