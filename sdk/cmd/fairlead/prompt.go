package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// interruptible is an input whose reads end with ctx: a read of a terminal cannot be
// broken off, and Ctrl-C at a question would wait for an answer.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader. A read that is left behind keeps its own buffer.
func (r *interruptible) Read(b []byte) (int, error) {
	got, err := until(r.ctx, func() ([]byte, error) {
		own := make([]byte, len(b))
		n, err := r.in.Read(own)
		return own[:n], err
	})
	return copy(b, got), err
}

// until returns what read returns, or why ctx ended before it did.
func until(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type answer struct {
		b   []byte
		err error
	}
	got := make(chan answer, 1)
	go func() {
		b, err := read()
		got <- answer{b, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-got:
		return a.b, a.err
	}
}

// confirm asks a question that only a person may answer.
func (a *app) confirm(question string) (bool, error) {
	answer, err := a.ask(question)
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// ask reads one line.
func (a *app) ask(question string) (string, error) {
	_, _ = fmt.Fprint(a.err, question) // nobody is left to ask
	reader, ok := a.in.(*bufio.Reader)
	if !ok {
		reader = bufio.NewReader(a.in)
		a.in = reader
	}
	line, err := reader.ReadString('\n')
	return strings.TrimSpace(line), err
}
