package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/proto/wire"
)

// The line that is written by hand must be what encoding/json makes of a LogLine.
func TestAppendLine(t *testing.T) {
	t.Parallel()
	e := &hub.Execution{Nodes: []hub.Node{{Name: "web1"}, {Name: `q"<é>`}}}
	at := time.Date(2026, 11, 22, 15, 4, 5, 123456789, time.UTC)
	for _, data := range []string{
		"", "plain", `quote " backslash \ slash /`, "tab\tand\x1b[31mred\x1b[0m\x00", "<script>&amp;</script>", "Grüße 世界 \u2028",
		"\xff\xfe broken", "\x7f del", strings.Repeat("x", 40000),
	} {
		for flags := range uint8(8) {
			l := output.Line{Node: int(flags % 2), Step: 3, Try: 2, Stream: wire.Stream(flags % 3), Flags: flags << 2, Time: at, N: 17, Data: []byte(data)}
			got := appendLine([]byte("before"), e, &l, "c-1_2")
			want, err := json.Marshal(toLogLine(e, &l, "c-1_2"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("before"+string(want), string(got)); diff != "" {
				t.Errorf("line %q, flags %d (-encoding/json +by hand):\n%s", data, flags, diff)
			}
		}
	}
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	job := &hub.Execution{Number: 12, JobID: "j", JobName: "ops/db/Nightly backup"}
	for _, c := range []struct {
		in   logInput
		e    *hub.Execution
		want string
	}{
		{logInput{Format: "text", LogFilter: LogFilter{Step: -1}}, job, `inline; filename=ops_db_Nightly_backup-12.log`},
		{logInput{Format: "ndjson", LogFilter: LogFilter{Node: []string{"web-1.example"}}, Download: true}, job, `attachment; filename=ops_db_Nightly_backup-12-web-1.example-step1.ndjson`},
		{logInput{LogFilter: LogFilter{Step: -1}, Download: true}, &hub.Execution{Number: 3, JobName: "rm -rf /tmp/x"}, `attachment; filename=execution-3.log`},
		{logInput{LogFilter: LogFilter{Step: -1}, Download: true}, &hub.Execution{Number: 3, JobID: "j", JobName: "..\"\r\n;\u202e%/größe"}, `attachment; filename*=utf-8''_._______gr%C3%B6%C3%9Fe-3.log`},
		{logInput{LogFilter: LogFilter{Step: -1}}, &hub.Execution{Number: 3, JobID: "j", JobName: strings.Repeat("g", 500) + "/end"}, `inline; filename=` + strings.Repeat("g", 56) + `_end-3.log`},
	} {
		if got := disposition(&c.in, c.e); got != c.want {
			t.Errorf("%s: %s, want %s", c.e.JobName, got, c.want)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"plain", `{"a":[1,{"b":null}],"c":"d"}`, ""},
		{"same key at other levels", `{"a":{"a":1},"b":{"a":2}}`, ""},
		{"key twice", `{"a":1,"b":2,"a":3}`, `key "a" appears twice`},
		{"key twice, escaped", `{"a":1,"\u0061":3}`, `key "a" appears twice`},
		{"key twice within", `[{"x":{"k":1,"k":1}}]`, `key "k" appears twice`},
		{"two values", `{} {}`, "more than one JSON value"},
		{"cut off", `{"a":`, "not valid JSON"},
		{"deep", strings.Repeat("[", 100000) + strings.Repeat("]", 100000), "nested deeper than 64"},
		{"not JSON", `a: 1`, "not valid JSON"},
		{"not UTF-8", "{\"a\":\"caf\xe9\"}", "not UTF-8"},
	} {
		var v any
		err := unmarshalStrict([]byte(c.text), &v)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestProblemHidesCauses(t *testing.T) {
	t.Parallel()
	p := problemOf(&hub.Error{Code: hub.CodeUnavailable, Message: "Try again.", Cause: hub.Errorf(hub.CodeInternal, "password=hunter2")})
	if p.Status != 503 || p.Code != "unavailable" || p.Detail != "Try again." {
		t.Errorf("problem %+v", p)
	}
	p = problemOf(json.Unmarshal([]byte("{"), new(any)))
	if p.Status != 500 || p.Code != "internal" || strings.Contains(p.Detail, "JSON") {
		t.Errorf("an error without a code became %+v", p)
	}
}
