package store

import (
	"golang.org/x/sys/unix"
)

// refuseNetworkFS refuses directories on which SQLite's locks and shared memory do
// not hold. FUSE and 9p are let through: they are local as often as not.
func refuseNetworkFS(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil //nolint:nilerr // a directory that is not there is told by the lock file
	}
	if name := networkFS(uint32(st.Type)); name != "" {
		return refuse("The directory %s is on %s, a network file system, where SQLite loses data. Use a local disk, or PostgreSQL (--database).", dir, name)
	}
	return nil
}

// networkFS names a network file system by its magic number, or gives "".
func networkFS(magic uint32) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x517b, 0xff534d42, 0xfe534d42:
		return "SMB"
	case 0x5346414f, 0x6b414653:
		return "AFS"
	case 0x00c36400:
		return "CephFS"
	case 0x0bd00bd0:
		return "Lustre"
	case 0x01161970:
		return "GFS2"
	case 0x7461636f:
		return "OCFS2"
	}
	return ""
}
