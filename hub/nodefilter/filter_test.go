package nodefilter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/nodefilter"
)

func nodes() []hub.Node {
	return []hub.Node{
		{Name: "web1", Hostname: "web1.example", Username: "ops", Tags: []string{"web", "prod"}, Attributes: map[string]string{"osFamily": "unix", "osName": "Linux", "rank": "2"}},
		{Name: "web2", Hostname: "web2.example:2222", Username: "ops", Tags: []string{"web", "test"}, Attributes: map[string]string{"osFamily": "unix", "rank": "10"}},
		{Name: "db1", Hostname: "10.0.0.1", Tags: []string{"db", "prod"}, Attributes: map[string]string{"osFamily": "unix", "os-version": "shadowed", "osVersion": "12", "rank": "1a"}},
		{Name: "win1", Hostname: "win1.example", Tags: []string{"db", "retired"}, Description: "old, slow", Attributes: map[string]string{"osFamily": "windows", "type": "Node"}},
		{Name: "a.*", Attributes: map[string]string{"blank": "  ", "list": "x,y"}},
	}
}

func match(t *testing.T, text string) string {
	t.Helper()
	f, err := nodefilter.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	var names []string
	for _, n := range nodes() {
		if f.Match(&n) {
			names = append(names, n.Name)
		}
	}
	return strings.Join(names, " ")
}

func TestMatch(t *testing.T) {
	t.Parallel()
	const everything = "web1 web2 db1 win1 a.*"
	tests := []struct{ text, want string }{
		{"", everything},
		{"  \t\n", everything},
		{".*", everything},
		{"web1", "web1"},
		{"web.*", "web1 web2"},
		{"WEB1", ""},
		{"(?i)WEB1", "web1"},
		{"name: web1", "web1"},
		{"name:web1", "web1"},
		{`"name: web1"`, "web1"}, // one word is one pair too
		{`name: "web1"`, "web1"},
		{`name:"web1"`, "web1"},
		{"name: 'web1'", "web1"},
		{"web1 db1", "web1 db1"},
		{"name: web1,db1", "web1 db1"},
		{"name: web1 name: db1", "web1 db1"},
		{"web.*,db.*", ""},       // one pattern over the whole text
		{"name: a.*,b.*", "a.*"}, // the items are literal
		{"name: /web1|db1/", "web1 db1"},
		{"name: /web/", ""}, // whole values only
		{"web[", ""},        // no pattern in any dialect: a literal
		{"tags: web", "web1 web2"},
		{"tags: web+prod", "web1"},
		{"tags: web+prod,retired", "web1 win1"},
		{"tags: 'web + prod , retired'", "web1 win1"},
		{"tags: /re.*/", "win1"},
		{"tags: re.*+d.", "win1"},
		{"tags: web tags: retired", "web1 web2 win1"},
		{"tags: nothing", ""},
		{"osFamily: unix", "web1 web2 db1"},
		{"os-family: unix", "web1 web2 db1"},
		{"os-version: 12", "db1"},
		{"os-version: shadowed", ""},
		{"hostname: 10.0.0.1", "db1"},
		{"hostname: web2.example:2222", "web2"},
		{"username: ops", "web1 web2"},
		{"nodename: web1", "web1"},
		{"type: Node", "win1"},
		{`description: "old, slow"`, "win1"},
		{"blank: .*", ""},
		{"list: x,y", "a.*"},
		{"list: x", ""},
		{"nothing: .*", ""},
		{"tags: prod osFamily: unix name: db.*", "db1"},
		{"!tags: prod", "web2 win1 a.*"},
		{"!name: web1,web2", "db1 win1 a.*"},
		{"!tags: prod !name: web.*", "web2 db1 win1 a.*"}, // both, or not dropped
		{"!nothing: x", everything},
		{"tags: prod !name: db1", "web1"},
		{"osFamily: unix !tags: test", "web1 db1"},
	}
	for _, test := range tests {
		if got := match(t, test.text); got != test.want {
			t.Errorf("%q selects %q, want %q", test.text, got, test.want)
		}
	}
}

// The pages write a filter for one node by its name; what they write is in
// hub/ui/web/src/pages/named.test.ts.
func TestMatchOneName(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text string }{
		{"web-1", "name: web-1"},
		{"web.example", `name: web\.example`},
		{"web.*", `name: web\.\*`},
		{"a,b", `name: a\x{2c}b`},
		{"/re/", `name: \x{2f}re\x{2f}`},
		{"sp ace", `name: sp\x{20}ace`},
		{"x+y", `name: x\x{2b}y`},
		{`q"uo'te`, `name: q\"uo\'te`},
		{"col:on", `name: col\:on`},
		{"!bang", `name: \!bang`},
		{"${option.x}", `name: \$\{option\.x\}`},
		{"\u00fc\u202e", "name: \u00fc\\x{202e}"},
	}
	for _, test := range tests {
		f, err := nodefilter.Parse(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		for _, other := range tests {
			if got := f.Match(&hub.Node{Name: other.name}); got != (other.name == test.name) {
				t.Errorf("%q selects %q: %v", test.text, other.name, got)
			}
		}
		for _, other := range []string{"a", "b", "re", "sp", "webxexample", "web1", "xxy"} {
			if f.Match(&hub.Node{Name: other}) {
				t.Errorf("%q selects %q", test.text, other)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"name: /web[/", "missing closing ]"},
		{"name: (?!db).*", "RE2"},
		{"tags: web+(?=x)y", "RE2"},
		{`name: (a)\1`, "RE2"},
		{"name: a++", "RE2"},
		{"web.* !name: /web[0-9&&[^1]]/", "RE2"}, // else it would leave nobody out
		{"tags: [a-z&&[^b]]+", "RE2"},
		{"tags:", `no value for key "tags"`},
		{`tags: ""`, `no value for key "tags"`},
		{"!web1", "negates no key"},
		{"!: web1", "without a key"},
		{": web1", "without a key"},
		{`name: "web1`, "never closed"},
		{"name: \x00", "NUL"},
		{"${option.k}: x", "reference in the key"},
		{strings.Repeat("a", nodefilter.MaxFilterBytes+1), "at most"},
	}
	for _, test := range tests {
		_, err := nodefilter.Parse(test.text)
		if hub.ErrorCode(err) != hub.CodeInvalid || !strings.Contains(hub.ErrorMessage(err), test.want) {
			t.Errorf("%.40q: got %v, want %q", test.text, err, test.want)
		}
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		dispatch hub.Dispatch
		override string
		want     string
	}{
		{"no nodes", hub.Dispatch{}, "", ""},
		{"by name", hub.Dispatch{Nodes: true, Filter: ".*", ExcludePrecedence: true}, "", "a.* db1 web1 web2 win1"},
		{"descending", hub.Dispatch{Nodes: true, Filter: "web.*", RankDescending: true, ExcludePrecedence: true}, "", "web2 web1"},
		{"by attribute", hub.Dispatch{Nodes: true, Filter: ".*", RankAttribute: "rank", ExcludePrecedence: true}, "", "web1 web2 db1 a.* win1"},
		{"exclude filter", hub.Dispatch{Nodes: true, Filter: ".*", FilterExclude: "tags: db", ExcludePrecedence: true}, "", "a.* web1 web2"},
		{"exclude filter alone", hub.Dispatch{Nodes: true, FilterExclude: "web.*", ExcludePrecedence: true}, "", "a.* db1 win1"},
		{"include wins", hub.Dispatch{Nodes: true, Filter: "tags: prod !name: db1"}, "", "db1 web1"},
		{"include wins over the exclude filter", hub.Dispatch{Nodes: true, Filter: "tags: prod", FilterExclude: "db1"}, "", "db1 web1"},
		{"include wins, only excludes", hub.Dispatch{Nodes: true, Filter: "!name: web.*"}, "", "a.* db1 win1"},
		{"override", hub.Dispatch{Nodes: true, Filter: ".*", FilterExclude: "web.*", Editable: true, ExcludePrecedence: true}, "web1", "web1"},
		{"override without nodes", hub.Dispatch{Editable: true, ExcludePrecedence: true}, "web1", "web1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := nodes()
			got, err := nodefilter.Select(test.dispatch, test.override, all)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, n := range got {
				names = append(names, n.Name)
			}
			if diff := cmp.Diff(test.want, strings.Join(names, " ")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(nodes(), all); diff != "" {
				t.Errorf("the given nodes changed: %s", diff)
			}
		})
	}
	if _, err := nodefilter.Select(hub.Dispatch{Nodes: true, Filter: ".*"}, "web1", nodes()); hub.ErrorCode(err) != hub.CodeInvalid {
		t.Errorf("an override that is not allowed: %v", err)
	}
}

func TestRankIsAnOrder(t *testing.T) {
	t.Parallel()
	values := []string{"2", "10", "1a", "2", "", "9", "-1", "b"}
	var ranked []hub.Node
	for i, v := range values {
		ranked = append(ranked, hub.Node{Name: string(rune('a' + i)), Attributes: map[string]string{"r": v}})
	}
	nodefilter.Rank(ranked, "r", false)
	var got []string
	for _, n := range ranked {
		got = append(got, n.Attributes["r"]+n.Name)
	}
	want := []string{"-1g", "2a", "2d", "9f", "10b", "1ac", "bh", "e"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	nodefilter.Rank(ranked, "r", true)
	slices.Reverse(want)
	got = nil
	for _, n := range ranked {
		got = append(got, n.Attributes["r"]+n.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"name: web.*", "tags: a+b,c", `!x: "a ""b"`, "/a|b/", "${option.x}"} {
		f.Add(text, "web1")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		filter, err := nodefilter.Parse(text)
		if err != nil {
			if hub.ErrorCode(err) != hub.CodeInvalid {
				t.Errorf("%q: %v has no code", text, err)
			}
			return
		}
		n := hub.Node{Name: value, Tags: []string{value}, Attributes: map[string]string{"x": value}}
		if first, again := filter.Match(&n), filter.Match(&n); first != again {
			t.Errorf("%q does not know what it wants", text)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	filter, err := nodefilter.Parse("tags: web+prod osFamily: unix name: web.*")
	if err != nil {
		b.Fatal(err)
	}
	all := nodes()
	for b.Loop() {
		for i := range all {
			filter.Match(&all[i])
		}
	}
}
