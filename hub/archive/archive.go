// Package archive keeps the logs of ended executions as objects: the form of an object,
// where it lies, and the places that keep objects. It knows nothing of the database;
// docs/archive.md is its specification.
package archive

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// ErrNotFound is in the error of Get when there is no such object.
var ErrNotFound = errors.New("there is no such object")

// Archive is a place that keeps objects. All methods may be called by many goroutines
// at once.
type Archive interface {
	// Name is its address without anything secret, as rows name it.
	Name() string
	// Put keeps size bytes of body under a key, in place of what was there. What it leaves
	// when it fails is not to be trusted, and neither is its success: read it back.
	Put(ctx context.Context, key string, size int64, body io.Reader) error
	// Get reads at most length bytes from an offset on; the caller closes.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Delete removes an object, or finds that it is gone.
	Delete(ctx context.Context, key string) error
}

// Options say where an archive is and how it is spoken to.
type Options struct {
	// URL as in archive.url.
	URL string
	S3  S3Options
	// Azure counts for azblob.
	Azure AzureOptions
}

// Open makes an archive of options without asking it anything: one that is down must
// not keep a hub from starting. An error is for who wrote the URL.
func Open(o Options) (Archive, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("is not an address like file:///srv/logs or s3://bucket/prefix")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("holds more than a place; users, keys and options have settings of their own")
	}
	switch u.Scheme {
	case "file":
		return openDirectory(u)
	case "s3":
		return openS3(u, o.S3)
	case "azblob":
		return openAzure(u, o.Azure)
	default:
		return nil, errors.New("begins with none of file://, s3:// and azblob://")
	}
}

// NameOf is the name of the archive with an address that is written in any way.
func NameOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(path.Clean("/"+u.Path), "/")}).String()
}

// Try puts a small object into an archive, reads it back and deletes it, as packing does, and
// tells what of that fails.
func Try(ctx context.Context, a Archive) (err error) {
	key := "probe-" + rand.Text()
	if err := a.Put(ctx, key, int64(len(key)), strings.NewReader(key)); err != nil {
		return fmt.Errorf("an object could not be put into the archive %s: %w", a.Name(), err)
	}
	defer func() {
		if gone := a.Delete(context.WithoutCancel(ctx), key); gone != nil {
			err = errors.Join(err, fmt.Errorf("the object %s could not be deleted from the archive %s: %w", key, a.Name(), gone))
		}
	}()
	body, err := a.Get(ctx, key, 0, int64(len(key)))
	if err != nil {
		return fmt.Errorf("what was put into the archive %s could not be read back: %w", a.Name(), err)
	}
	defer func() { _ = body.Close() }() // all that counts was read
	got, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("what was put into the archive %s could not be read back: %w", a.Name(), err)
	}
	if string(got) != key {
		return fmt.Errorf("the archive %s gave back something else than was put into it", a.Name())
	}
	return nil
}

// Same reports whether two archives are one place under two names, such as a directory and
// a link to it: what is put into the one is then found in the other, and to delete it there
// is to lose it.
func Same(ctx context.Context, to, from Archive) (bool, error) {
	key := "probe-" + rand.Text()
	if err := to.Put(ctx, key, int64(len(key)), strings.NewReader(key)); err != nil {
		return false, fmt.Errorf("trying whether the archives %s and %s are one place: %w", to.Name(), from.Name(), err)
	}
	defer func() { _ = to.Delete(context.WithoutCancel(ctx), key) }() // some bytes stay if this fails
	found, err := from.Get(ctx, key, 0, int64(len(key)))
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("trying whether the archives %s and %s are one place: %w", to.Name(), from.Name(), err)
	}
	_ = found.Close() // that it is there was the question
	return true, nil
}

// Archives are those that a member knows.
type Archives struct {
	// Current is where logs are packed to; nil: they stay in the database.
	Current Archive
	// Other is read from alone; may be nil.
	Other Archive
}

// Named returns the archive of a row.
func (a *Archives) Named(name string) (Archive, error) {
	for _, one := range []Archive{a.Current, a.Other} {
		if one != nil && one.Name() == name {
			return one, nil
		}
	}
	return nil, hub.Errorf(hub.CodeUnavailable, "This output lies in the archive %s, which this hub does not know. Configure it there as archive.other.url, or bring the output back with `fairlead-hub archive move`.", name)
}

// Names lists the archives that are known, for messages.
func (a *Archives) Names() string {
	var names []string
	for _, one := range []Archive{a.Current, a.Other} {
		if one != nil {
			names = append(names, one.Name())
		}
	}
	return strings.Join(names, ", ")
}
