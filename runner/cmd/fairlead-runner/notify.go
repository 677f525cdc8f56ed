package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifySocket is where a service manager that asked for it is told how its service does.
const notifySocket = "NOTIFY_SOCKET"

// serviceManager is told in systemd's way; the zero value tells nobody.
type serviceManager struct{ socket string }

// serving tells that this process is the service from now on.
func (m serviceManager) serving() {
	m.tell("READY=1", fmt.Sprintf("MAINPID=%d", os.Getpid()), "STATUS=serving")
}

// reloading tells that a reload has begun; serving or refused follows.
func (m serviceManager) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // never fails
	m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// refused tells that the reload is over and that nothing has changed.
func (m serviceManager) refused(why error) {
	m.tell("READY=1", "STATUS=serving; the last reload was refused: "+oneLine(why))
}

// orphaned tells that no process serves.
func (m serviceManager) orphaned(why error) {
	m.tell("STATUS=NOT SERVING: no new process comes up: " + oneLine(why))
}

func (m serviceManager) stopping() { m.tell("STOPPING=1") }

// tell is best effort: the service goes on without being watched.
func (m serviceManager) tell(lines ...string) {
	if m.socket == "" {
		return
	}
	conn, err := new(net.Dialer).DialContext(context.Background(), "unixgram", m.socket)
	if err != nil {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // its queue may be full
	_, _ = conn.Write([]byte(strings.Join(lines, "\n")))
	_ = conn.Close()
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
