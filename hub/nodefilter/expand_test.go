package nodefilter_test

import (
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/nodefilter"
)

var severalHosts = []hub.Option{{Name: "hosts", Multivalued: true}, {Name: "tagged", Multivalued: true, Delimiter: " "}}

func TestExpand(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"env": "prod", "all": "tags: web !name: web2", "evil": "x !name: y \"'", "blank": " ", "host": "10.0.0.1",
		"any": ".*", "slashes": "/.*/", "orprod": "x,prod", "andweb": "web+prod", "class": "a-z", "not": "^x", "n": "1",
		"hosts": "web1,db1", "tagged": "x prod",
	}
	tests := []struct{ text, want string }{
		{"tags: ${option.env}", "web1 db1"},
		{"tags: web+${option.env} name: web.*", "web1"},
		{"${option.all}", "web1"},
		{" ${option.all} ", "web1"},
		{"hostname: ${option.host}", "db1"},
		{"tags: web", "web1 web2"},
		{"name: web${option.n}", "web1"},
		{"name: web2,web${option.n}", "web1 web2"},
		{"name: w.b2,web${option.n}", "web1"}, // items of a list are literal, as without a reference
		{"name: /web[${option.n}]/", "web1"},
		{"name: web[${option.class}]", ""},
		{"name: web[${option.not}]", ""},
		// A value is what it says and nothing more.
		{"name: ${option.evil}", ""},
		{"name: ${option.any}", ""},
		{"name: web${option.any}", ""},
		{"name: ${option.slashes}", ""},
		{"name: /${option.any}/", ""},
		{"name: x,${option.any}", ""},
		{"tags: ${option.orprod}", ""},
		{"tags: web+${option.orprod}", ""},
		{"tags: ${option.andweb}", ""},
		// Several values are any of them, also where they are only a part.
		{"name: ${option.hosts}", "web1 db1"},
		{"name: web2,${option.hosts}", "web1 web2 db1"},
		{"tags: ${option.tagged}", "web1 db1"},
		{"tags: web+${option.tagged}", "web1"},
	}
	for _, test := range tests {
		text, err := nodefilter.Expand(test.text, severalHosts, values)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := match(t, text); got != test.want {
			t.Errorf("%q became %q and selects %q, want %q", test.text, text, got, test.want)
		}
	}
	for _, text := range []string{
		"tags: ${option.nope}", "tags: ${option.blank}", "${option.env}: x", "${option.nope}", `name: \${option.env}`, "name: web[${option.hosts}]",
	} {
		if got, err := nodefilter.Expand(text, severalHosts, values); hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// FuzzExpand: a value selects what is called so, under the keys that the author wrote,
// and nothing else.
func FuzzExpand(f *testing.F) {
	for _, seed := range [][2]string{
		{"web1 !name: web1", "web1"}, {`"`, "x"}, {".*", "web1"}, {"x,prod", "prod"}, {"a+b", "a"}, {"/.*/", "x"}, {"a b", "a"}, {" a", "a"}, {"[a]", "a"}, {"é", "é"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, value, other string) {
		for _, name := range []string{value, other} {
			for _, c := range []struct {
				text string
				node hub.Node
			}{
				{"name: ${option.x} rack: r1", hub.Node{Name: name, Attributes: map[string]string{"rack": "r1"}}},
				{"name: y,${option.x}", hub.Node{Name: name}},
				{"x: /${option.x}/", hub.Node{Attributes: map[string]string{"x": name}}},
				{"tags: web+${option.x}", hub.Node{Tags: []string{"web", name}}},
			} {
				text, err := nodefilter.Expand(c.text, nil, map[string]string{"x": value})
				if err != nil {
					continue
				}
				filter, err := nodefilter.Parse(text)
				if err != nil {
					if strings.IndexByte(value, 0) < 0 && len(text) < nodefilter.MaxFilterBytes {
						t.Errorf("%q with %q became %q: %v", c.text, value, text, err)
					}
					continue
				}
				named := name == value || name == "y" && strings.HasPrefix(c.text, "name: y,") || value == "web" && strings.HasPrefix(c.text, "tags:")
				if strings.TrimSpace(name) == "" && len(c.node.Tags) == 0 {
					named = false // what is blank is missing
				}
				if got := filter.Match(&c.node); got != named {
					t.Errorf("%q with %q became %q; %q is selected: %v", c.text, value, text, name, got)
				}
				if c.node.Attributes["rack"] != "" {
					c.node.Attributes["rack"] = "r2"
					if filter.Match(&c.node) {
						t.Errorf("%q with %q became %q, which lost the second key", c.text, value, text)
					}
				}
			}
		}
	})
}
