package stepdir

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/fairlead/fairlead/proto/wire"
)

// Keeper keeps what a command of this process prints, and its end, for a later process
// of the runner. The lock is held until the end is written, or this process dies.
type Keeper struct {
	dir      string
	lock     *os.File
	listener net.Listener
	out      *OutWriter
	stop     func(Stop)

	changed chan struct{} // has a token when there is more output than was told
	over    chan struct{} // closed when nothing more is told
	telling sync.WaitGroup

	mu   sync.Mutex
	link *Link // to the runner that is attached; nil: none is
}

// Keep makes the directory anew, locked, with started on the disk, and waits for a
// runner in it. stop is called when that asks for the command's end; it must not block.
func Keep(dir string, started any, stop func(Stop)) (*Keeper, error) {
	// One that is there is of a hand-over of this very command that was taken back.
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("removing an earlier %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for a command: %w", err)
	}
	held, free, err := Lock(dir)
	if err == nil && !free {
		err = fmt.Errorf("%s is held by another process", dir)
	}
	k := &Keeper{dir: dir, lock: held, stop: stop, changed: make(chan struct{}, 1), over: make(chan struct{})}
	k.out = NewOutWriter(dir, func() {
		select {
		case k.changed <- struct{}{}:
		default:
		}
	})
	if err == nil {
		err = Entry{Started: started}.Append(held)
	}
	if err == nil {
		err = Sync(held, dir)
	}
	if err == nil {
		k.listener, err = Listen(dir)
	}
	if err != nil {
		if held != nil {
			_ = held.Close()
		}
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("keeping a command in %s: %w", dir, err)
	}
	go k.accept()
	k.telling.Go(k.tell)
	return k, nil
}

// Write appends output that is masked already. It blocks while the runner has not kept
// what is before elsewhere.
func (k *Keeper) Write(stream wire.Stream, p []byte) error { return k.out.Write(stream, p) }

// End writes the command's end behind its output and lets go of the directory. Its
// error means that nobody will know the end.
func (k *Keeper) End(exit any) error {
	err := k.out.Close(true)
	werr := AppendExit(k.lock, exit)
	if werr == nil {
		werr = Sync(k.lock, k.dir)
	}
	if werr != nil {
		err = werr
	}
	k.close()
	return err
}

// Drop removes the directory: the command is not handed over.
func (k *Keeper) Drop() {
	_ = k.out.Close(false)
	_ = os.RemoveAll(k.dir) // what stays says that the keeper died, which holds once this process has
	k.close()
}

// close lets the runner look at the directory: first the lock goes, then the link, at
// whose end it looks.
func (k *Keeper) close() {
	_ = k.listener.Close()
	_ = os.Remove(filepath.Join(k.dir, FileControl))
	close(k.over)
	_ = k.lock.Close()
	k.attach(nil)
	k.telling.Wait()
}

// accept takes one runner after another: each replaces the one before.
func (k *Keeper) accept() {
	for {
		conn, err := k.listener.Accept()
		if err != nil {
			return
		}
		l := NewLink(conn)
		k.attach(l)
		select {
		case <-k.over:
			_ = l.Close()
			return
		default:
		}
		go k.heed(l)
	}
}

// attach replaces the runner that is told.
func (k *Keeper) attach(l *Link) {
	k.mu.Lock()
	before := k.link
	k.link = l
	k.mu.Unlock()
	if before != nil {
		_ = before.Close()
	}
	if l != nil {
		offset := k.out.End()
		_ = l.Send(News{Out: &offset})
	}
}

// heed does what a runner's messages say until it is gone.
func (k *Keeper) heed(l *Link) {
	for {
		var m Control
		if err := l.Receive(&m); err != nil {
			_ = l.Close()
			return
		}
		switch {
		case m.Stop != nil:
			k.stop(*m.Stop)
		case m.Released != nil:
			k.out.Release(*m.Released)
		}
	}
}

// tell tells the runner how much output there is, whenever that has changed.
func (k *Keeper) tell() {
	for {
		select {
		case <-k.changed:
		case <-k.over:
			return
		}
		k.mu.Lock()
		l := k.link
		k.mu.Unlock()
		if l != nil {
			offset := k.out.End()
			_ = l.Send(News{Out: &offset}) // one that is gone asks again
		}
	}
}
