package wire

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// LimitUnsent has the kernel take no more than UnsentBytes ahead (TCP_NOTSENT_LOWAT). A
// connection that is no socket of its own, as one through a proxy, stays as it is.
func LimitUnsent(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// Where it fails the connection is no TCP, or old output delays new words.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, UnsentBytes)
	})
}
