package hub

import "time"

// HostKeyState says what stands behind a host key.
type HostKeyState string

// The states. A node that has a key in conflict is refused until a person chooses.
const (
	HostKeyAccepted HostKeyState = "accepted"
	HostKeyConflict HostKeyState = "conflict"
)

// HostKey is an SSH host key that a runner saw at a node.
type HostKey struct {
	ProjectID string
	Node      string
	// Key as in known_hosts, without the host: "ssh-ed25519 AAAA...".
	Key      string
	State    HostKeyState
	RunnerID string // that saw it first; "" when a person gave it
	SeenAt   time.Time
}
