package rundeck_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/rundeck"
)

func twoNodes() []hub.Node {
	return []hub.Node{
		{
			Name: "web1", Hostname: "10.0.0.1:2222", Username: "ops", Description: "first & best", Tags: []string{"web", "prod"},
			Attributes: map[string]string{"osFamily": "unix", "ssh-key-storage-path": "keys/a", "rank": "010"},
		},
		{Name: "db1", Attributes: map[string]string{"node-executor": "local"}},
	}
}

func TestParseNodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		format rundeck.NodeFormat
		file   string
	}{
		{"YAML map", rundeck.NodesYAML, `web1:
  nodename: web1
  hostname: 10.0.0.1:2222
  username: ops
  description: first & best
  tags: web, prod,web
  osFamily: unix
  ssh-key-storage-path: keys/a
  rank: 010
db1:
  node-executor: local
  editUrl: ~
`},
		{"YAML list", rundeck.NodesYAML, `- {nodename: web1, hostname: '10.0.0.1:2222', username: ops, description: first & best, tags: [web, prod], osFamily: unix, ssh-key-storage-path: keys/a, rank: 010}
- {nodename: db1, tags: '', node-executor: local}
`},
		{"JSON list", rundeck.NodesJSON, `[{"nodename":"web1","hostname":"10.0.0.1:2222","username":"ops","description":"first & best","tags":["web","prod"],"osFamily":"unix","ssh-key-storage-path":"keys/a","rank":"010"},
 {"nodename":"db1","tags":null,"node-executor":"local"}]`},
		{"JSON map", rundeck.NodesJSON, `{"web1":{"hostname":"10.0.0.1:2222","username":"ops","description":"first & best","tags":"web,prod","osFamily":"unix","ssh-key-storage-path":"keys/a","rank":"010"},
 "db1":{"node-executor":"local"}}`},
		{"XML", rundeck.NodesXML, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE project PUBLIC "-//DTO Labs Inc.//DTD Resources Document 1.0//EN" "project.dtd">
<project>
  <!-- two nodes -->
  <node name="web1" hostname="10.0.0.1:2222" username="ops" description="first &amp; best" tags="web,prod" osFamily="unix">
    <attribute name="ssh-key-storage-path" value="keys/a"/>
    <attribute name="rank"> 010 </attribute>
  </node>
  <node name="db1" node-executor="local"></node>
</project>
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := rundeck.ParseNodes([]byte(test.file), test.format)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(twoNodes(), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseNodesRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		format rundeck.NodeFormat
		file   string
		want   string
	}{
		{"no name", rundeck.NodesYAML, "- hostname: a\n", "[0].nodename: is required (line 1)"},
		{"two names", rundeck.NodesYAML, "a: {nodename: b}\n", "a.nodename: differs from the name"},
		{"same name twice", rundeck.NodesYAML, "- nodename: a\n- nodename: a\n", `[1]: the node "a" is there twice (first at [0])`},
		{"node is a text", rundeck.NodesYAML, "a: b\n", "a: a node must be a map"},
		{"attribute is a list", rundeck.NodesYAML, "a: {b: [c]}\n", "a.b: must be a text"},
		{"attribute with blanks", rundeck.NodesYAML, "a: {'b c': d}\n", "one word"},
		{"hostname with a line break", rundeck.NodesYAML, "a: {hostname: \"b\\nc\"}\n", "a.hostname: holds a control character"},
		{"name with a control character", rundeck.NodesYAML, "\"a\\e\": {hostname: b}\n", "control character"},
		{"tag with a line break", rundeck.NodesYAML, "a: {tags: [\"b\\nc\"]}\n", "a.tags: holds"},
		{"huge value", rundeck.NodesYAML, "a: {b: " + strings.Repeat("x", 70_000) + "}\n", "a.b: has 70000 bytes"},
		{"all at once", rundeck.NodesYAML, "a: {b: [c]}\nd: e\n", "d: a node must be a map"},
		{"duplicate attribute", rundeck.NodesYAML, "a: {b: c, b: d}\n", "second time"},
		{"empty YAML", rundeck.NodesYAML, "", "the file is empty"},
		{"10 MB", rundeck.NodesYAML, strings.Repeat("#", 10_000_000), "at most 8388608"},
		{"text", rundeck.NodesJSON, `"a"`, "must be a list of nodes"},
		{"empty JSON", rundeck.NodesJSON, " \n", "the file is empty"},
		{"broken JSON", rundeck.NodesJSON, "[\n{\"nodename\": }]", "line 2: this is no JSON"},
		{"cut JSON", rundeck.NodesJSON, `[{"nodename":"a"`, "ends too early"},
		{"after JSON", rundeck.NodesJSON, `[] []`, "follows the end"},
		{"duplicate JSON key", rundeck.NodesJSON, `[{"nodename":"a","nodename":"b"}]`, `"nodename" stands here for the second time`},
		{"deep JSON", rundeck.NodesJSON, strings.Repeat("[", 100_000), "deeper"},
		{"10 MB of JSON", rundeck.NodesJSON, "[" + strings.Repeat("0,", 5_000_000) + "0]", "at most 8388608"},
		{"many JSON values", rundeck.NodesJSON, "[" + strings.Repeat("0,", 2_000_000) + "0]", "more than 1000000 values"},
		{"JSON that is not UTF-8", rundeck.NodesJSON, "[{\"nodename\": \"a\", \"hostname\": \"m\xfcnchen\"}]", "not UTF-8"},
		{"empty XML", rundeck.NodesXML, "", "the file is empty"},
		{"other root", rundeck.NodesXML, "<nodes/>", "must be <project>"},
		{"other element", rundeck.NodesXML, "<project><host/></project>", "<project> holds <host>"},
		{"element in a node", rundeck.NodesXML, "<project><node name='a'><tag/></node></project>", "<node> holds <tag>"},
		{"element in an attribute", rundeck.NodesXML, "<project><node name='a'><attribute name='b'><c/></attribute></node></project>", "<attribute> holds <c>"},
		{"attribute without a name", rundeck.NodesXML, "<project><node name='a'><attribute value='b'/></node></project>", "needs a name"},
		{"attribute with more", rundeck.NodesXML, "<project><node name='a'><attribute name='b' val='c'/></node></project>", `"val"`},
		{"XML attribute twice", rundeck.NodesXML, "<project><node name='a' b='c'><attribute name='b' value='d'/></node></project>", "second time"},
		{"text in a node", rundeck.NodesXML, "<project>\n<node name='a'>web1.example</node></project>", `line 2: <node> holds the text "web1.example"`},
		{"text between nodes", rundeck.NodesXML, "<project><node name='a'/>b<node name='c'/></project>", `<project> holds the text "b"`},
		{"text before the end", rundeck.NodesXML, "<project><node name='a'><attribute name='b' value='c'/>d</node></project>", `<node> holds the text "d"`},
		{"a value and a text", rundeck.NodesXML, "<project><node name='a'><attribute name='b' value='c'>d</attribute></node></project>", `<attribute> has a value and the text "d"`},
		{"text around the root", rundeck.NodesXML, "<project/>a", "follows </project>"},
		{"cut XML", rundeck.NodesXML, "<project>\n<node name='a'>", "line 2: this is no XML"},
		{"wrong end", rundeck.NodesXML, "<project><node name='a'></project>", "this is no XML"},
		{"entities without end", rundeck.NodesXML, `<!DOCTYPE lolz [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><project><node name="&b;"/></project>`, "document type"},
		{"outside entity", rundeck.NodesXML, `<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><project><node name="&x;"/></project>`, "document type"},
		{"unknown entity", rundeck.NodesXML, `<project><node name="&x;"/></project>`, "this is no XML"},
		{"two roots", rundeck.NodesXML, "<project></project><project></project>", "</project>"},
		{"many XML attributes", rundeck.NodesXML, "<project><node name='a' " + manyAttributes() + "/></project>", "more than 1000 attributes"},
		{"unknown format", "csv", "a,b", `"csv" is no format`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nodes, err := rundeck.ParseNodes([]byte(test.file), test.format)
			if hub.ErrorCode(err) != hub.CodeInvalid || nodes != nil {
				t.Fatalf("got %v, %v", nodes, err)
			}
			var e *hub.Error
			errors.As(err, &e)
			told := e.Message
			for _, f := range e.Fields {
				told += "\n" + f.Path + ": " + f.Message
			}
			if !strings.Contains(told, test.want) {
				t.Errorf("no %q in %.300s", test.want, told)
			}
		})
	}
}

func manyAttributes() string {
	var b strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&b, "k%d='v' ", i)
	}
	return b.String()
}

func TestParseNodesTakesLargeInventories(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&file, "node-%05d:\n  hostname: 10.0.%d.%d\n  username: ops\n  tags: web,prod\n  osFamily: unix\n  rank: %d\n", i, i/256, i%256, i)
	}
	nodes, err := rundeck.ParseNodes([]byte(file.String()), rundeck.NodesYAML)
	if err != nil || len(nodes) != 10_000 || nodes[9_999].Attributes["rank"] != "9999" {
		t.Errorf("%d nodes, %v", len(nodes), err)
	}
}

func TestNodeFormatOf(t *testing.T) {
	t.Parallel()
	tests := map[string]rundeck.NodeFormat{
		"yaml": "yaml", "YML": "yaml", "nodes.yml": "yaml", "/etc/x/resources.xml": "xml", "a.b.json": "json",
		"application/json; charset=utf-8": "json", "application/yaml": "yaml", "text/x-yaml": "yaml", "text/xml": "xml",
		"nodes": "", "text/plain": "", "": "", "a.csv": "",
	}
	for name, want := range tests {
		if got, ok := rundeck.NodeFormatOf(name); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v", name, got, ok)
		}
	}
}

func FuzzParseNodes(f *testing.F) {
	f.Add("a: {hostname: b, tags: [c]}", "yaml")
	f.Add(`[{"nodename":"a"}]`, "json")
	f.Add(`<project><node name="a"><attribute name="b" value="c"/></node></project>`, "xml")
	f.Fuzz(func(t *testing.T, data, format string) {
		nodes, err := rundeck.ParseNodes([]byte(data), rundeck.NodeFormat(format))
		if err != nil && (nodes != nil || hub.ErrorCode(err) != hub.CodeInvalid) {
			t.Fatalf("%v, %v", nodes, err)
		}
		seen := map[string]bool{}
		for _, n := range nodes {
			if n.Name == "" || seen[n.Name] {
				t.Errorf("name %q", n.Name)
			}
			seen[n.Name] = true
		}
	})
}
