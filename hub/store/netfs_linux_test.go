package store

import "testing"

func TestNetworkFileSystemsAreKnown(t *testing.T) {
	t.Parallel()
	for magic, want := range map[uint32]string{
		0x6969: "NFS", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0xef53: "" /* ext4 */, 0x01021994: "", /* tmpfs */
	} {
		if got := networkFS(magic); got != want {
			t.Errorf("%#x: got %q, want %q", magic, got, want)
		}
	}
	if err := refuseNetworkFS(t.TempDir()); err != nil {
		t.Errorf("a local directory: %v", err)
	}
}
