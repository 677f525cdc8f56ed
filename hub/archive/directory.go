package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
)

// Directory is an archive of files. It must exist: one that the hub made where nothing is
// mounted would fill the machine's own disk, and be hidden by the mount later.
type Directory struct{ dir string }

func openDirectory(u *url.URL) (*Directory, error) {
	if u.Host != "" || !filepath.IsAbs(u.Path) || filepath.Clean(u.Path) == "/" {
		return nil, errors.New("is not a directory like file:///srv/fairlead/logs, with three slashes")
	}
	return &Directory{dir: filepath.Clean(u.Path)}, nil
}

// Name implements Archive.
func (d *Directory) Name() string { return (&url.URL{Scheme: "file", Path: d.dir}).String() }

// root opens the directory anew each time: it may have been mounted since. What a link
// leads out of it is refused by the root itself.
func (d *Directory) root(key string) (*os.Root, error) {
	if !fs.ValidPath(key) || key == "." {
		return nil, fmt.Errorf("%q is no path inside of an archive", key)
	}
	root, err := os.OpenRoot(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory %s does not exist; mount it, or make it for the hub's user", d.dir)
	}
	return root, err
}

// Put implements Archive: a file appears whole and synced under its name, or not at all.
func (d *Directory) Put(ctx context.Context, key string, size int64, body io.Reader) error {
	root, err := d.root(key)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // nothing is written through it
	if err := makeDirectories(root, path.Dir(key)); err != nil {
		return err
	}
	// One name for each key, so that a member that was killed leaves no more than one. A
	// rival that writes it too writes the same bytes, or fails to rename what is gone.
	part := path.Join(path.Dir(key), "."+path.Base(key)+".part")
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(ctx, root, part, size, body); err != nil {
		return errors.Join(err, remove(root, part)) // a full disk must not stay so for it
	}
	if err := root.Rename(part, key); err != nil {
		return err
	}
	return syncDirectory(root, path.Dir(key))
}

func writeFile(ctx context.Context, root *os.Root, name string, size int64, body io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, &untilDone{ctx, body})
	if err == nil && n != size {
		err = fmt.Errorf("wrote %d bytes of %d", n, size)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// untilDone ends a copy with its context.
type untilDone struct {
	ctx  context.Context //nolint:containedctx // it is an argument of the copy, which has none
	body io.Reader
}

func (u *untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.body.Read(b)
}

func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// makeDirectories makes what is missing of a path, each synced into its parent: a file
// whose directory is forgotten in a crash is forgotten too.
func makeDirectories(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := root.Stat(dir); err == nil {
		return nil
	}
	if err := makeDirectories(root, path.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirectory(root, path.Dir(dir))
}

func syncDirectory(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get implements Archive.
func (d *Directory) Get(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	root, err := d.root(key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // the file stays open
	f, err := root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, filepath.Join(d.dir, key))
	}
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, length), f}, nil
}

// Delete implements Archive. Directories that it leaves empty go too; a rival that is about
// to write there fails, and tries again.
func (d *Directory) Delete(_ context.Context, key string) error {
	root, err := d.root(key)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // nothing is written through it
	if err := remove(root, key); err != nil {
		return err
	}
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			return nil // there is more in it
		}
	}
	return nil
}
