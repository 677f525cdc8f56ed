package output

import (
	"testing"

	"github.com/fairlead/fairlead/hub/store"
)

// TestPushedFramesAreBounded pushes to a follower that takes nothing more uncompressed
// chunks than may wait, and then to another, once there is room again.
func TestPushedFramesAreBounded(t *testing.T) {
	t.Parallel()
	var f followers
	chunk := []store.ChunkRow{{Data: make([]byte, 100), Frames: make([]byte, framesLimit/4)}}
	slow, member := f.join("e", false), f.join("e", true)
	for range 6 {
		f.push("e", chunk, false, false)
	}
	with := func(rows []store.ChunkRow) (n int) {
		for i := range rows {
			if rows[i].Frames != nil {
				n++
			}
		}
		return n
	}
	if n := with(slow.pushed); len(slow.pushed) != 6 || n != 4 {
		t.Errorf("%d chunks wait, %d of them uncompressed; want 6 and 4", len(slow.pushed), n)
	}
	if n := with(member.pushed); len(member.pushed) != 6 || n != 0 {
		t.Errorf("%d chunks wait for another member, %d of them uncompressed; want 6 and 0", len(member.pushed), n)
	}
	f.leave("e", slow)
	next := f.join("e", false)
	f.push("e", chunk, false, false)
	if rows, _ := f.take(next); with(rows) != 1 {
		t.Error("who comes after one that left gets nothing uncompressed")
	}
	if f.frames != 0 {
		t.Errorf("%d bytes are counted with nothing waiting", f.frames)
	}
}
