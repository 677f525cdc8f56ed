package wire_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/proto/wire"
)

func TestLimitUnsent(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wire.LimitUnsent(c)
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if cerr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if got != wire.UnsentBytes {
		t.Errorf("the kernel takes %d bytes ahead, want %d", got, wire.UnsentBytes)
	}
	wire.LimitUnsent(struct{ net.Conn }{c}) // no socket: nothing happens
}
