package output

import (
	"context"
	"errors"
	"sort"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/store"
)

// archivedAtOnce bounds the compressed bytes of one request to an archive, which answers
// slower than the database.
const archivedAtOnce = 4 << 20

// chunks reads at most n chunks of a log from a number on, from where they lie; none:
// nothing of it is left, or wanted. With heads it is the one place that knows of rows and
// archive.
//
// Rows are asked first, as they go only after the object has become the log, the first of
// them first: what is no row is in the archive by then, whenever it was packed.
func (o *Output) chunks(ctx context.Context, s *source, from int64, n int) ([]store.ChunkRow, error) {
	if !s.placed(from) {
		rows, err := o.st.Chunks(ctx, s.log.AttemptID, from, s.before, n)
		if err != nil || len(rows) > 0 && rows[0].Seq == from || s.place != nil {
			return rows, err
		}
		if err := o.findPlace(ctx, s); err != nil {
			return nil, err
		}
		if !s.placed(from) {
			return rows, nil // dropped by retention up to there
		}
	}
	var rows []store.ChunkRow
	err := o.inArchive(ctx, s, func(obj *archive.Object) (err error) {
		rows, err = archived(ctx, obj, s, from, n)
		return err
	})
	return rows, err
}

// heads reads the chunks of a log from a number up to another without their data, as chunks
// does.
func (o *Output) heads(ctx context.Context, s *source, from, to int64) ([]store.ChunkHead, error) {
	if !s.placed(from) {
		heads, err := o.st.ChunkHeads(ctx, s.log.AttemptID, from, to)
		if err != nil || len(heads) > 0 && heads[0].Seq == from || s.place != nil {
			return heads, err
		}
		if err := o.findPlace(ctx, s); err != nil {
			return nil, err
		}
		if !s.placed(from) {
			return heads, nil
		}
	}
	var heads []store.ChunkHead
	err := o.inArchive(ctx, s, func(obj *archive.Object) error {
		for i := from; i < min(to, int64(len(obj.Chunks))); i++ {
			c := &obj.Chunks[i]
			heads = append(heads, store.ChunkHead{Seq: i, FirstLine: c.FirstLine, Lines: c.Lines, TextBytes: c.TextBytes, Nodes: c.Nodes, Hash: c.Hash, Size: c.Size})
		}
		return nil
	})
	if err != nil || s.placed(to-1) {
		return heads, err
	}
	late, err := o.st.ChunkHeads(ctx, s.log.AttemptID, from+int64(len(heads)), to)
	return append(heads, late...), err
}

// placed reports whether a chunk is known to be archived.
func (s *source) placed(seq int64) bool { return s.place != nil && seq < s.place.Chunks }

func (o *Output) findPlace(ctx context.Context, s *source) (err error) {
	s.place, err = o.st.ArchivedLog(ctx, s.log.AttemptID)
	return err
}

// inArchive calls use with the object of a log. One that is gone may have been moved, or
// dropped by retention: then use is not called.
func (o *Output) inArchive(ctx context.Context, s *source, use func(*archive.Object) error) error {
	tried := *s.place
	err := o.use(ctx, s.place, use)
	if !errors.Is(err, archive.ErrNotFound) {
		return err
	}
	if e := o.findPlace(ctx, s); e != nil {
		return e
	}
	switch {
	case s.place == nil:
		return nil
	case s.place.Archive == tried.Archive:
		return o.unlessPurged(ctx, s.place.ExecutionID, err)
	default:
		return o.use(ctx, s.place, use)
	}
}

// unlessPurged is an error of reading an object, or that its execution is gone: retention
// deletes objects before the rows that tell of them, and nobody is to restore those.
func (o *Output) unlessPurged(ctx context.Context, executionID string, err error) error {
	gone, e := o.st.Purged(ctx, executionID)
	switch {
	case e != nil:
		return e
	case gone:
		return hub.Errorf(hub.CodeNotFound, "The execution is gone: retention took it.")
	default:
		return err
	}
}

func (o *Output) use(ctx context.Context, place *store.LogArchive, use func(*archive.Object) error) error {
	in, err := o.cfg.Archives.Named(place.Archive)
	if err != nil {
		return err
	}
	obj, err := o.objects.Open(ctx, in, place.Path, place.Size)
	if err == nil && (obj.AttemptID != place.AttemptID || int64(len(obj.Chunks)) != place.Chunks) {
		err = errors.New("it holds another log")
	}
	if err == nil {
		err = use(obj)
	}
	return unreadable(place, err)
}

// unreadable tells a reader what is wrong with an archive.
func unreadable(place *store.LogArchive, err error) error {
	var bad *archive.BadChunkError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &bad):
		e := hub.Errorf(hub.CodeInternal, "Chunk %d of attempt %s was changed in the archive %s since it was archived, as %s. Restore that object from a copy.", bad.Seq, place.AttemptID, place.Archive, place.Path)
		return errors.Join(e, err)
	case errors.Is(err, archive.ErrNotFound):
		e := hub.Errorf(hub.CodeUnavailable, "The archive %s has lost this output: there is no %s in it. Restore that object from a copy; `fairlead-hub archive verify` names all such.", place.Archive, place.Path)
		return errors.Join(e, err)
	default:
		e := hub.Errorf(hub.CodeUnavailable, "This output lies in the archive %s, which cannot be read now. Try again later; the hub's log tells why.", place.Archive)
		return errors.Join(e, err)
	}
}

// archived reads chunks of an object, as many as one request brings.
func archived(ctx context.Context, obj *archive.Object, s *source, from int64, n int) ([]store.ChunkRow, error) {
	to, size := int(from), 0
	for ; to < len(obj.Chunks) && to < int(from)+n && obj.Chunks[to].FirstByte < s.before; to++ {
		if size += obj.Chunks[to].Size; size > archivedAtOnce && to > int(from) {
			break
		}
	}
	if to == int(from) {
		return nil, nil
	}
	data, err := obj.Read(ctx, int(from), to)
	if err != nil {
		return nil, err
	}
	rows := make([]store.ChunkRow, len(data))
	for i := range rows {
		c := &obj.Chunks[int(from)+i]
		rows[i] = store.ChunkRow{
			AttemptID: obj.AttemptID, Seq: from + int64(i), FirstLine: c.FirstLine, Lines: c.Lines, FirstByte: c.FirstByte, TextBytes: c.TextBytes,
			Nodes: c.Nodes, Hash: c.Hash, Data: data[i],
		}
	}
	return rows, nil
}

// chunkAtLine returns the chunk of a log that holds a line, and its first line; zeros when
// retention dropped it.
func (o *Output) chunkAtLine(ctx context.Context, s *source, line int64) (seq, first int64, err error) {
	seq, first, ok, err := o.st.ChunkAtLine(ctx, s.log.AttemptID, line)
	if ok || err != nil {
		return seq, first, err
	}
	return o.archivedAt(ctx, s, line, func(c *archive.Chunk) int64 { return c.FirstLine })
}

// chunkAtByte returns the chunk of a log that holds a byte of its text, and its first byte;
// zeros when retention dropped it.
func (o *Output) chunkAtByte(ctx context.Context, s *source, at int64) (seq, first int64, err error) {
	seq, first, ok, err := o.st.ChunkAtByte(ctx, s.log.AttemptID, at)
	if ok || err != nil {
		return seq, first, err
	}
	return o.archivedAt(ctx, s, at, func(c *archive.Chunk) int64 { return c.FirstByte })
}

// archivedAt finds the last archived chunk that begins at or before a place.
func (o *Output) archivedAt(ctx context.Context, s *source, at int64, begins func(*archive.Chunk) int64) (seq, first int64, err error) {
	if err := o.findPlace(ctx, s); err != nil || s.place == nil {
		return 0, 0, err
	}
	err = o.inArchive(ctx, s, func(obj *archive.Object) error {
		i := sort.Search(len(obj.Chunks), func(i int) bool { return begins(&obj.Chunks[i]) > at }) - 1
		if i >= 0 {
			seq, first = int64(i), begins(&obj.Chunks[i])
		}
		return nil
	})
	return seq, first, err
}
