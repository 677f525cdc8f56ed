// Command fairlead is the command line of a Fairlead hub: fairlead NOUN VERB.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// version is set by the linker.
var version = "dev"

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv,
		signals: signals, release: func() { signal.Stop(signals) },
		asks:   term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		colour: term.IsTerminal(int(os.Stdout.Fd())),
		hidden: readHidden,
	}
	os.Exit(a.main(context.Background(), os.Args[1:]))
}

// readHidden reads a line without showing it. Broken off, it leaves the terminal as it
// was: a shell without echo would be what remains else.
func readHidden(ctx context.Context) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	line, err := until(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	if ctx.Err() != nil {
		_ = term.Restore(fd, before) // the program ends
	}
	return line, err
}
