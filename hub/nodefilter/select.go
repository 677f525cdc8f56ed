package nodefilter

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/fairlead/fairlead/hub"
)

// Select returns the nodes that a run is sent to, in rank order. override is the
// filter of this run, "" for the job's own; it replaces both filters of the job. The
// filters must have their options expanded (Expand).
//
// A dispatch that goes to no nodes, with no override, selects none: it runs on the
// runner's own host. A blank override of "" cannot be told from none.
func Select(d hub.Dispatch, override string, nodes []hub.Node) ([]hub.Node, error) {
	if override != "" {
		if !d.Editable {
			return nil, hub.Errorf(hub.CodeInvalid, "The job does not let a run choose its own nodes: run it without a node filter, or set nodeFilterEditable: true on it.")
		}
		d.Filter, d.FilterExclude, d.Nodes = override, "", true
	}
	if !d.Nodes {
		return nil, nil
	}
	filter, err := Parse(d.Filter)
	if err != nil {
		return nil, err
	}
	drop, err := Parse(d.FilterExclude)
	if err != nil {
		return nil, err
	}
	var selected []hub.Node
	for i := range nodes {
		if accept(d, filter, drop, &nodes[i]) {
			selected = append(selected, nodes[i])
		}
	}
	Rank(selected, d.RankAttribute, d.RankDescending)
	return selected, nil
}

// accept applies the rule for a node that is both included and excluded. Where
// inclusion wins, a node that neither names stays out: Rundeck lets it in, which would
// run commands where nobody asked for them.
func accept(d hub.Dispatch, filter, drop *Filter, n *hub.Node) bool {
	if !filter.included(n) {
		return false
	}
	if !d.ExcludePrecedence && len(filter.include) > 0 {
		return true
	}
	return !filter.excluded(n) && (drop.Blank() || !drop.Match(n))
}

// Rank sorts nodes by an attribute, by name where it is "". Integers come first, in
// their own order, then other values, then nodes without the attribute; what is equal
// goes by name.
func Rank(nodes []hub.Node, attributeName string, descending bool) {
	slices.SortStableFunc(nodes, func(a, b hub.Node) int {
		c := cmp.Or(compareRank(rankOf(&a, attributeName), rankOf(&b, attributeName)), compareNames(&a, &b))
		if descending {
			return -c
		}
		return c
	})
}

// rank is a sort key. Numbers and other values are kept apart: compared with each
// other case by case ("10" < "1a" < "2" < "10") they would have no order at all.
type rank struct {
	class  int // 0 number, 1 text, 2 missing
	number int64
	text   string
}

func rankOf(n *hub.Node, attributeName string) rank {
	if attributeName == "" {
		return rank{class: 1, text: n.Name}
	}
	value := attribute(n, attributeName)
	if value == "" {
		return rank{class: 2}
	}
	if number, err := strconv.ParseInt(value, 10, 64); err == nil {
		return rank{number: number}
	}
	return rank{class: 1, text: value}
}

func compareRank(a, b rank) int {
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.number, b.number), cmp.Compare(a.text, b.text))
}
