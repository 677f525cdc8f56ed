package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/runner/stepdir"
)

// scriptPrefix begins the names of the directories in which scripts lie.
const scriptPrefix = "fairlead-"

// memoryBacked reports whether dir keeps files in memory alone, as a script may hold
// secrets; and lets them be run, if they are to be. Containers often forbid that.
func memoryBacked(dir string, run bool) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.TMPFS_MAGIC && (!run || st.Flags&unix.ST_NOEXEC == 0) && unix.Access(dir, unix.W_OK) == nil
}

// writeScript writes the script to a private directory, which must be new. Its place
// is noted before, since a shim that is killed removes nothing. Where no directory is
// backed by memory, the script stays in this process, and its path is a link to it.
func (c *shimCommand) writeScript() error {
	if c.req.ScriptPath == "" {
		return nil
	}
	if c.req.ScriptLink {
		return c.linkScript()
	}
	if err := (stepdir.Entry{Script: c.req.ScriptPath}).Append(c.held); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(c.req.ScriptPath), 0o700); err != nil {
		return fmt.Errorf("making a directory for the script: %w", err)
	}
	err := os.WriteFile(c.req.ScriptPath, c.req.Script, c.req.ScriptMode)
	if err == nil {
		err = os.Chmod(c.req.ScriptPath, c.req.ScriptMode) // whatever the umask is
	}
	if err != nil {
		c.removeScript()
		return fmt.Errorf("writing the script: %w", err)
	}
	return nil
}

func (c *shimCommand) linkScript() error {
	f, err := memoryFile("script", c.req.Script)
	if err != nil {
		return err
	}
	c.script = f
	err = f.Chmod(c.req.ScriptMode)
	if err == nil {
		_ = os.Remove(c.req.ScriptPath) // of a shim that died before it started anything
		err = os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), c.req.ScriptPath)
	}
	if err != nil {
		c.removeScript()
		return fmt.Errorf("linking to the script: %w", err)
	}
	return nil
}

// memoryFile makes a file that is in no directory and on no disk.
func memoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = f.Write(content); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing a file in memory: %w", err)
	}
	return f, nil
}

// removeScript removes what writeScript made.
func (c *shimCommand) removeScript() {
	switch {
	case c.req.ScriptPath == "":
	case c.req.ScriptLink:
		_ = os.Remove(c.req.ScriptPath)
		if c.script != nil {
			_ = c.script.Close()
		}
	default:
		_ = os.RemoveAll(filepath.Dir(c.req.ScriptPath))
	}
}

// removeScript removes the script that a shim left that was killed.
func removeScript(dir string) {
	r, err := stepdir.ReadRecord(dir)
	if err != nil || r.Script == "" {
		return
	}
	if place := filepath.Dir(r.Script); strings.HasPrefix(filepath.Base(place), scriptPrefix) {
		_ = os.RemoveAll(place)
	}
}
