package archive

import (
	"context"
	"slices"
	"sync"
)

// cachedChunks bounds the index entries that are kept, some 20 MB; one index is kept however
// large it is, or each part of its log would cost it anew.
const cachedChunks = 150_000

// Cache keeps the indexes of objects that were read last, so that each part of a log
// costs one request.
type Cache struct {
	mu     sync.Mutex
	list   []*Object // the last used at the end
	chunks int
}

// Open is OpenObject, from the cache if the object is in it.
func (c *Cache) Open(ctx context.Context, in Archive, key string, size int64) (*Object, error) {
	if o := c.find(in, key, size); o != nil {
		return o, nil
	}
	o, err := OpenObject(ctx, in, key, size)
	if err == nil {
		c.keep(o)
	}
	return o, err
}

func (c *Cache) find(in Archive, key string, size int64) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.list, func(o *Object) bool { return o.in == in && o.key == key && o.size == size })
	if i < 0 {
		return nil
	}
	o := c.list[i]
	c.list = append(slices.Delete(c.list, i, i+1), o)
	return o
}

func (c *Cache) keep(o *Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, o)
	c.chunks += len(o.Chunks) + 1
	for c.chunks > cachedChunks && len(c.list) > 1 {
		c.chunks -= len(c.list[0].Chunks) + 1
		c.list = slices.Delete(c.list, 0, 1)
	}
}
