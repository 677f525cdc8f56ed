package session

import (
	"slices"
	"testing"
)

// Every address gets its turn before one gets its second, and none two turns in a row.
func TestPick(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c", "d"}
	c := New(Config{Addresses: func() []string { return all }})
	last := ""
	for round := range 50 {
		var got []string
		for range all {
			a, err := c.pick()
			if err != nil || a == last {
				t.Fatalf("round %d: %q after %q, error %v", round, a, last, err)
			}
			last, got = a, append(got, a)
		}
		if slices.Sort(got); !slices.Equal(got, all) {
			t.Errorf("round %d went to %v", round, got)
		}
	}
	all = []string{"a"}
	for range 3 {
		if a, err := c.pick(); a != "a" || err != nil {
			t.Errorf("the only address: %q, %v", a, err)
		}
	}
	all = nil
	if _, err := c.pick(); err == nil {
		t.Error("an address was drawn out of none")
	}
}
