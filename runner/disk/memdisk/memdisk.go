// Package memdisk is a file system in memory that forgets what was not synced: data
// behind the last Sync of a file, and names whose directory was not synced.
package memdisk

import (
	"errors"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/runner/disk"
)

// FS implements disk.FS. It is safe for concurrent use.
type FS struct {
	mu    sync.Mutex
	now   map[string]*inode // what a reader sees
	kept  map[string]*inode // what a power cut leaves
	dirs  map[string]bool
	era   int // rises with each crash: files opened before are dead
	syncs int
	free  uint64

	// hook is asked before each change ("write", "sync", "syncdir", "rename",
	// "remove"); an error fails the operation.
	hook func(op, name string) error
}

type inode struct {
	data   []byte
	synced int
	time   time.Time
}

// ErrCrashed is what operations on a file of an earlier life return.
var ErrCrashed = errors.New("memdisk: the machine went down")

// New makes an empty disk with 1 TiB free.
func New() *FS {
	return &FS{now: map[string]*inode{}, kept: map[string]*inode{}, dirs: map[string]bool{".": true}, free: 1 << 40}
}

// SetHook sets what is asked before each change. The hook may call Crash.
func (f *FS) SetHook(hook func(op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// SetFree sets the free space that Free tells.
func (f *FS) SetFree(free uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = free
}

// Syncs returns how many times files were synced.
func (f *FS) Syncs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs
}

// Crash is a power cut: everything not synced is gone but for a torn part of each
// file's tail, tail of its unsynced bytes (0 for none). Files that are open are dead.
func (f *FS) Crash(tail int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.era++
	f.now = map[string]*inode{}
	for name, node := range f.kept {
		keep := min(len(node.data), node.synced+tail)
		data := append([]byte(nil), node.data[:keep]...)
		n := &inode{data: data, synced: keep, time: node.time}
		f.now[name], f.kept[name] = n, n
	}
}

// Kill is kill -9 of the process: the page cache keeps all, open files are dead.
func (f *FS) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.era++
}

// Clone copies the disk as a person would copy a directory.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := New()
	for name, node := range f.now {
		n := &inode{data: append([]byte(nil), node.data...), synced: len(node.data), time: node.time}
		c.now[name], c.kept[name] = n, n
	}
	for dir := range f.dirs {
		c.dirs[dir] = true
	}
	return c
}

// Damage changes one byte of a file, as a bad disk would.
func (f *FS) Damage(name string, offset int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now[name].data[offset] ^= 0xff
}

func (f *FS) current() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.era
}

func (f *FS) ask(op, name string) error {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, name)
}

// Mount is the disk as one process sees it: after Crash or Kill it is dead, so that a
// process that was killed cannot go on with files it opens anew. Each operation looks
// under the lock that makes it: of one that a power cut overtakes nothing is told as done.
type Mount struct {
	*FS
	era int
}

var (
	_ disk.FS = (*FS)(nil)
	_ disk.FS = (*Mount)(nil)
)

// Mount returns the disk for a new process.
func (f *FS) Mount() *Mount {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &Mount{FS: f, era: f.era}
}

// Append implements disk.FS.
func (m *Mount) Append(name string) (disk.File, error) { return m.open(name, m.era) }

// MkdirAll implements disk.FS.
func (m *Mount) MkdirAll(dir string) error { return m.mkdirAll(dir, m.era) }

// Rename implements disk.FS.
func (m *Mount) Rename(from, to string) error { return m.rename(from, to, m.era) }

// Remove implements disk.FS.
func (m *Mount) Remove(name string) error { return m.remove(name, m.era) }

// SyncDir implements disk.FS.
func (m *Mount) SyncDir(dir string) error { return m.syncDir(dir, m.era) }

// Append implements disk.FS.
func (f *FS) Append(name string) (disk.File, error) { return f.open(name, f.current()) }

func (f *FS) open(name string, era int) (disk.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if era != f.era {
		return nil, ErrCrashed
	}
	name = path.Clean(name)
	node := f.now[name]
	if node == nil {
		if !f.dirs[path.Dir(name)] {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		node = &inode{time: time.Now()}
		f.now[name] = node
	}
	return &file{fs: f, name: name, node: node, era: f.era}, nil
}

// ReadFile implements disk.FS.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.now[path.Clean(name)]
	if node == nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return append([]byte(nil), node.data...), nil
}

// List implements disk.FS.
func (f *FS) List(dir string) ([]disk.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []disk.Info
	for name, node := range f.now {
		if path.Dir(name) == path.Clean(dir) {
			out = append(out, disk.Info{Name: path.Base(name), Size: int64(len(node.data)), ModTime: node.time})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// MkdirAll implements disk.FS. Directories last at once.
func (f *FS) MkdirAll(dir string) error { return f.mkdirAll(dir, f.current()) }

func (f *FS) mkdirAll(dir string, era int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if era != f.era {
		return ErrCrashed
	}
	for dir = path.Clean(dir); dir != "." && dir != "/"; dir = path.Dir(dir) {
		f.dirs[dir] = true
	}
	return nil
}

// Rename implements disk.FS.
func (f *FS) Rename(from, to string) error { return f.rename(from, to, f.current()) }

func (f *FS) rename(from, to string, era int) error {
	if err := f.ask("rename", from); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if era != f.era {
		return ErrCrashed
	}
	from, to = path.Clean(from), path.Clean(to)
	node := f.now[from]
	if node == nil {
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	delete(f.now, from)
	f.now[to] = node
	return nil
}

// Remove implements disk.FS.
func (f *FS) Remove(name string) error { return f.remove(name, f.current()) }

func (f *FS) remove(name string, era int) error {
	if err := f.ask("remove", name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if era != f.era {
		return ErrCrashed
	}
	name = path.Clean(name)
	if f.now[name] == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	delete(f.now, name)
	return nil
}

// SyncDir implements disk.FS.
func (f *FS) SyncDir(dir string) error { return f.syncDir(dir, f.current()) }

func (f *FS) syncDir(dir string, era int) error {
	if err := f.ask("syncdir", dir); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if era != f.era {
		return ErrCrashed
	}
	dir = path.Clean(dir)
	for name := range f.kept {
		if path.Dir(name) == dir && f.now[name] == nil {
			delete(f.kept, name)
		}
	}
	for name, node := range f.now {
		if path.Dir(name) == dir {
			f.kept[name] = node
		}
	}
	return nil
}

// Free implements disk.FS.
func (f *FS) Free() (free, total uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.free, 1 << 40, nil
}

// Names returns all files, sorted, for the messages of tests.
func (f *FS) Names() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for name := range f.now {
		out = append(out, name)
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

type file struct {
	fs   *FS
	name string
	node *inode
	era  int
}

func (h *file) alive() error {
	if h.era != h.fs.era {
		return ErrCrashed
	}
	return nil
}

func (h *file) Write(p []byte) (int, error) {
	if err := h.fs.ask("write", h.name); err != nil {
		return 0, err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.alive(); err != nil {
		return 0, err
	}
	h.node.data = append(h.node.data, p...)
	h.node.time = time.Now()
	return len(p), nil
}

func (h *file) ReadAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.alive(); err != nil {
		return 0, err
	}
	if off >= int64(len(h.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *file) Sync() error {
	if err := h.fs.ask("sync", h.name); err != nil {
		return err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.alive(); err != nil {
		return err
	}
	h.fs.syncs++
	h.node.synced = len(h.node.data)
	return nil
}

func (h *file) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.alive(); err != nil {
		return err
	}
	h.node.data = h.node.data[:size]
	h.node.synced = min(h.node.synced, int(size))
	return nil
}

func (h *file) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.node.data)), h.alive()
}

func (h *file) Close() error { return nil }
