package stepdir

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Control is a message to a command's keeper; one field is set.
type Control struct {
	Stop *Stop `json:"stop,omitempty"`
	// Released is the offset before which the runner keeps the output elsewhere.
	Released *uint64 `json:"released,omitempty"`
}

// Stop asks for the command's end.
type Stop struct {
	// Cause is CauseStopped or CauseTimedOut.
	Cause string        `json:"cause"`
	Grace time.Duration `json:"grace"`
}

// Causes of a Stop.
const (
	CauseStopped  = "stopped"
	CauseTimedOut = "timed_out"
)

// News is a message from a command's keeper; one field is set.
type News struct {
	// Out is how many bytes of output there are.
	Out *uint64 `json:"out,omitempty"`
	// Exit is how the command ended, in the keeper's own words.
	Exit json.RawMessage `json:"exit,omitempty"`
}

// Link is one end of the socket between a runner and a command's keeper.
type Link struct {
	net.Conn
	dec *json.Decoder

	mu  sync.Mutex
	enc *json.Encoder
}

// NewLink makes a link of a connection.
func NewLink(c net.Conn) *Link {
	return &Link{Conn: c, dec: json.NewDecoder(c), enc: json.NewEncoder(c)}
}

// Send sends a message. It is safe for concurrent use.
func (l *Link) Send(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enc.Encode(v)
}

// Receive waits for a message; one goroutine at a time may.
func (l *Link) Receive(v any) error { return l.dec.Decode(v) }

// ReceiveNews passes the keeper's messages on until it is gone, and closes to.
func (l *Link) ReceiveNews(to chan<- News) {
	defer close(to)
	for {
		var m News
		if err := l.Receive(&m); err != nil {
			return
		}
		to <- m
	}
}

// Listen opens a command's control socket. Its path may be longer than a socket's may
// be, so it is named through the directory's descriptor.
func Listen(dir string) (net.Listener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	_ = os.Remove(filepath.Join(dir, FileControl))
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), FileControl))
	if ul, ok := l.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false) // the path goes through a descriptor that is closed
	}
	return l, err
}

// Dial connects to a command's control socket.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), FileControl))
}
