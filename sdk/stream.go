package sdk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/fairlead/fairlead/sdk/rest"
)

// silence is how long a stream may say nothing, not even an empty line, before its
// connection is given up for dead. The hub sends one every 10 s.
const silence = 35 * time.Second

// maxRecord bounds one NDJSON line, in bytes: a frame of 32 KiB, escaped and twice.
const maxRecord = 1 << 20

// errCut says that a stream stopped without its end.
var errCut = errors.New("the answer was cut off")

// stream reads an NDJSON answer and calls each for its lines, until each returns an
// error or the answer is cut. The line is each's until it returns.
func (c *Client) stream(ctx context.Context, url string, each func(line []byte) error) error {
	live, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errCut) })
	defer watch.Stop()
	resp, err := c.get(live, url)
	if err != nil {
		if errors.Is(context.Cause(live), errCut) {
			return errCut
		}
		return err
	}
	defer resp.Body.Close()
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := readRecord(in)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return errCut // the rest of a line that was cut off is dropped with it
		}
		watch.Reset(silence)
		if len(line) == 0 {
			continue
		}
		if err := each(line); err != nil {
			return err
		}
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

// Do sends any request of the API: path begins with "/", and header may be nil. The
// caller closes the body.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	maps.Copy(req.Header, header)
	return c.send(req)
}
