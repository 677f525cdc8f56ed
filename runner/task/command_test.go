package task

import (
	"slices"
	"testing"

	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// All that is granted is masked but public keys, whatever a password looks like.
func TestVaultMasks(t *testing.T) {
	t.Parallel()
	v := newVault(&runnerv1.Secrets{Keys: map[string][]byte{
		"keys/public": []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgME web1"), "keys/id.pub": []byte("ecdsa-sha2-nistp256 AAAA"),
		"keys/password": []byte("ssh-open-sesame"),
	}})
	var masks []string
	for _, m := range v.masks {
		masks = append(masks, string(m))
	}
	if !slices.Equal(masks, []string{"ssh-open-sesame"}) {
		t.Errorf("masked are %q", masks)
	}
}
