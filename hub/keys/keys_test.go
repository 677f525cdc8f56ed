package keys

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

const org = hub.DefaultOrganisationID

// sshKey makes a private key in OpenSSH's form, and its public half.
func sshKey(t *testing.T, passphrase string) (private, public []byte) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), ssh.MarshalAuthorizedKey(line)
}

func TestSetAndGet(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		ctx, st := context.Background(), open(t)
		k := New(st, testMaster(t, 1))
		const path = "keys/project/web/db password"
		for revision, value := range []string{"first secret", "second secret"} {
			key, err := k.Set(ctx, org, path, hub.KeyPassword, []byte(value+"\n"), "ann")
			if err != nil {
				t.Fatal(err)
			}
			if key.Revision != int64(revision+1) || key.Size != len(value) {
				t.Errorf("revision %d, size %d", key.Revision, key.Size)
			}
			_, got, err := k.Get(ctx, org, path)
			if err != nil || string(got) != value {
				t.Errorf("got %q, %v; want %q", got, err, value)
			}
		}
		_, sealed, err := st.SealedKey(ctx, org, path)
		if err != nil || strings.Contains(string(sealed), "secret") {
			t.Errorf("the row shows the value (error %v)", err)
		}
		list, next, err := k.List(ctx, org, "keys/project/", store.Page{})
		if err != nil || len(list) != 1 || list[0].Path != path || next != "" {
			t.Errorf("list %v, next %q, error %v", list, next, err)
		}
		if err := k.Delete(ctx, org, path, 0); err != nil {
			t.Error(err)
		}
		if _, _, err := k.Get(ctx, org, path); hub.ErrorCode(err) != hub.CodeNotFound {
			t.Errorf("after deleting: %v", err)
		}
	})
}

// A row copied to another path, by whoever can write to the database, must not open
// there.
func TestMovedRowDoesNotOpen(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	k := New(st, testMaster(t, 1))
	if _, err := k.Set(ctx, org, "keys/project/a/x", hub.KeyPassword, []byte("secret"), "ann"); err != nil {
		t.Fatal(err)
	}
	_, sealed, err := st.SealedKey(ctx, org, "keys/project/a/x")
	if err != nil {
		t.Fatal(err)
	}
	err = st.SetKey(ctx, &hub.Key{OrganisationID: org, Path: "keys/project/b/x", Type: hub.KeyPassword}, func(int64) ([]byte, error) { return sealed, nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, value, err := k.Get(ctx, org, "keys/project/b/x"); err == nil {
		t.Errorf("the moved row opened as %q", value)
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	k := New(storetest.New(t), testMaster(t, 1))
	private, public := sshKey(t, "")
	locked, _ := sshKey(t, "passphrase")
	for name, tc := range map[string]struct {
		path  string
		typ   hub.KeyType
		value []byte
		ok    bool
	}{
		"private key":          {"keys/a", hub.KeyPrivate, private, true},
		"locked private key":   {"keys/b", hub.KeyPrivate, locked, true},
		"public key":           {"keys/c", hub.KeyPublic, public, true},
		"public as private":    {"keys/d", hub.KeyPrivate, public, false},
		"private as public":    {"keys/e", hub.KeyPublic, private, false},
		"password for a key":   {"keys/f", hub.KeyPrivate, []byte("hunter2"), false},
		"empty password":       {"keys/g", hub.KeyPassword, []byte("\n"), false},
		"unknown type":         {"keys/h", "token", []byte("x"), false},
		"too large":            {"keys/i", hub.KeyPassword, make([]byte, MaxValue+1), false},
		"path without root":    {"project/a", hub.KeyPassword, []byte("x"), false},
		"path climbs":          {"keys/../etc", hub.KeyPassword, []byte("x"), false},
		"path with empty part": {"keys//a", hub.KeyPassword, []byte("x"), false},
		"path ends in slash":   {"keys/a/", hub.KeyPassword, []byte("x"), false},
		"path with newline":    {"keys/a\nb", hub.KeyPassword, []byte("x"), false},
		"path with percent":    {"keys/a%2fb", hub.KeyPassword, []byte("x"), false},
		"path too long":        {"keys/" + strings.Repeat("a", hub.MaxKeyPath), hub.KeyPassword, []byte("x"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := k.Set(context.Background(), org, tc.path, tc.typ, tc.value, "ann")
			if tc.ok != (err == nil) || !tc.ok && hub.ErrorCode(err) != hub.CodeInvalid {
				t.Fatalf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	k := New(st, testMaster(t, 1))
	project := &hub.Project{OrganisationID: org, Name: "web", Settings: map[string]string{
		"ssh-password-storage-path": "keys/project/web/${node.name}",
		"ssh-key-storage-path":      "keys/shared/none",
	}}
	if err := st.CreateProject(ctx, project); err != nil {
		t.Fatal(err)
	}
	for path, value := range map[string]string{
		"keys/project/web/n1": "one", "keys/project/web/n2": "two", "keys/shared/sudo": "root",
		"keys/project/web/opt": "stored", "keys/project/other/x": "foreign",
	} {
		if _, err := k.Set(ctx, org, path, hub.KeyPassword, []byte(value), "ann"); err != nil {
			t.Fatal(err)
		}
	}
	e := &hub.Execution{
		ID: store.NewID(), OrganisationID: org, ProjectID: project.ID, SecureOptions: []string{"given"},
		Nodes: []hub.Node{
			{Name: "n1"},
			{Name: "n2", Attributes: map[string]string{"sudo-password-storage-path": "keys/shared/sudo"}},
			{Name: "n3", Attributes: map[string]string{"ssh-password-storage-path": "keys/project/other/x"}},
		},
		Definition: &hub.Job{Options: []hub.Option{
			{Name: "plain"},
			{Name: "given", Secure: true, StoragePath: "keys/project/web/opt"},
			{Name: "stored", Secure: true, StoragePath: "keys/project/web/opt"},
			{Name: "absent", Secure: true},
		}},
	}
	sealed, err := k.SealOptions(ctx, org, e.ID, map[string]string{"given": "typed"})
	if err != nil {
		t.Fatal(err)
	}
	err = st.InTx(ctx, func(st *store.Store) error {
		row := &store.ExecutionRow{Execution: *e}
		return st.InsertExecutions(ctx, []*store.ExecutionRow{row}, []*store.ExecutionSpec{{Definition: e.Definition, Nodes: e.Nodes, Sealed: sealed}})
	})
	if err != nil {
		t.Fatal(err)
	}

	got, err := k.Secrets(ctx, nil, e, &hub.Assignment{Nodes: []int{0, 1}})
	if code := hub.ErrorCode(err); code != hub.CodeNotFound || !strings.Contains(err.Error(), "keys/shared/none") {
		t.Errorf("a missing key is told as %v", err)
	}
	want := &hub.Secrets{
		Options: map[string]string{"given": "typed", "stored": "stored"},
		Keys:    map[string][]byte{"keys/project/web/n1": []byte("one"), "keys/project/web/n2": []byte("two"), "keys/shared/sudo": []byte("root")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets of two nodes (-want +got):\n%s", diff)
	}

	// Another project's key is never granted, and other nodes' keys are not either.
	got, err = k.Secrets(ctx, nil, e, &hub.Assignment{Nodes: []int{2}})
	if err == nil || !strings.Contains(err.Error(), "belongs to another project") {
		t.Errorf("a foreign key is told as %v", err)
	}
	if len(got.Keys) != 0 {
		t.Errorf("granted %v", got.Keys)
	}
}

// What does not open is told as lacking beside the rest: a claim that is refused for it would
// be made again for ever. What was typed is not replaced by what is stored.
func TestWhatDoesNotOpenIsLacking(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	k := New(st, testMaster(t, 1))
	project := &hub.Project{OrganisationID: org, Name: "web", Settings: map[string]string{"ssh-password-storage-path": "keys/project/web/${node.name}"}}
	if err := st.CreateProject(ctx, project); err != nil {
		t.Fatal(err)
	}
	for path, value := range map[string]string{"keys/project/web/n1": "sound", "keys/project/web/opt": "sound", "keys/project/web/bytes": "\xff\xfe"} {
		if _, err := k.Set(ctx, org, path, hub.KeyPassword, []byte(value), "ann"); err != nil {
			t.Fatal(err)
		}
	}
	altered := &hub.Key{OrganisationID: org, Path: "keys/project/web/n2", Type: hub.KeyPassword}
	if err := st.SetKey(ctx, altered, func(int64) ([]byte, error) { return []byte("cut off"), nil }); err != nil {
		t.Fatal(err)
	}
	e := &hub.Execution{
		ID: store.NewID(), OrganisationID: org, ProjectID: project.ID, SecureOptions: []string{"typed"},
		Nodes: []hub.Node{{Name: "n1"}, {Name: "n2"}},
		Definition: &hub.Job{Options: []hub.Option{
			{Name: "typed", Secure: true, StoragePath: "keys/project/web/opt"},
			{Name: "stored", Secure: true, StoragePath: "keys/project/web/opt"},
			{Name: "altered", Secure: true, StoragePath: "keys/project/web/n2"},
			{Name: "needed", Secure: true, Required: true, StoragePath: "keys/project/web/none"},
			{Name: "optional", Secure: true, StoragePath: "keys/project/web/none"},
			{Name: "bytes", Secure: true, StoragePath: "keys/project/web/bytes"},
		}},
	}
	other, err := k.SealOptions(ctx, org, store.NewID(), map[string]string{"typed": "of another run"})
	if err != nil {
		t.Fatal(err)
	}
	err = st.InTx(ctx, func(st *store.Store) error {
		return st.InsertExecutions(ctx, []*store.ExecutionRow{{Execution: *e}}, []*store.ExecutionSpec{{Definition: e.Definition, Nodes: e.Nodes, Sealed: other}})
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Secrets(ctx, nil, e, &hub.Assignment{Nodes: []int{0, 1}})
	if code := hub.ErrorCode(err); code != hub.CodeInvalid || !strings.Contains(err.Error(), "The key keys/project/web/n2 cannot be opened") {
		t.Errorf("what does not open is told as %s, %v", code, err)
	}
	want := &hub.Secrets{Options: map[string]string{"stored": "sound"}, Keys: map[string][]byte{"keys/project/web/n1": []byte("sound")}}
	lacking := strings.Join(got.Lacking, "\n")
	for _, name := range []string{
		"The options typed have no value", "The option altered has no value: The key keys/project/web/n2 cannot", `The option needed has no value: There is no key "keys/project/web/none"`,
		"The option bytes has no value: the key keys/project/web/bytes is not UTF-8",
	} {
		if !strings.Contains(lacking, name) {
			t.Errorf("%q is not among what is lacking:\n%s", name, lacking)
		}
	}
	if len(got.Lacking) != 4 {
		t.Errorf("lacking: %q; an option that need not have a value is empty", got.Lacking)
	}
	got.Lacking = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}

// TestRecoveredNodesNameNoKeys is a runner that tells of nodes what it likes, in an
// execution that the hub knows by the runner alone.
func TestRecoveredNodesNameNoKeys(t *testing.T) {
	t.Parallel()
	ctx, st := context.Background(), storetest.New(t)
	k := New(st, testMaster(t, 1))
	project := &hub.Project{OrganisationID: org, Name: "web", Settings: map[string]string{"ssh-key-storage-path": "keys/${node.name}"}}
	if err := st.CreateProject(ctx, project); err != nil {
		t.Fatal(err)
	}
	stored := []hub.Node{{Name: "n1", Attributes: map[string]string{"sudo-password-storage-path": "keys/sudo"}}}
	if _, err := st.ReplaceNodes(ctx, project.ID, stored); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"keys/n1", "keys/sudo", "keys/root"} {
		if _, err := k.Set(ctx, org, path, hub.KeyPassword, []byte(path), "ann"); err != nil {
			t.Fatal(err)
		}
	}
	told := []hub.Node{
		{Name: "n1", Attributes: map[string]string{"sudo-password-storage-path": "keys/root", "x-storage-path": "keys/root"}},
		{Name: "root"},
		{Name: "made up", Attributes: map[string]string{"x-storage-path": "keys/root"}},
	}
	e := &hub.Execution{ID: store.NewID(), OrganisationID: org, ProjectID: project.ID, Recovered: true, Nodes: told, Definition: &hub.Job{}}
	got, err := k.Secrets(ctx, nil, e, &hub.Assignment{Nodes: []int{0, 1, 2}})
	want := &hub.Secrets{Keys: map[string][]byte{"keys/n1": []byte("keys/n1"), "keys/sudo": []byte("keys/sudo")}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("secrets (-want +got), %v:\n%s", err, diff)
	}
}

func TestSealedOptionsAreBound(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	k := New(nil, testMaster(t, 1))
	sealed, err := k.SealOptions(ctx, org, "e1", map[string]string{"a": "secret"})
	if err != nil || strings.Contains(string(sealed), "secret") {
		t.Fatalf("sealed %q, %v", sealed, err)
	}
	if got, err := k.OpenOptions(ctx, org, "e1", sealed); err != nil || got["a"] != "secret" {
		t.Errorf("opened %v, %v", got, err)
	}
	if _, err := k.OpenOptions(ctx, org, "e2", sealed); err == nil {
		t.Error("they open for another execution")
	}
	if got, err := k.OpenOptions(ctx, org, "e1", nil); err != nil || len(got) != 0 {
		t.Errorf("nothing sealed gives %v, %v", got, err)
	}
}
