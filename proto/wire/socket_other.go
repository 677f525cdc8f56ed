//go:build !linux

package wire

import "net"

// LimitUnsent does nothing where it is not known how.
func LimitUnsent(net.Conn) {}
