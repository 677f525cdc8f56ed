package stepdir

import (
	"bytes"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

// kept is an output that is synced at once.
type kept struct {
	text   []byte
	offset uint64
}

func (k *kept) WriteMasked(_ wire.Stream, p []byte, offset uint64) error {
	k.text, k.offset = append(k.text, p...), offset
	return nil
}

// A command that prints for long leaves nothing that is older than what the system keeps in
// memory, and nothing of it is lost: neither where a segment ends early, nor when the next
// process of the runner takes over.
func TestKeptOutputGoesSoon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := NewOutWriter(dir, func() {})
		near, far := net.Pipe()
		defer near.Close()
		link := NewLink(near)
		go func() {
			shim := NewLink(far)
			for m := (Control{}); shim.Receive(&m) == nil; {
				w.Release(*m.Released)
			}
		}()
		out := &kept{}
		follow := func() *Tail {
			return NewTail(dir, out.offset, out, func() uint64 { return out.offset }, slog.New(slog.DiscardHandler))
		}
		tail := follow()
		defer func() { tail.Close() }()
		var printed []byte
		const second = 100 << 10
		for i := range 75 {
			block := bytes.Repeat([]byte{byte(i)}, second)
			printed = append(printed, block...)
			if err := w.Write(wire.Stdout, block); err != nil {
				t.Fatal(err)
			}
			tail.Read()
			if out.offset != uint64(len(printed)) {
				t.Fatalf("after %d s %d bytes of %d are read", i+1, out.offset, len(printed))
			}
			tail.release(link)
			synctest.Wait()
			starts, err := tail.reader.segments()
			if err != nil || len(starts) > 3 || uint64(len(printed))-starts[0] > 25*second {
				t.Fatalf("after %d s the segments begin at %d, %v", i+1, starts, err)
			}
			if i == 20 { // a segment was released just now, and the next one is not begun
				tail.Close()
				tail = follow()
				tail.Read()
			}
			<-time.After(time.Second)
		}
		if !bytes.Equal(out.text, printed) {
			t.Error("other bytes were read than printed")
		}
		if err := w.Close(false); err != nil {
			t.Error(err)
		}
	})
}
