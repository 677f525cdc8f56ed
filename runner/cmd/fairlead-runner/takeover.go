package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// What the two processes of a reload say to each other, a line each.
const (
	sayReady   = "ready\n"   // new: it is configured and can take over
	sayGo      = "go\n"      // old: the data directory is free
	sayServing = "serving\n" // new: it has taken over
)

// takeoverFD names the open file over which a new process hears from the old one.
const takeoverFD = envPrefix + "_TAKEOVER_FD"

// predecessor is the process that started this one to take over from it; nil: none did.
type predecessor struct{ conn net.Conn }

// predecessor finds the process that this one takes over from.
func (p *program) predecessor() (*predecessor, error) {
	text := p.getenv(takeoverFD)
	if text == "" {
		return nil, nil //nolint:nilnil // there is none, which is usual
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s is set by a runner that is reloaded, not by hand: %w", takeoverFD, err)}
	}
	f := os.NewFile(uintptr(fd), "takeover")
	conn, err := net.FileConn(f)
	_ = f.Close() // nothing that is started here may inherit it
	if err != nil {
		return nil, usageError{fmt.Errorf("%s is set by a runner that is reloaded, not by hand: %w", takeoverFD, err)}
	}
	return &predecessor{conn}, nil
}

// await says that this process is ready and waits until the data directory is free.
func (o *predecessor) await(ctx context.Context) error {
	if o == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = o.conn.SetDeadline(time.Now()) })
	defer stop()
	_, err := o.conn.Write([]byte(sayReady))
	if err == nil {
		err = expect(bufio.NewReader(o.conn), sayGo)
	}
	if err != nil {
		return fmt.Errorf("waiting for the earlier process to let go of the data directory: %w", err)
	}
	return nil
}

// serving tells the earlier process that it is not needed any more.
func (o *predecessor) serving() {
	if o != nil {
		_, _ = o.conn.Write([]byte(sayServing))
		_ = o.conn.Close()
	}
}

// expect reads one line, which must be the given one.
func expect(r *bufio.Reader, line string) error {
	got, err := r.ReadString('\n')
	if err == nil && got != line {
		err = errors.New("it said " + strconv.Quote(got))
	}
	return err
}
