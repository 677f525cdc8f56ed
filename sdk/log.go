package sdk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/sdk/rest"
)

// LogOptions narrows a log; the zero value is the whole of it.
type LogOptions struct {
	// Cursor goes on behind a line read before.
	Cursor string
	Node   string
	// Step at this position alone, counted from 1; 0: all.
	Step int
	// Tail starts with the last so many lines; 0: with the first.
	Tail int64
}

// LogRecord is one line of an NDJSON log: a line of output, or at the very end End.
type LogRecord struct {
	rest.LogLine
	End *rest.LogEnd `json:"end"`
}

// silence is how long a followed log may say nothing, not even an empty line, before
// its connection is given up for dead. The hub sends one every 10 s.
const silence = 35 * time.Second

// maxRecord bounds one NDJSON line, in bytes: a frame of 32 KiB, escaped and twice.
const maxRecord = 1 << 20

// maxFaults is how often in a row a hub may answer that something broke inside it
// before a follower believes it.
const maxFaults = 20

// errCut says that a log stopped without its end.
var errCut = errors.New("the log was cut off")

// FollowLog calls each for every line, in order and each once, until the execution
// has ended; a hub that restarts or a connection that breaks is waited for, and the
// log goes on behind the last line that each returned nil for. An error of each, or a
// refusal of the hub, ends it.
func (c *Client) FollowLog(ctx context.Context, id string, o LogOptions, each func(rest.LogLine) error) (*rest.LogEnd, error) {
	for try := 0; ; try++ {
		before := o.Cursor
		end, err := c.readLog(ctx, id, true, &o, each)
		var own *callerError
		switch {
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

// ReadLog calls each for every line that is stored now.
func (c *Client) ReadLog(ctx context.Context, id string, o LogOptions, each func(rest.LogLine) error) (*rest.LogEnd, error) {
	for {
		end, err := c.readLog(ctx, id, false, &o, each)
		if own, ok := errors.AsType[*callerError](err); ok {
			return nil, own.err
		}
		if err != nil {
			return nil, err
		}
		if !end.More {
			return end, nil
		}
		o.Cursor, o.Tail = end.Cursor, 0
	}
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

// query renders o for the API, whose steps count from 0.
func (o LogOptions) query() url.Values {
	q := url.Values{}
	if o.Cursor != "" {
		q.Set("cursor", o.Cursor)
	}
	if o.Node != "" {
		q.Set("node", o.Node)
	}
	if o.Step > 0 {
		q.Set("step", strconv.Itoa(o.Step-1))
	}
	if o.Tail > 0 && o.Cursor == "" {
		q.Set("tail", strconv.FormatInt(o.Tail, 10))
	}
	return q
}

// callerError is an error of the caller's own function: not one to try again after.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// readLog reads one answer and moves o.Cursor along with it. It returns the end, or
// why there was none.
func (c *Client) readLog(ctx context.Context, id string, follow bool, o *LogOptions, each func(rest.LogLine) error) (*rest.LogEnd, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errCut) })
	defer watch.Stop()
	q := o.query()
	q.Set("format", "ndjson")
	q.Set("follow", strconv.FormatBool(follow))
	resp, err := c.get(ctx, c.logPath(id, q))
	if err != nil {
		if errors.Is(context.Cause(ctx), errCut) {
			return nil, errCut
		}
		return nil, err
	}
	defer resp.Body.Close()
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		text, err := readRecord(in)
		if err != nil {
			return nil, errCut // the rest of a line that was cut off is dropped with it
		}
		watch.Reset(silence)
		if len(text) == 0 {
			continue
		}
		var r LogRecord
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		if r.End != nil {
			return r.End, nil
		}
		if err := each(r.LogLine); err != nil {
			return nil, &callerError{err}
		}
		o.Cursor = r.Cursor
	}
}

// readRecord reads one line, which must end in a newline.
func readRecord(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if err == nil && line == nil {
			return part[:len(part)-1], nil
		}
		line = append(line, part...)
		if err == nil {
			return line[:len(line)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > maxRecord {
			return nil, err
		}
	}
}

// get sends a GET that the generated client cannot, since its answer is a stream.
func (c *Client) get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	return c.send(req)
}

// send sends a request as the client, and turns an answer that is not a success into
// an error.
func (c *Client) send(req *http.Request, as ...rest.RequestEditorFn) (*http.Response, error) {
	for _, edit := range append(slices.Clone(c.rest.RequestEditors), as...) {
		if err := edit(req.Context(), req); err != nil {
			return nil, err
		}
	}
	resp, err := c.rest.Client.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, problem(resp)
	}
	return resp, nil
}

// Do sends any request of the API: path begins with "/". The caller closes the body.
func (c *Client) Do(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return c.send(req)
}
