package stepdir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

type facts struct{ Word string }

func keep(t *testing.T, stop func(Stop)) (*Keeper, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "handover", "a.0.0.1")
	k, err := Keep(dir, facts{"begun"}, stop)
	if err != nil {
		t.Fatal(err)
	}
	return k, dir
}

// look inspects a directory without keeping its lock.
func look(t *testing.T, dir string) (started, exit facts, st State) {
	t.Helper()
	held, st := Inspect(dir, 0, &started, &exit)
	if held != nil {
		_ = held.Close()
	}
	return started, exit, st
}

func dial(t *testing.T, dir string) (*Link, chan News) {
	t.Helper()
	conn, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l, news := NewLink(conn), make(chan News, 1)
	go l.ReceiveNews(news)
	return l, news
}

// untilTold waits until the keeper tells of so much output.
func untilTold(t *testing.T, news <-chan News, offset uint64) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case m, ok := <-news:
			if !ok {
				t.Fatalf("the keeper is gone before it told of %d bytes", offset)
			}
			if m.Out != nil && *m.Out >= offset {
				return
			}
		case <-limit:
			t.Fatalf("the keeper never told of %d bytes", offset)
		}
	}
}

// untilGone waits until a link ends.
func untilGone(t *testing.T, news <-chan News) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case _, ok := <-news:
			if !ok {
				return
			}
		case <-limit:
			t.Fatal("the link does not end")
		}
	}
}

// A directory says that its command runs, and then how it ended; what was printed stays.
func TestKeeperLetsGoWithTheEnd(t *testing.T) {
	t.Parallel()
	k, dir := keep(t, nil)
	if s, _, st := look(t, dir); st != Running || s.Word != "begun" {
		t.Errorf("at first %v, %+v", st, s)
	}
	_, news := dial(t, dir)
	if err := k.Write(wire.Stderr, []byte("text")); err != nil {
		t.Fatal(err)
	}
	untilTold(t, news, 4)
	if err := k.End(facts{"over"}); err != nil {
		t.Fatal(err)
	}
	untilGone(t, news) // by then the end is there
	if _, x, st := look(t, dir); st != Finished || x.Word != "over" {
		t.Errorf("at the end %v, %+v", st, x)
	}
	r := outReader{dir: dir}
	defer r.close()
	if stream, p, err := r.next(); err != nil || stream != wire.Stderr || string(p) != "text" {
		t.Errorf("read %v %q, %v", stream, p, err)
	}
}

// A later runner takes the place of the one before, and both can give room and have the
// command ended.
func TestKeeperServesOneRunnerAfterAnother(t *testing.T) {
	t.Parallel()
	stops := make(chan Stop, 1)
	k, dir := keep(t, func(s Stop) { stops <- s })
	_, first := dial(t, dir)
	untilTold(t, first, 0)
	second, news := dial(t, dir)
	untilGone(t, first) // it is told no more
	written := make(chan error, 1)
	go func() { written <- k.Write(wire.Stdout, []byte(strings.Repeat("x", OutLimit+MaxRecord))) }()
	untilTold(t, news, OutLimit)
	select {
	case err := <-written:
		t.Fatalf("more was written than may wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	room := uint64(SegmentBytes)
	if err := second.Send(Control{Released: &room}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-written:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("there is room, and the rest is not written")
	}
	if err := second.Send(Control{Stop: &Stop{Cause: CauseTimedOut}}); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-stops:
		if s.Cause != CauseTimedOut {
			t.Errorf("stopped for %q", s.Cause)
		}
	case <-time.After(time.Minute):
		t.Fatal("the stop never came")
	}
	if err := k.End(facts{}); err != nil {
		t.Error(err)
	}
}

// What is taken back leaves nothing, and can be offered again.
func TestKeeperIsDropped(t *testing.T) {
	t.Parallel()
	k, dir := keep(t, nil)
	k.Drop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
	again, err := Keep(dir, facts{"again"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, _, st := look(t, dir); st != Running || s.Word != "again" {
		t.Errorf("%v, %+v", st, s)
	}
	again.Drop()
}

// A keeper that died has no end to tell.
func TestDeadKeeper(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, st := look(t, dir); st != Never {
		t.Errorf("an empty directory is %v", st)
	}
	f, err := OpenLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (Entry{Started: facts{"begun"}}).Append(f); err != nil {
		t.Fatal(err)
	}
	if _, _, st := look(t, dir); st != Dead {
		t.Errorf("started, not held, no end: %v", st)
	}
	if _, err := f.WriteString(`{"exit":{"Word":"ov`); err != nil {
		t.Fatal(err)
	}
	if _, _, st := look(t, dir); st != Dead {
		t.Errorf("half an end: %v", st)
	}
}
