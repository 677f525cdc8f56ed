package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A new process that ends is not waited for: meanwhile a reload stands still, and where
// nobody serves, nobody is started.
func TestSuccessorThatEndsIsToldAtOnce(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	p := &program{self: "/bin/false", stdout: &out, stderr: &errs}
	start := time.Now()
	_, err := p.startSuccessor()
	if err == nil || !strings.Contains(err.Error(), "ended by itself (exit status 1)") {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(start); took > readyWait/2 {
		t.Errorf("it took %s to find out", took)
	}
}
