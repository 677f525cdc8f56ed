package store

import (
	"context"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// endSilent has the kernel end a connection whose server confirms nothing for so long. By
// itself it sends again for a quarter of an hour, and keepalive waits for that: a member
// whose server vanished with its machine, while another took its place, would hang in what
// it had asked last.
func endSilent(_ context.Context, network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	}); e != nil {
		return e
	}
	return err
}
