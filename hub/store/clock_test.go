package store

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClockNeverGoesBackALittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock{start: time.Now()}
		base := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
		learn := func(said int64) { c.learn(said, time.Now(), time.Now()) }
		learn(base)
		if got := c.now(); got != base {
			t.Fatalf("now is %d µs from what the database said", got-base)
		}
		// Noise: 300 ms back. Time stands still until it is passed again.
		learn(base - 300_000)
		if got := c.now(); got != base {
			t.Errorf("time moved by %d µs", got-base)
		}
		<-time.After(time.Second)
		if got := c.now(); got != base+700_000 {
			t.Errorf("now is %d µs on, want 700,000", got-base)
		}
		// The database's clock was set back by an hour: we follow.
		learn(base - 3_600_000_000)
		if got := c.now(); got != base-3_600_000_000 {
			t.Errorf("now is %d µs on, want an hour back", got-base)
		}
	})
}

func TestClockTakesTheMiddleOfTheRoundTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock{start: time.Now()}
		before := time.Now()
		<-time.After(2 * time.Second)
		c.learn(1_000_000_000, before, time.Now())
		if got := c.now(); got != 1_001_000_000 {
			t.Errorf("got %d, want half the round trip later", got)
		}
	})
}

func TestTimeColumns(t *testing.T) {
	t.Parallel()
	for _, want := range []time.Time{{}, time.UnixMicro(1).UTC(), time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)} {
		var got time.Time
		if err := timeInto(&got).Scan(at(want)); err != nil || !got.Equal(want) || got.IsZero() != want.IsZero() {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	var got time.Time
	if err := timeInto(&got).Scan("text"); err == nil {
		t.Error("a text was taken for a time")
	}
}

func TestTuples(t *testing.T) {
	t.Parallel()
	if got, want := tuples(3, 2, 2), "($3, $4), ($5, $6)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
