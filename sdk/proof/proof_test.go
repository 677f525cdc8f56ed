package proof_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api/apitest"
	"github.com/fairlead/fairlead/proto/wire"
	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/proof"
	"github.com/fairlead/fairlead/sdk/rest"
)

// exported runs a command on two nodes of a runner and exports its log: three chunks a
// node. It returns the lines of the export, and what pins its CA.
func exported(t *testing.T, signs bool) (lines []string, pin string) {
	t.Helper()
	h := apitest.Start(t)
	h.Project(t, "web", "a", "b")
	play := func(_ context.Context, a *apitest.Attempt) error {
		for n := range a.Assignment.Nodes {
			a.Started(n, 0)
			for i := range 3 {
				a.Frames(wire.Frame{Node: uint32(n), Try: 1, Data: fmt.Append(nil, "line ", i)}, wire.Frame{Node: uint32(n), Try: 1, Data: []byte("more")})
			}
			a.Ended(n, 0, hub.StatusFailed, 1)
		}
		return nil
	}
	if signs {
		h.Signer(t, "r1", play)
	} else {
		h.Runner(t, "r1", play)
	}
	c, err := sdk.New(sdk.Config{URL: h.URL, Token: apitest.Token})
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.RunCommand(t.Context(), "web", rest.RunCommand{Command: new("x"), NodeFilter: new(".*")}, 20*time.Second)
	if err != nil || e.Status != rest.StatusFailed {
		t.Fatalf("%+v, %v", e, err)
	}
	in, err := c.ExportLog(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	all, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(h.CA.Certificates()[0].RawSubjectPublicKeyInfo)
	return strings.SplitAfter(strings.TrimSuffix(string(all), "\n"), "\n"), hex.EncodeToString(sum[:])
}

func check(t *testing.T, lines []string, pin string) *proof.Report {
	t.Helper()
	report, err := proof.Check(strings.NewReader(strings.Join(lines, "")), pin)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// changed is an export of which one record was changed.
func changed(t *testing.T, lines []string, at int, change func(fields map[string]any)) []string {
	t.Helper()
	var record map[string]map[string]any
	if err := json.Unmarshal([]byte(lines[at]), &record); err != nil {
		t.Fatal(err)
	}
	for _, fields := range record {
		change(fields)
	}
	b, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	out := append([]string(nil), lines...)
	out[at] = string(b) + "\n"
	return out
}

func without(lines []string, at int) []string {
	return append(append([]string(nil), lines[:at]...), lines[at+1:]...)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	lines, pin := exported(t, true)
	// The head, the attempt, six chunks, the end.
	if len(lines) != 9 {
		t.Fatalf("%d records:\n%s", len(lines), strings.Join(lines, ""))
	}
	good := check(t, lines, pin)
	if !good.Proven() || !good.Pinned || good.Attempts[0].Chunks != 6 || good.Attempts[0].Lines != 12 {
		t.Fatalf("the export as it is: %+v", good)
	}
	if r := check(t, lines, ""); !r.Proven() || r.Pinned || r.Authorities[0] != pin {
		t.Errorf("without a pin: %+v", r)
	}
	end := func(lines []string, chunks int) []string {
		return changed(t, lines, len(lines)-1, func(f map[string]any) { f["chunks"] = chunks })
	}
	other, _ := exported(t, true)
	for name, tt := range map[string]struct {
		lines []string
		first int64 // the bad chunk, -1 for none
		why   string
	}{
		"a chunk is another's":  {changed(t, lines, 4, func(f map[string]any) { f["data"] = field(t, lines[6], "data") }), 2, "not the one"},
		"a chunk is junk":       {changed(t, lines, 4, func(f map[string]any) { f["data"] = "anVuaw==" }), 2, "decompressed"},
		"a hash is changed":     {changed(t, lines, 3, func(f map[string]any) { f["hash"] = strings.Repeat("ab", 32) }), 1, "not the one"},
		"lines are added":       {changed(t, lines, 4, func(f map[string]any) { f["lines"] = 3 }), 2, "it holds 2"},
		"lines are renumbered":  {changed(t, lines, 5, func(f map[string]any) { f["firstLine"] = 7 }), 3, "from 6 on"},
		"a chunk is missing":    {end(without(lines, 5), 5), 3, "chunk 3 is missing"},
		"the last is missing":   {end(without(lines, 7), 5), 5, "chunk 5 is missing, of 6"},
		"fewer were signed":     {changed(t, lines, 1, func(f map[string]any) { f["result"].(map[string]any)["logTotal"] = 5 }), -1, "signature is not good"},
		"another outcome":       {changed(t, lines, 1, func(f map[string]any) { f["result"].(map[string]any)["outcome"] = 1 }), -1, "signature is not good"},
		"another's certificate": {changed(t, lines, 1, func(f map[string]any) { f["certificate"] = field(t, other[1], "certificate") }), -1, "not under the CA"},
		"another runner":        {changed(t, lines, 1, func(f map[string]any) { f["runnerId"] = "0b4b1d6e-6f0b-4c55-9f39-3c0a0f5f3d11" }), -1, "another runner's"},
		"no certificate":        {changed(t, lines, 1, func(f map[string]any) { delete(f, "certificate") }), -1, "none of the runner's"},
	} {
		r := check(t, tt.lines, pin)
		a := r.Attempts[0]
		if r.Proven() || a.Verdict != proof.Bad || !strings.Contains(a.Why, tt.why) {
			t.Errorf("%s: %+v", name, a)
		}
		if tt.first >= 0 != (a.First != nil) || a.First != nil && (int64(a.First.Seq) != tt.first || a.First.From != 2*tt.first) {
			t.Errorf("%s: the first bad chunk is %+v, want %d", name, a.First, tt.first)
		}
	}
	if r := check(t, changed(t, lines, 1, func(f map[string]any) { delete(f, "result") }), pin); r.Proven() || r.Attempts[0].Verdict != proof.Unsigned {
		t.Errorf("without a result: %+v", r)
	}
}

func field(t *testing.T, line, name string) any {
	t.Helper()
	var record map[string]map[string]any
	if err := json.Unmarshal([]byte(line), &record); err != nil {
		t.Fatal(err)
	}
	for _, fields := range record {
		return fields[name]
	}
	return nil
}

// A signature that nobody made proves nothing, however well the chunks agree.
func TestCheckOfForgedSignature(t *testing.T) {
	t.Parallel()
	lines, pin := exported(t, false)
	if a := check(t, lines, pin).Attempts[0]; a.Verdict != proof.Bad || !strings.Contains(a.Why, "signature") {
		t.Errorf("%+v", a)
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	lines, pin := exported(t, true)
	for name, tt := range map[string]struct{ text, pin, why string }{
		"nothing":           {"", pin, "empty"},
		"no export":         {"{}\n", pin, "line 1"},
		"junk":              {"junk\n", pin, "line 1"},
		"cut off":           {strings.Join(lines[:5], ""), pin, "cut off"},
		"more at the end":   {strings.Join(lines, "") + "\n{}\n", pin, "follows the end"},
		"a chunk of nobody": {lines[0] + lines[2], pin, "line 2"},
		"another count":     {strings.Join(without(lines, 4), ""), pin, "6 chunks"},
		"another CA":        {strings.Join(lines, ""), strings.Repeat("0", 64), "another CA"},
	} {
		if _, err := proof.Check(strings.NewReader(tt.text), tt.pin); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"export":{"format":"fairlead-export-1","authorities":[]}}` + "\n" + `{"end":{"attempts":0,"chunks":0}}`))
	f.Add([]byte(`{"attempt":{"id":"x","result":{"logHash":"zz"}}}` + "\n" + `{"chunk":{"seq":18446744073709551615,"data":"KLUv/QA="}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole := append([]byte(`{"export":{"format":"fairlead-export-1","authorities":["`+strings.ReplaceAll(authority, "\n", `\n`)+`"]}}`+"\n"), text...)
		for _, in := range [][]byte{text, whole} {
			if r, err := proof.Check(bytes.NewReader(in), ""); err == nil && len(r.Attempts) > 0 && r.Proven() {
				t.Errorf("%q is proven", in)
			}
		}
	})
}

// authority is a CA whose key nobody has.
const authority = `-----BEGIN CERTIFICATE-----
MIIBMjCB2aADAgECAgEBMAoGCCqGSM49BAMCMAAwIBcNMjMxMTE0MjIxMzIwWhgP
MjA5NjEwMDIwNzA2NDBaMAAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARRcaFY
+Hu/8B4KU5nucHMHecruW9FBSpcVCzoj1oxbaG9iZvB2JEiR/tvMJgQF8OAJqmj0
9vHCp0O77Z2wqVJho0IwQDAOBgNVHQ8BAf8EBAMCAgQwDwYDVR0TAQH/BAUwAwEB
/zAdBgNVHQ4EFgQU9HJUAX4rFBsRN+R8aDL0k3v2nMEwCgYIKoZIzj0EAwIDSAAw
RQIhALx8FPO9ccYZJy2V1okTRVmf01QnssAlSK65faUB/39WAiBzki5BoVpAI7kI
sk7AWCkWJw3EyO9Y+s6rHa3kj2H0VA==
-----END CERTIFICATE-----`
