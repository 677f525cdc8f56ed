package hub_test

import (
	"testing"

	"github.com/fairlead/fairlead/hub"
)

func TestIntersectsClasses(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]bool{
		"[a-z&&[^b]]": true, "x[a-z&&b-d]+": true, "[^]&&a]": true, `[\]&&a]`: true, `\Q[\E[a&&b]`: true,
		"": false, "a&&b": false, "[a]&&[b]": false, "[a&b&c]": false, `[&\&]`: false, `\[a&&b]`: false, `\Q[a&&b]\E`: false, `\Q[a&&b]`: false, "[": false, "[^": false, `[\`: false,
	} {
		if got := hub.IntersectsClasses(pattern); got != want {
			t.Errorf("%q: %v", pattern, got)
		}
	}
	o := hub.Option{Name: "o", Regex: "[a-z&&[^b]]+"}
	if o.Check("a") == "" || o.Check("a]") == "" {
		t.Errorf("an option takes a pattern of Java's for another one: %q, %q", o.Check("a"), o.Check("a]"))
	}
}
