package keys

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
)

func testMaster(t *testing.T, fill byte) *Master {
	t.Helper()
	m, err := NewMaster(bytes.Repeat([]byte{fill}, masterBytes))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLoadMasterCreatesOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	first, created, err := LoadMaster("", path, false)
	if err != nil || !created {
		t.Fatalf("created %v, error %v", created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
	second, created, err := LoadMaster("", path, false)
	if err != nil || created {
		t.Fatalf("created %v again, error %v", created, err)
	}
	sealed, err := first.Seal("here", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := second.Open("here", sealed); err != nil || string(plain) != "x" {
		t.Errorf("the file gave another key: %q, %v", plain, err)
	}
}

func TestLoadMasterRefuses(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("ab", masterBytes)
	for name, tc := range map[string]struct {
		value, file string
		mode        os.FileMode
		want        string
	}{
		"short value":     {value: "abcd", want: "openssl rand"},
		"file with words": {file: "not a key", mode: 0o600, want: "openssl rand"},
		"readable file":   {file: good, mode: 0o644, want: "chmod 600"},
		"group readable":  {file: good, mode: 0o640, want: "chmod 600"},
		"value hex":       {value: good},
		"file hex":        {file: good + "\n", mode: 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "master.key")
			if tc.file != "" {
				if err := os.WriteFile(path, []byte(tc.file), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, tc.mode); err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := LoadMaster(tc.value, path, false)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if hub.ErrorCode(err) != hub.CodeInvalid || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v does not say %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "not a key") || strings.Contains(err.Error(), good) {
				t.Error("the error repeats the key")
			}
		})
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	m := testMaster(t, 1)
	plain := []byte("hunter2 hunter2 hunter2")
	sealed, err := m.Seal("a", plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, plain[:7]) {
		t.Error("the envelope shows its content")
	}
	again, err := m.Seal("a", plain)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("two envelopes of one value are alike (error %v)", err)
	}
	if got, err := m.Open("a", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opened %q, %v", got, err)
	}
	if _, err := m.Open("b", sealed); err == nil {
		t.Error("it opens at another place")
	}
	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		if _, err := m.Open("a", broken); err == nil {
			t.Fatalf("it opens with byte %d altered", i)
		}
		if _, err := m.Open("a", sealed[:i]); err == nil {
			t.Fatalf("it opens cut to %d bytes", i)
		}
	}
	_, err = testMaster(t, 2).Open("a", sealed)
	if err == nil || !strings.Contains(err.Error(), "another master key") {
		t.Errorf("another master key is told as %v", err)
	}
}

func TestMACTellsPartsApart(t *testing.T) {
	t.Parallel()
	m := testMaster(t, 1)
	seen := map[string]string{}
	for name, mac := range map[string][]byte{
		"ab,c":    m.MAC("p", []byte("ab"), []byte("c")),
		"a,bc":    m.MAC("p", []byte("a"), []byte("bc")),
		"abc":     m.MAC("p", []byte("abc")),
		"other":   m.MAC("q", []byte("abc")),
		"nothing": m.MAC("p"),
		"key 2":   testMaster(t, 2).MAC("p", []byte("abc")),
	} {
		text := hex.EncodeToString(mac)
		if other, ok := seen[text]; ok {
			t.Errorf("%s and %s have the same MAC", name, other)
		}
		seen[text] = name
	}
}

// A second member without the first one's key must not get one of its own.
func TestNoNewKeyForOldSecrets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	_, created, err := LoadMaster("", path, true)
	if hub.ErrorCode(err) != hub.CodeInvalid || created || !strings.Contains(err.Error(), path) {
		t.Errorf("created %v, %v", created, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}
}
