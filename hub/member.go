package hub

import "time"

// Member is one hub replica.
type Member struct {
	ID      string
	Name    string
	Version string
	// Gateway and Address are host:port that runners and members reach it at.
	Gateway     string
	Address     string
	Roles       []string // api, gateway, scheduler
	StartedAt   time.Time
	HeartbeatAt time.Time
	// Incarnation of this process, so that a copied data directory shows.
	Nonce []byte
}

// Cluster is the one row about the installation.
type Cluster struct {
	ID          string
	Incarnation int64
	CreatedAt   time.Time
}
