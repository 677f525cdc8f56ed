package archive

import (
	"context"
	"slices"
	"sync"
)

// cachedEntries bounds the index entries that are kept, some 20 MB; one index is kept however
// large it is, or each part of its log would cost it anew.
const cachedEntries = 150_000

// Cache keeps the indexes of objects that were read last, so that each part of a log
// costs one request.
type Cache struct {
	mu      sync.Mutex
	list    []*Object // the last used at the end
	entries int
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
	c.entries += o.entries()
	for c.entries > cachedEntries && len(c.list) > 1 {
		c.entries -= c.list[0].entries()
		c.list = slices.Delete(c.list, 0, 1)
	}
}

// entries is how many entries an index counts for: what it has, and one for as many nodes as
// take the memory of one.
func (o *Object) entries() int {
	const nodesOfEntry = 14
	nodes := 0
	for i := range o.Chunks {
		nodes += len(o.Chunks[i].Nodes)
	}
	return 1 + len(o.Chunks) + nodes/nodesOfEntry
}
