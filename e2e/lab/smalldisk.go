package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// SmallDisk is a file system of some megabytes at a directory, which only the programs see
// that are started on it. It is memory, in a mount namespace of its own: nobody needs to be
// root for that where the kernel lets others make namespaces.
type SmallDisk struct {
	dir    string
	holder *exec.Cmd // the namespace lives as long as it does
	alive  io.Closer // it ends when this is closed
}

// holdDisk mounts the disk, fills it with what the directory had, and stays until its input
// ends.
const holdDisk = `
copy=$(mktemp -d) && cp -a "$2/." "$copy" && mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2" &&
cp -a "$copy/." "$2" && rm -rf "$copy" && echo ready && exec cat >/dev/null`

// NewSmallDisk puts a disk of so many MiB over dir, which must exist.
func NewSmallDisk(ctx context.Context, dir string, mib int) (*SmallDisk, error) {
	d := &SmallDisk{dir: dir, holder: exec.CommandContext(ctx, "/bin/sh", "-c", holdDisk, "smalldisk", strconv.Itoa(mib)+"m", dir)}
	d.holder.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		d.holder.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		d.holder.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		d.holder.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	in, err := d.holder.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making a small disk: %w", err)
	}
	out, err := d.holder.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("making a small disk: %w", err)
	}
	d.holder.Stderr = os.Stderr
	if err := d.holder.Start(); err != nil {
		return nil, fmt.Errorf("making a small disk: %w", err)
	}
	d.alive = in
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		d.Remove()
		return nil, fmt.Errorf("mounting a small disk at %s failed", dir)
	}
	return d, nil
}

// Remove takes the disk away once the programs on it have ended.
func (d *SmallDisk) Remove() {
	_ = d.alive.Close()
	_ = d.holder.Wait() // ends as it was told
}

// Path names a file of the disk, below its directory, from outside.
func (d *SmallDisk) Path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(d.holder.Process.Pid), "root", d.dir, name)
}

// Resize makes the disk so many MiB large.
func (d *SmallDisk) Resize(ctx context.Context, mib int) error {
	program, args := d.enter("mount", "-o", "remount,size="+strconv.Itoa(mib)+"m", d.dir)
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("resizing the small disk: %w\n%s", err, out)
	}
	return nil
}

// Start is a Starter of programs that see the disk.
func (d *SmallDisk) Start(dir, name string, env []string, program string, args ...string) (*Process, error) {
	program, args = d.enter(append([]string{program}, args...)...)
	return StartProcess(dir, name, env, program, args...)
}

// enter is a command as one within the disk's namespace.
func (d *SmallDisk) enter(command ...string) (program string, args []string) {
	args = []string{"--target", strconv.Itoa(d.holder.Process.Pid), "--mount"}
	if os.Getuid() != 0 {
		args = append(args, "--user", "--preserve-credentials")
	}
	return "nsenter", append(append(args, "--"), command...)
}
