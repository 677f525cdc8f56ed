// Package disk is the few things that the runner asks of a file system. It is a seam:
// tests and the simulation put memdisk in its place, which forgets what was not synced.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

// FS is one directory. Names are relative to it, with slashes.
type FS interface {
	// Append opens a file for appending and reading and makes it when it is missing.
	Append(name string) (File, error)
	ReadFile(name string) ([]byte, error)
	// List returns the names of the files of a directory, sorted; a directory that is
	// missing is empty.
	List(dir string) ([]Info, error)
	MkdirAll(dir string) error
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the entries of a directory last: names made, renamed and removed.
	SyncDir(dir string) error
	// Free returns the bytes that this process may still write, and the disk's size.
	Free() (free, total uint64, err error)
}

// File is an open file that is only ever appended to.
type File interface {
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync returns when the disk has the data and the size.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// Info tells about a file.
type Info struct {
	Name    string
	Size    int64
	ModTime time.Time
}

// WriteFile replaces a file so that after a power cut either the old or the new
// content is there, whole.
func WriteFile(fs FS, name string, data []byte) error {
	temp := name + ".new"
	if err := fs.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := fs.Append(temp)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", temp, err)
	}
	if err := fs.Rename(temp, name); err != nil {
		return err
	}
	return fs.SyncDir(filepath.ToSlash(filepath.Dir(name)))
}

// OS is a directory of the operating system. Nothing in it can be reached through a
// symbolic link that leads out of it.
type OS struct {
	root *os.Root
}

// Open opens the directory and makes it, mode 0700, when it is missing.
func Open(dir string) (*OS, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the data directory: %w", err)
	}
	return &OS{root: root}, nil
}

// Close closes the directory; open files of it stay usable.
func (o *OS) Close() error { return o.root.Close() }

type osFile struct{ *os.File }

// Sync calls fdatasync: size and data, but not the times of the inode.
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Append implements FS.
func (o *OS) Append(name string) (File, error) {
	f, err := o.root.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return appendFile{osFile{f}}, nil
}

// appendFile hides os.File's WriteAt and the like, and reads with ReadAt, which
// O_APPEND does not disturb.
type appendFile struct{ f osFile }

func (a appendFile) ReadAt(p []byte, off int64) (int, error) { return a.f.ReadAt(p, off) }
func (a appendFile) Write(p []byte) (int, error)             { return a.f.Write(p) }
func (a appendFile) Close() error                            { return a.f.Close() }
func (a appendFile) Sync() error                             { return a.f.Sync() }
func (a appendFile) Truncate(size int64) error               { return a.f.Truncate(size) }
func (a appendFile) Size() (int64, error)                    { return a.f.Size() }

// ReadFile implements FS.
func (o *OS) ReadFile(name string) ([]byte, error) { return o.root.ReadFile(name) }

// List implements FS.
func (o *OS) List(dir string) ([]Info, error) {
	d, err := o.root.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // removed meanwhile, or none of ours
		}
		out = append(out, Info{Name: info.Name(), Size: info.Size(), ModTime: info.ModTime()})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// MkdirAll implements FS.
func (o *OS) MkdirAll(dir string) error { return o.root.MkdirAll(dir, 0o700) }

// Rename implements FS.
func (o *OS) Rename(from, to string) error { return o.root.Rename(from, to) }

// Remove implements FS.
func (o *OS) Remove(name string) error { return o.root.Remove(name) }

// SyncDir implements FS.
func (o *OS) SyncDir(dir string) error {
	d, err := o.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Free implements FS.
func (o *OS) Free() (free, total uint64, err error) {
	d, err := o.root.Open(".")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = d.Close() }()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("asking for free space: %w", err)
	}
	size := uint64(st.Bsize)
	return st.Bavail * size, st.Blocks * size, nil
}
