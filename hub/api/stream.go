package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fairlead/fairlead/hub"
)

const (
	// headersAfter is when a stream that has nothing to say yet tells that it is there.
	headersAfter = 250 * time.Millisecond
	// heartbeat is how often an idle stream shows that it lives.
	heartbeat = 10 * time.Second
	// recheck is how often the right to an open stream is looked at again. With the 3 s
	// that hub/auth may give an answer again, who lost it is out within 5 s.
	recheck = 2 * time.Second
)

// streamWriter writes an answer that grows. An error before the first byte can still
// become a problem.
type streamWriter struct {
	w           http.ResponseWriter
	control     *http.ResponseController
	contentType string

	mu      sync.Mutex // guards what follows, and w
	started bool
	last    time.Time // of the last write
}

// write sends b at once.
func (s *streamWriter) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(b)
}

func (s *streamWriter) writeLocked(b []byte) error {
	s.last = time.Now()
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", s.contentType)
		s.w.Header().Set("X-Accel-Buffering", "no") // else nginx keeps live lines back
		s.w.WriteHeader(http.StatusOK)
	}
	// Not every writer has deadlines; net/http's has.
	_ = s.control.SetWriteDeadline(time.Now().Add(maxStreamWrite))
	if len(b) > 0 {
		if _, err := s.w.Write(b); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

// beat sends headers to who waits for the first line, and then, if the format allows
// it, an empty line when nothing else was sent for a while.
func (s *streamWriter) beat(lines bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.started:
		return s.writeLocked(nil)
	case lines && time.Since(s.last) >= heartbeat-time.Second:
		return s.writeLocked([]byte("\n"))
	}
	return nil
}

// stream runs produce and keeps its answer alive meanwhile: beats while it is silent,
// and ends it when the right is gone or the server shuts down. An answer that ends
// before it is whole is cut, so that its client knows.
func (s *server) stream(w http.ResponseWriter, r *http.Request, contentType string, beats bool, produce func(context.Context, *streamWriter) error) {
	out := &streamWriter{w: w, control: http.NewResponseController(w), contentType: contentType}
	ctx, cancel := context.WithCancel(r.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() {
		defer cancel()
		s.keep(ctx, r, func() error { return out.beat(beats) })
	})
	err := produce(ctx, out)
	cancelled := ctx.Err() != nil
	cancel()
	keeping.Wait() // nobody may touch w after this handler
	switch {
	case err == nil:
		if !out.started {
			_ = out.write(nil) // an empty answer; the client is gone if this fails
		}
	case !out.started && !cancelled:
		s.fail(w, r, err)
	default:
		if !cancelled && !errors.Is(err, context.Canceled) {
			s.Log.WarnContext(r.Context(), "stream was cut", "path", r.URL.Path, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
}

// keep beats, and checks the right, until ctx ends or there is a reason to end.
func (s *server) keep(ctx context.Context, r *http.Request, beat func() error) {
	first := time.NewTimer(headersAfter)
	defer first.Stop()
	beats := time.NewTicker(heartbeat)
	defer beats.Stop()
	rights := time.NewTicker(recheck)
	defer rights.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.Done:
			return
		case <-first.C:
			err = beat()
		case <-beats.C:
			err = beat()
		case <-rights.C:
			if _, aerr := s.Auth.Recheck(r); refusal(aerr) {
				err = aerr
			}
		}
		if err != nil {
			return
		}
	}
}

// refusal reports whether err says no, and not merely that the database is away.
func refusal(err error) bool {
	code := hub.ErrorCode(err)
	return code == hub.CodeUnauthenticated || code == hub.CodeForbidden
}

// socket is a WebSocket with one writer at a time.
type socket struct {
	conn *websocket.Conn
	mu   sync.Mutex // one writer at a time, or gorilla panics
}

// send writes one message.
func (c *socket) send(v any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(maxStreamWrite)); err != nil {
		return err
	}
	return c.conn.WriteJSON(v)
}

// beat pings.
func (c *socket) beat() error {
	return c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(maxStreamWrite))
}

// close says why, in the codes of RFC 6455.
func (c *socket) close(code int, why string) {
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(time.Second))
	_ = c.conn.Close()
}

const (
	// maxSocketRead bounds what a client may send: nothing is expected.
	maxSocketRead = 4 << 10
	// closeRefused is the close code for a right that is gone, closeAgain for come back.
	closeRefused = 4401
	closeAgain   = websocket.CloseServiceRestart
)

// serveSocket upgrades the request and runs produce over the socket until it ends, the
// client leaves, the right is gone or the server shuts down.
func (s *server) serveSocket(w http.ResponseWriter, r *http.Request, produce func(context.Context, *socket) error) {
	if err := s.checkOrigin(r); err != nil {
		s.auditRefused(r.Context(), "websocket.open", r.URL.Path, err)
		s.fail(w, r, err)
		return
	}
	up := websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second, CheckOrigin: func(*http.Request) bool { return true },
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			writeProblem(w, newProblem(status, "The WebSocket could not be opened: "+reason.Error()+"."))
		},
	}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := &socket{conn: conn}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		defer cancel()
		s.keep(ctx, r, c.beat)
	})
	running.Go(func() {
		defer cancel()
		drain(conn)
	})
	err = produce(ctx, c)
	code, why := websocket.CloseNormalClosure, ""
	if err != nil || ctx.Err() != nil {
		code, why = closeAgain, "come back with the last cursor"
		if _, aerr := s.Auth.Recheck(r); refusal(aerr) {
			code, why = closeRefused, "sign in again"
		}
	}
	c.close(code, why)
	cancel()
	running.Wait()
}

// drain reads and forgets what a client says, so that pongs and its leaving are seen.
func drain(conn *websocket.Conn) {
	conn.SetReadLimit(maxSocketRead)
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(3 * heartbeat)) }
	conn.SetPongHandler(alive)
	if alive("") != nil {
		return
	}
	for {
		if _, _, err := conn.NextReader(); err != nil {
			return
		}
	}
}

// checkOrigin refuses WebSockets that a page of another site opens: browsers send the
// cookie along with those, and no preflight protects them.
func (s *server) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			return nil // no browser
		}
		return hub.Errorf(hub.CodeForbidden, "A WebSocket needs an Origin header, or an API token.")
	}
	own := "http://" + r.Host
	if r.TLS != nil {
		own = "https://" + r.Host
	}
	// The scheme too: a page that came over plain HTTP may be anybody's.
	if strings.EqualFold(origin, own) || s.publicOrigin != "" && strings.EqualFold(origin, s.publicOrigin) {
		return nil
	}
	return hub.Errorf(hub.CodeForbidden, "The WebSocket was opened by a page of another site and was refused; if people reach this hub through a proxy, set its public URL (--public-url).")
}

// linesPerMessage bounds one message of a log.
const linesPerMessage = 500

// streamLog sends a log over a WebSocket; the parameters are those of get-log, always
// followed.
func (s *server) streamLog(w http.ResponseWriter, r *http.Request) {
	in, err := socketLogInput(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	e, q, err := s.logQuery(r.Context(), in)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.serveSocket(w, r, func(ctx context.Context, c *socket) error {
		end := LogEnd{Cursor: q.Cursor}
		for batch, err := range s.Output.Read(ctx, q) {
			if err != nil {
				return err
			}
			if e, err = s.naming(ctx, e, batch.Lines); err != nil {
				return err
			}
			for first := 0; first < len(batch.Lines); first += linesPerMessage {
				m := LogMessage{Type: "lines"}
				for i := first; i < min(first+linesPerMessage, len(batch.Lines)); i++ {
					m.Lines = append(m.Lines, toLogLine(e, &batch.Lines[i], batch.CursorAt(i)))
				}
				if err := c.send(m); err != nil {
					return err
				}
			}
			end.Cursor = batch.Cursor()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.finish(ctx, e, &end); err != nil {
			return err
		}
		return c.send(LogMessage{Type: "end", End: &end})
	})
}
