package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Cluster is several hubs over one PostgreSQL, under one master key.
type Cluster struct {
	Postgres *Postgres
	Members  []*Member
}

// Member is a hub of a cluster, with a proxy on each of its links.
type Member struct {
	*Hub
	Name string
	// Database is between it and PostgreSQL, Peers between other members and it, Runners
	// between runners and it; nil in a cluster without proxies.
	Database, Peers, Runners *Proxy
}

// ClusterConfig says how to start a cluster.
type ClusterConfig struct {
	Binary, Dir string
	Members     int
	// Direct leaves the proxies out.
	Direct bool
	Env    []string
	Args   []string
	// Starter of a member by its name; nil: StartProcess.
	Starter map[string]Starter
}

// MemberState is what the lab reads of a member.
type MemberState struct {
	Name          string
	State         string
	Active        bool
	Draining      bool
	Sessions      int
	ExecutionMode string
}

// ClusterState is what the lab reads of a cluster.
type ClusterState struct {
	Mode    string
	Members []MemberState
	Leases  []struct {
		Name, Holder string
		Term         int64
		Held         bool
	}
}

// NewCluster starts PostgreSQL and chooses names (a, b, ..) and addresses of members;
// Start starts them.
func NewCluster(ctx context.Context, config ClusterConfig) (*Cluster, error) {
	pg, err := StartPostgres(ctx, config.Dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Postgres: pg}
	key := filepath.Join(config.Dir, "master.key")
	if err := os.WriteFile(key, []byte(secret(32)), 0o600); err != nil {
		return nil, fmt.Errorf("writing the master key: %w", err)
	}
	token := "lab-" + secret(16)
	for i := range config.Members {
		m := &Member{Name: string(rune('a' + i))}
		hub := HubConfig{
			Binary: config.Binary, Dir: config.Dir, Member: m.Name, Token: token, Database: pg.URL(),
			Env: config.Env, Args: append([]string{"--master-key-path", key}, config.Args...), Starter: config.Starter[m.Name],
		}
		if err := m.prepare(pg, hub, config.Direct); err != nil {
			c.Stop()
			return nil, err
		}
		c.Members = append(c.Members, m)
	}
	return c, nil
}

// prepare makes the hub and the proxies around it.
func (m *Member) prepare(pg *Postgres, config HubConfig, direct bool) error {
	var err error
	if m.Hub, err = NewHub(config); err != nil || direct {
		return err
	}
	if m.Database, err = NewProxy(pg.Addr()); err != nil {
		return err
	}
	if m.Peers, err = NewProxy(m.Gateway); err != nil {
		return err
	}
	if m.Runners, err = NewProxy(m.Gateway); err != nil {
		return err
	}
	m.config.Database = pg.URLAt(m.Database.Addr())
	m.config.AdvertiseMember, m.config.AdvertiseGateway = m.Peers.Addr(), m.Runners.Addr()
	return nil
}

// Advertised is where runners reach the member.
func (m *Member) Advertised() string {
	if m.Runners == nil {
		return m.Gateway
	}
	return m.Runners.Addr()
}

// Start starts members at once, all if none is named, and waits until they are ready.
func (c *Cluster) Start(ctx context.Context, members ...*Member) error {
	if len(members) == 0 {
		members = c.Members
	}
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { errs[i] = m.Start(ctx) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("starting member %s: %w", members[i].Name, err)
		}
	}
	return nil
}

// Kill ends all members as kill -9 does.
func (c *Cluster) Kill() {
	for _, m := range c.Members {
		if m.Process != nil {
			m.Process.Kill()
		}
	}
}

// Stop ends everything.
func (c *Cluster) Stop() {
	c.Kill()
	for _, m := range c.Members {
		for _, p := range []*Proxy{m.Database, m.Peers, m.Runners} {
			if p != nil {
				p.Close()
			}
		}
	}
	c.Postgres.Stop()
}

// Cluster reads the cluster as this hub sees it.
func (a *API) Cluster(ctx context.Context) (ClusterState, error) {
	var s ClusterState
	return s, a.Do(ctx, http.MethodGet, "/cluster", nil, &s)
}

// SetDraining drains a member, or brings it back.
func (a *API) SetDraining(ctx context.Context, member string, draining bool) error {
	return a.Do(ctx, http.MethodPatch, "/cluster/members/"+member, map[string]any{"draining": draining}, nil)
}

// Promote makes a member the active one.
func (a *API) Promote(ctx context.Context, member string) error {
	return a.Do(ctx, http.MethodPost, "/cluster/promote", map[string]any{"member": member}, nil)
}

// Health asks one of the health endpoints: live, ready or active.
func (h *Hub) Health(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/health/"+endpoint, nil)
	if err != nil {
		return err
	}
	res, err := h.client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s of %s", h.URL, res.Status, endpoint)
	}
	return nil
}
