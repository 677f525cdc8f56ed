package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

func testContext() Context {
	return Context{
		Options: map[string]string{"x": "it's", "n": "42", "two": "a b", "dash-name": "d"},
		Exposed: map[string]string{"password": "s3cret"},
		Hidden:  []string{"login"},
		Node:    map[string]string{"name": "web1", "os-family": "unix"},
		Job:     map[string]string{"name": "deploy", "execid": "7"},
		Data:    map[string]map[string]string{"web1": {"v": "it's 1", "a@b": "x", "w*x": "star"}, "web2": {"v": "2"}},
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"uptime", "uptime"},
		{"", ""},
		{"echo ${option.x}", `echo 'it'\''s'`},
		{`echo "${option.x}"`, `echo "it's"`},
		{"echo '${option.x}'", `echo 'it'\''s'`},
		{"echo ${unquotedoption.two}", "echo a b"},
		{"echo ${node.name} ${job.execid}", "echo 'web1' '7'"},
		{"login ${option.password}", "login 's3cret'"},
		{"echo ${HOME} $HOME ${x:-y} ${a.b}", "echo ${HOME} $HOME ${x:-y} ${a.b}"},
		{`echo \${option.x}`, `echo \${option.x}`},
		{`echo "\${option.x}"`, `echo "\${option.x}"`},
		{"echo $((${option.n} + 1))", "echo $((42 + 1))"},
		{"echo hi # ${option.x}", "echo hi # "},
		{"echo ${option.dash-name}", "echo 'd'"},
		{"echo ${data.v} ${data.v@web2} ${data.a@b}", `echo 'it'\''s 1' '2' 'x'`},
		{"echo ${data.v*} ${data.v*;} \"${data.v*}\"", `echo 'it'\''s 1,2' 'it'\''s 1;2' "it's 1,2"`},
		{"echo ${data.w*x}", "echo 'star'"},
	}
	for _, test := range tests {
		got, err := Expand(test.text, testContext())
		if err != nil || got != test.want {
			t.Errorf("Expand(%q) = %q, %v; want %q", test.text, got, err, test.want)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"echo ${option.nope}", `no option "nope"; it has dash-name, n, password, two, x`},
		{"echo ${option.login}", "authentication alone"},
		{"echo ${unquotedoption.login}", "authentication alone"},
		{"echo ${node.rack}", `node "web1" has no attribute "rack"`},
		{"echo ${job.nope}", "known are execid, name"},
		{"echo ${data.x}", `no earlier step captured "x" on node "web1" (log filter key-value-data); captured there are a@b, v, w*x`},
		{"echo ${data.x*}", `no earlier step captured "x" on any node`},
		{"echo ${data.v@web3}", `no earlier step captured "v" on node "web3"`},
		{"echo ${globals.x}", "not supported yet"},
		{"cat <<EOF\n${option.x}\nEOF", `here-document`},
		{"echo `echo ${option.x}`", "backquotes"},
		{"echo ${HOME:-${option.x}}", "inside another"},
		{"echo $((${option.x}))", "arithmetic"},
		{"((a = ${option.x}))", "arithmetic"},
		{"echo $'a' ${option.x}", `use "$RD_OPTION_X"`},
		{"echo $'a' ${node.os-family}", `use "$RD_NODE_OS_FAMILY"`},
		{"echo $(case a in a) echo ${option.x};; esac)", "case"},
		{`echo ${HOME:-"}"} ${option.x}`, "quotes or braces"},
		{"echo $[1] ${option.x}", "after $[ ]"},
		{"echo $((: a) ; : b) ${option.x}", "arithmetic"},
		{`echo "$(echo ${HOME:+$(echo })} ${option.x})"`, "such a command"},
		{"echo \"$(echo ${HOME:+$(echo # )\n})} ${option.x})\"", "such a command"},
		{`echo "$(echo ${HOME:+$(case a in a) echo };esac)} ${option.x})"`, "such a command"},
		{`echo "$(echo $((1+$(case a in a) echo 1;; esac))) ${option.x})"`, "arithmetic"},
		{"echo $${option.x}", `behind a $`},
		{`echo "$$(${option.x})"`, "bracket"},
		{"echo \"$\\\n(echo ${option.x})\"", "continued"},
		{"echo \x00", "NUL"},
	}
	for _, test := range tests {
		got, err := Expand(test.text, testContext())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Expand(%q) = %q, %v; want an error with %q", test.text, got, err, test.want)
		}
	}
	if _, err := Expand("${option.x}", Context{Options: map[string]string{"x": "a\x00b"}}); err == nil || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("a value with NUL: %v", err)
	}
}

func TestExpandScript(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"#!/bin/sh\necho @option.x@\n", "#!/bin/sh\necho it's\n"},
		{"@node.name@@job.name@", "web1deploy"},
		{"user@@example.com", "user@example.com"},
		{"a@b.c x@y @option.x", "a@b.c x@y @option.x"},
		{"@@option.x@@", "@option.x@"},
		{"@unquotedoption.two@", "a b"},
		{"@foo.bar@ @option@", "@foo.bar@ @option@"},
		{"${option.x} stays", "${option.x} stays"},
		{"@data.v@", "it's 1"},
		{"@data.v/web2@ @data.v*@ @data.v*|@", "2 it's 1,2 it's 1|2"},
		{"ssh ann@data.example.com: x@y, mail@data.org/a b@c", "ssh ann@data.example.com: x@y, mail@data.org/a b@c"},
		{"@", "@"},
	}
	for _, test := range tests {
		got, err := ExpandScript(test.text, testContext())
		if err != nil || got != test.want {
			t.Errorf("ExpandScript(%q) = %q, %v; want %q", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"@option.nope@", "@option.login@", "@node.nope@", "@data.x@"} {
		if got, err := ExpandScript(text, testContext()); err == nil || !strings.Contains(err.Error(), "@@") {
			t.Errorf("ExpandScript(%q) = %q, %v; want an error", text, got, err)
		}
	}
}

func TestSplitArgs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{"  ", nil},
		{"a b\tc\n", []string{"a", "b", "c"}},
		{`"a b" 'c d'`, []string{"a b", "c d"}},
		{`"say ""hi""" 'it''s'`, []string{`say "hi"`, "it's"}},
		{`--m="a b"c`, []string{"--m=a bc"}},
		{`"" ''`, []string{"", ""}},
		{`a\ b "it's"`, []string{`a\`, "b", "it's"}},
	}
	for _, test := range tests {
		got, err := SplitArgs(test.text)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("SplitArgs(%q): %v %s", test.text, err, diff)
		}
	}
	if _, err := SplitArgs("a 'b"); err == nil || !strings.Contains(err.Error(), "never closed") {
		t.Errorf("an open quote: %v", err)
	}
}

func TestExpandArgs(t *testing.T) {
	t.Parallel()
	got, err := ExpandArgs(`-x ${option.two} "--y=${option.x} z" ${unquotedoption.two} ${option.n}${node.name} ${HOME}`, testContext())
	want := []string{"-x", "a b", "--y=it's z", "a", "b", "42web1", "${HOME}"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	c := testContext()
	c.Exposed = map[string]string{"secret": "hunter2 'x"}
	if _, err := ExpandArgs("${unquotedoption.secret}", c); err == nil || strings.Contains(err.Error(), "hunter") || !strings.Contains(err.Error(), "secret") {
		t.Errorf("a value that cannot be split: %v", err)
	}
	if _, err := ExpandArgs("${option.nope}", testContext()); err == nil {
		t.Error("an unknown option was taken")
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	c := testContext()
	c.Options["dash_name"] = "second"
	c.Options["bad"] = "a\x00b"
	want := []string{
		"RD_DATA_A_B=x", "RD_DATA_V=it's 1", "RD_DATA_W_X=star", "RD_JOB_EXECID=7", "RD_JOB_NAME=deploy", "RD_NODE_NAME=web1", "RD_NODE_OS_FAMILY=unix",
		"RD_OPTION_DASH_NAME=d", "RD_OPTION_N=42", "RD_OPTION_PASSWORD=s3cret", "RD_OPTION_TWO=a b", "RD_OPTION_X=it's",
	}
	if diff := cmp.Diff(want, Env(c)); diff != "" {
		t.Error(diff)
	}
}

func TestNewContext(t *testing.T) {
	t.Parallel()
	spec := &runnerv1.Spec{
		Options:        map[string]string{"x": "1"},
		Context:        map[string]string{"job.name": "deploy", "other": "no"},
		SecureOptions:  []string{"login", "password", "unset"},
		ExposedOptions: []string{"password", "unset"},
	}
	node := &runnerv1.Node{
		Name: "db1", Hostname: "[2001:db8::1]:2222", Username: "ops", Tags: []string{"db", "prod"},
		Attributes: map[string]string{"osFamily": "unix", "rack": "r1"},
	}
	got := NewContext(spec, node, map[string]string{"login": "a", "password": "b"})
	want := Context{
		Options: map[string]string{"x": "1"},
		Exposed: map[string]string{"password": "b", "unset": ""},
		Hidden:  []string{"login"},
		Node: map[string]string{
			"name": "db1", "hostname": "2001:db8::1", "username": "ops", "tags": "db,prod", "description": "",
			"osFamily": "unix", "os-family": "unix", "os-name": "", "os-arch": "", "os-version": "", "rack": "r1",
		},
		Job: map[string]string{"name": "deploy"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzExpand(f *testing.F) {
	for _, p := range places() {
		f.Add(p.template, "$(touch canary)")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		c := Context{Options: map[string]string{"x": value}}
		got, err := Expand(text, c)
		if err != nil {
			return
		}
		if !strings.Contains(text, "${option.x}") && !strings.Contains(text, "${unquotedoption.x}") && got != text {
			t.Errorf("%q became %q without a reference", text, got)
		}
	})
}

func FuzzExpandScript(f *testing.F) {
	f.Add("echo @option.x@ a@@b", "v")
	f.Fuzz(func(t *testing.T, text, value string) {
		got, err := ExpandScript(text, Context{Options: map[string]string{"x": value}})
		if err == nil && !strings.Contains(text, "@") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func FuzzSplitArgs(f *testing.F) {
	f.Add(`a "b c" 'd''e'`)
	f.Fuzz(func(t *testing.T, text string) {
		args, err := SplitArgs(text)
		if err != nil {
			return
		}
		var quoted []string
		for _, a := range args {
			quoted = append(quoted, `"`+strings.ReplaceAll(a, `"`, `""`)+`"`)
		}
		again, err := SplitArgs(strings.Join(quoted, " "))
		if diff := cmp.Diff(args, again); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	})
}
