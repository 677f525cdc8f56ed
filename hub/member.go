package hub

import "time"

// Member is one hub replica.
type Member struct {
	ID      string
	Name    string
	Version string
	// Gateway and Address are host:port that runners and members reach it at. Gateway is
	// empty when it serves no runners.
	Gateway     string
	Address     string
	Roles       []string // RoleAPI, RoleGateway, RoleScheduler
	StartedAt   time.Time
	HeartbeatAt time.Time
	// Incarnation of this process, so that a copied data directory shows.
	Nonce []byte
	// Sessions of runners that it serves, as its last heartbeat told.
	Sessions int
	// Draining: a person asked that runners and people go elsewhere.
	Draining bool
	// ExecutionMode passive: no schedule fires here.
	ExecutionMode ExecutionMode
}

// What a member does.
const (
	// RoleAPI serves people and scripts.
	RoleAPI = "api"
	// RoleGateway serves runners.
	RoleGateway = "gateway"
	// RoleScheduler fires schedules and looks after what lapses.
	RoleScheduler = "scheduler"
)

// Roles are all of them.
func Roles() []string { return []string{RoleAPI, RoleGateway, RoleScheduler} }

// ExecutionMode says whether schedules fire.
type ExecutionMode string

// The modes.
const (
	ModeActive  ExecutionMode = "active"
	ModePassive ExecutionMode = "passive"
)

// Cluster is the one row about the installation.
type Cluster struct {
	ID            string
	Incarnation   int64
	CreatedAt     time.Time
	ExecutionMode ExecutionMode
}
