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
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, signals: signals,
		asks:   term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		colour: term.IsTerminal(int(os.Stdout.Fd())),
		hidden: func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) },
	}
	os.Exit(a.main(context.Background(), os.Args[1:]))
}
