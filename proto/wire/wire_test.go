package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/proto/wire"
)

func TestNegotiateVersion(t *testing.T) {
	t.Parallel()
	const low, high = wire.MinProtocolVersion, wire.MaxProtocolVersion
	for name, tc := range map[string]struct {
		low, high uint32
		want      uint32
		says      string
	}{
		"the same":            {low, high, high, ""},
		"newer, still speaks": {low, high + 3, high, ""},
		"newer only":          {high + 1, high + 2, 0, "upgrade"},
		"nothing":             {0, 0, 0, "no valid"},
		"turned round":        {high, 0, 0, ""},
	} {
		got, err := wire.NegotiateVersion(tc.low, tc.high)
		if tc.want == 0 {
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), tc.says) {
				t.Errorf("%s: version %d, %v", name, got, err)
			}
			continue
		}
		if err != nil || got != tc.want {
			t.Errorf("%s: version %d, %v, want %d", name, got, err, tc.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const a, b, c = "01234567-0123-7123-8123-0123456789ab", "11234567-0123-7123-8123-0123456789ab", "21234567-0123-7123-8123-0123456789ab"
	for _, id := range []wire.Identity{
		{ClusterID: a, Role: wire.RoleMember, ID: b},
		{ClusterID: a, Role: wire.RoleRunner, OrganisationID: b, ID: c},
	} {
		got, err := wire.ParseURI(id.URI())
		if err != nil || got != id {
			t.Errorf("%s is read as %+v, %v", id.URI(), got, err)
		}
	}
	for _, uri := range []string{
		"", "spiffe://" + a, "spiffe://" + a + "/runner/" + c, "spiffe://" + a + "/member/" + b + "/", "spiffe://" + a + "/member/../member/" + b,
		"spiffe://" + a + "/org/" + b + "/runner/" + c + "?x", "spiffe://" + a + "/org/" + b + "/runner/%32" + c[1:],
		"SPIFFE://" + a + "/member/" + b, "spiffe://" + strings.ToUpper(a) + "/member/" + b, "spiffe://" + a + "/member/" + b + "\n",
	} {
		if id, err := wire.ParseURI(uri); err == nil {
			t.Errorf("%q is taken as %+v", uri, id)
		}
	}
}

func TestFramesComeBack(t *testing.T) {
	t.Parallel()
	frames := []wire.Frame{
		{Node: 1, Step: 2, Try: 3, Stream: 1, Time: 4, Data: []byte("out\n")},
		{Try: 1, Time: 1 << 50, Flags: wire.FlagPartial | wire.FlagMasked, Offset: 7},
		{Node: 1 << 31, Try: 1, Data: bytes.Repeat([]byte{0xff, 0}, 1000)},
	}
	var b []byte
	for _, f := range frames {
		b = wire.AppendFrame(b, f)
	}
	if n, err := wire.CountFrames(b); err != nil || n != len(frames) {
		t.Errorf("%d frames, %v", n, err)
	}
	for i := range frames {
		f, rest, err := wire.NextFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Data) == 0 {
			f.Data = nil
		}
		if diff := cmp.Diff(frames[i], f); diff != "" {
			t.Errorf("frame %d (-want +got):\n%s", i, diff)
		}
		b = rest
	}
}

// The chain binds number, order and bytes: nothing can be left out, swapped or changed.
func TestChains(t *testing.T) {
	t.Parallel()
	one, two := wire.NextRecordHash(wire.Hash{}, []byte("a")), wire.NextRecordHash(wire.Hash{}, []byte("b"))
	if one == two || wire.NextRecordHash(one, []byte("b")) == wire.NextRecordHash(two, []byte("a")) {
		t.Error("records may be swapped")
	}
	if wire.NextChunkHash(wire.Hash{}, 0, []byte("a")) == wire.NextChunkHash(wire.Hash{}, 1, []byte("a")) {
		t.Error("chunks may be renumbered")
	}
	result := wire.Result{Incarnation: 1, AttemptID: "a", Epoch: 1, Outcome: 1, StepsTotal: 2, LogTotal: 3}
	digest := wire.ResultDigest(result)
	for name, change := range map[string]func(*wire.Result){
		"incarnation": func(r *wire.Result) { r.Incarnation++ }, "attempt": func(r *wire.Result) { r.AttemptID = "b" },
		"epoch": func(r *wire.Result) { r.Epoch++ }, "outcome": func(r *wire.Result) { r.Outcome++ },
		"steps": func(r *wire.Result) { r.StepsTotal++ }, "steps' hash": func(r *wire.Result) { r.StepsHash[0]++ },
		"log": func(r *wire.Result) { r.LogTotal++ }, "log's hash": func(r *wire.Result) { r.LogHash[0]++ },
	} {
		changed := result
		change(&changed)
		if wire.ResultDigest(changed) == digest {
			t.Errorf("the signature does not cover %s", name)
		}
	}
}

func TestSealedForOneRunnerAndAttempt(t *testing.T) {
	t.Parallel()
	private, public, err := wire.SealingKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := wire.SealingKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := wire.Seal(public, wire.SealInfo("c", "a"), []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("hunter2")) {
		t.Error("it is readable")
	}
	if plain, err := wire.Open(private, wire.SealInfo("c", "a"), sealed); err != nil || string(plain) != "hunter2" {
		t.Errorf("opened as %q, %v", plain, err)
	}
	broken := bytes.Clone(sealed)
	broken[len(broken)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another runner":  func() ([]byte, error) { return wire.Open(other, wire.SealInfo("c", "a"), sealed) },
		"another attempt": func() ([]byte, error) { return wire.Open(private, wire.SealInfo("c", "b"), sealed) },
		"another cluster": func() ([]byte, error) { return wire.Open(private, wire.SealInfo("d", "a"), sealed) },
		"changed":         func() ([]byte, error) { return wire.Open(private, wire.SealInfo("c", "a"), broken) },
		"nothing":         func() ([]byte, error) { return wire.Open(private, wire.SealInfo("c", "a"), nil) },
	} {
		if plain, err := open(); err == nil {
			t.Errorf("%s: opened as %q", name, plain)
		}
	}
}

// What a stranger may send must never bring a decoder down, and what it takes it must
// give back as it was.
func FuzzNextFrame(f *testing.F) {
	f.Add(wire.AppendFrame(nil, wire.Frame{Node: 1, Try: 1, Time: 5, Data: []byte("x")}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			frame, rest, err := wire.NextFrame(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			again, _, err := wire.NextFrame(wire.AppendFrame(nil, frame))
			if err != nil || !cmp.Equal(again, frame) {
				t.Fatalf("%+v comes back as %+v, %v", frame, again, err)
			}
			b = rest
		}
	})
}

func FuzzParseEnrolmentToken(f *testing.F) {
	f.Add("")
	f.Add("frt_x")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := wire.ParseEnrolmentToken(text)
		if err != nil {
			return
		}
		if again, err := wire.ParseEnrolmentToken(token.String()); err != nil || again.String() != token.String() {
			t.Fatalf("%+v comes back as %+v, %v", token, again, err)
		}
	})
}

func FuzzParseURI(f *testing.F) {
	f.Add("spiffe://01234567-0123-7123-8123-0123456789ab/member/01234567-0123-7123-8123-0123456789ab")
	f.Fuzz(func(t *testing.T, uri string) {
		if id, err := wire.ParseURI(uri); err == nil && id.URI() != uri {
			t.Fatalf("%q is taken as %q", uri, id.URI())
		}
	})
}
