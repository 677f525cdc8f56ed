package archivetest

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"testing"
)

// Mount is a small file system in memory, in a mount namespace of a shell: so a test needs
// not be root, and leaves nothing mounted.
type Mount struct {
	// Dir is where it can be reached.
	Dir string

	t     testing.TB
	place string
	into  *bufio.Writer
	from  *bufio.Scanner
}

// StartMount mounts a file system with options of tmpfs; it ends with the test.
func StartMount(t testing.TB, options string) *Mount {
	t.Helper()
	c := exec.CommandContext(context.Background(), "unshare", "--map-root-user", "--mount", "sh")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // the shell ends with its input, and the mount with the shell
		_ = c.Wait()
	})
	dir := t.TempDir()
	m := &Mount{Dir: fmt.Sprintf("/proc/%d/root%s", c.Process.Pid, dir), t: t, place: dir, into: bufio.NewWriter(in), from: bufio.NewScanner(out)}
	m.run("mount -t tmpfs -o " + options + " tmpfs " + dir)
	return m
}

// Remount changes the options, such as size=1m or ro.
func (m *Mount) Remount(options string) {
	m.t.Helper()
	m.run("mount -o remount," + options + " " + m.place)
}

func (m *Mount) run(command string) {
	m.t.Helper()
	_, err := fmt.Fprintf(m.into, "%s 2>&1 && echo mounted\n", command)
	if err == nil {
		err = m.into.Flush()
	}
	if err != nil || !m.from.Scan() || m.from.Text() != "mounted" {
		m.t.Fatalf("%s: %v %s", command, err, m.from.Text())
	}
}
