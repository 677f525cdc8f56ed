package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// listen makes single keys arrive on d.keys from now on, if there is a terminal.
func (d *demo) listen() error {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	restore, err := cbreak(fd)
	if err != nil {
		return err
	}
	d.stops = append(d.stops, restore)
	d.keys = make(chan byte)
	go readKeys(os.Stdin, d.keys)
	d.say("k: end the hub with kill -9 in the middle of the job, and start it again    Ctrl-C: end the demo\n")
	return nil
}

func readKeys(r io.Reader, keys chan<- byte) {
	buf := make([]byte, 1)
	for {
		if _, err := r.Read(buf); err != nil {
			return
		}
		keys <- buf[0]
	}
}

func isKill(key byte) bool { return key == 'k' || key == 'K' }

// cbreak makes single keys readable without Enter, and leaves Ctrl-C and the output as
// they are, unlike raw mode.
func cbreak(fd int) (restore func(), err error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("reading the terminal's mode: %w", err)
	}
	mode := *before
	mode.Lflag &^= unix.ICANON | unix.ECHO
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &mode); err != nil {
		return nil, fmt.Errorf("setting the terminal's mode: %w", err)
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}
