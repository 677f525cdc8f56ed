package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Followed is a log as somebody read it who watched it grow.
type Followed struct {
	// Text is what each node's command printed.
	Text map[string]string
	// Breaks counts how often the connection had to be made again.
	Breaks int

	cursor string
	parts  map[string]*strings.Builder
}

type followLine struct {
	Cursor, Node, Stream, Text string
	Partial                    bool
}

// Way is how a log is followed.
type Way string

// The ways.
const (
	BySocket Way = "socket"
	ByLines  Way = "lines"
)

// Follow reads a log until the end of its execution. A connection that breaks is made
// again and goes on behind the last line, as the pages of the hub do.
func (a *API) Follow(ctx context.Context, id string, way Way) (*Followed, error) {
	f := &Followed{Text: map[string]string{}, parts: map[string]*strings.Builder{}}
	read := a.followSocket
	if way == ByLines {
		read = a.followLines
	}
	for {
		ended, err := read(ctx, id, f)
		if ended {
			break
		}
		if refused, ok := errors.AsType[*Error](err); ok && refused.Status < 500 {
			return nil, refused
		}
		f.Breaks++
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("following at %s, broken off %d times: %w", a.URL, f.Breaks, err)
		}
	}
	for node, b := range f.parts {
		f.Text[node] = b.String()
	}
	return f, nil
}

func (f *Followed) take(l followLine) {
	f.cursor = l.Cursor
	if l.Stream == "system" {
		return
	}
	b := f.parts[l.Node]
	if b == nil {
		b = &strings.Builder{}
		f.parts[l.Node] = b
	}
	b.WriteString(l.Text)
	if !l.Partial {
		b.WriteByte('\n')
	}
}

func (a *API) followSocket(ctx context.Context, id string, f *Followed) (ended bool, err error) {
	return a.socket(ctx, id, f.cursor, f.take)
}

// Watch reads a log by WebSocket until the end of its execution and hands over each line
// as it comes, keeping none. A connection that breaks is an error.
func (a *API) Watch(ctx context.Context, id string, line func(text string)) error {
	ended, err := a.socket(ctx, id, "", func(l followLine) {
		if l.Stream != "system" {
			line(l.Text)
		}
	})
	if !ended {
		return fmt.Errorf("watching at %s: %w", a.URL, err)
	}
	return nil
}

func (a *API) socket(ctx context.Context, id, cursor string, take func(followLine)) (ended bool, err error) {
	target := "ws" + strings.TrimPrefix(a.URL, "http") + "/api/v1/executions/" + id + "/log/stream?cursor=" + url.QueryEscape(cursor)
	conn, res, err := a.dialer().DialContext(ctx, target, a.header())
	if res != nil {
		_ = res.Body.Close()
	}
	if res != nil && err != nil {
		return false, &Error{Status: res.StatusCode}
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for {
		var m struct {
			Type  string
			Lines []followLine
		}
		if err := conn.ReadJSON(&m); err != nil {
			return false, err
		}
		for _, l := range m.Lines {
			take(l)
		}
		if m.Type == "end" {
			return true, nil
		}
	}
}

// dialer trusts what the API's client trusts.
func (a *API) dialer() *websocket.Dialer {
	d := *websocket.DefaultDialer
	if t, ok := a.client().Transport.(*http.Transport); ok {
		d.TLSClientConfig = t.TLSClientConfig.Clone()
		d.TLSClientConfig.NextProtos = nil // WebSockets are HTTP/1.1
	}
	return &d
}

func (a *API) followLines(ctx context.Context, id string, f *Followed) (ended bool, err error) {
	path := a.URL + "/api/v1/executions/" + id + "/log?format=ndjson&follow=true&cursor=" + url.QueryEscape(f.cursor)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return false, err
	}
	req.Header = a.header()
	res, err := a.client().Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return false, &Error{Status: res.StatusCode}
	}
	in := bufio.NewReader(res.Body)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return false, err
		}
		if len(text) == 1 {
			continue // the hub shows that it lives
		}
		var r struct {
			followLine
			End *struct{} `json:"end"`
		}
		if err := json.Unmarshal(text, &r); err != nil {
			return false, err
		}
		if r.End != nil {
			return true, nil
		}
		f.take(r.followLine)
	}
}
