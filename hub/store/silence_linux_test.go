package store

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A test cannot take a server's machine away: that its connections then end is the kernel's
// part, which must have been told.
func TestConnectionsEndWithTheirServer(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	for _, more := range []string{"", "?connect_timeout=3"} {
		config, err := postgresConfig(Config{URL: "postgres://u@" + lis.Addr().String() + "/d" + more})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := config.DialFunc(t.Context(), "tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for option, most := range map[int]int{unix.TCP_USER_TIMEOUT: 30_000, unix.TCP_KEEPIDLE: 15, unix.TCP_KEEPINTVL: 5} {
			var got int
			if e := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option) }); e != nil || err != nil {
				t.Fatal(e, err)
			}
			if got == 0 || got > most {
				t.Errorf("option %d is %d, want at most %d", option, got, most)
			}
		}
	}
}
