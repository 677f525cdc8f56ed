package gateway

import (
	"slices"
	"testing"

	"github.com/fairlead/fairlead/hub"
)

func TestSurplus(t *testing.T) {
	t.Parallel()
	other := func(name string, sessions int) *hub.Member {
		return &hub.Member{Name: name, Gateway: name, Sessions: sessions, Roles: hub.Roles()}
	}
	drained := other("d", 0)
	drained.Draining = true
	noGateway := other("n", 0)
	noGateway.Roles = []string{hub.RoleAPI}
	for name, tc := range map[string]struct {
		own    int
		others []*hub.Member
		n      int
		to     []string
	}{
		"alone":               {1000, nil, 0, nil},
		"even":                {1000, []*hub.Member{other("b", 1000), other("c", 990)}, 0, nil},
		"a tenth too many":    {1050, []*hub.Member{other("b", 1000), other("c", 950)}, 0, nil},
		"one came back":       {500, []*hub.Member{other("b", 500), other("c", 0)}, 42, []string{"c"}},
		"not all at once":     {3000, []*hub.Member{other("b", 0)}, 250, []string{"b"}},
		"not to the drained":  {300, []*hub.Member{drained, noGateway}, 0, nil},
		"few runners":         {2, []*hub.Member{other("b", 0)}, 0, nil},
		"this one has fewest": {0, []*hub.Member{other("b", 500)}, 0, nil},
	} {
		n, to := surplus(tc.own, tc.others)
		if n != tc.n || !slices.Equal(to, tc.to) {
			t.Errorf("%s: %d to %v, want %d to %v", name, n, to, tc.n, tc.to)
		}
	}
}
