package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// HubConfig says how to start a hub. Zero fields get free addresses and SQLite.
type HubConfig struct {
	Binary string
	Dir    string // data directory and logs lie in it
	// Member names the hub among several, and its data directory and log; "": it is alone.
	Member string
	// Token of the administrator; "": a new one.
	Token string
	// Database is a URL; "" is SQLite in the data directory.
	Database string
	// AdvertiseGateway is what runners are told, e.g. a proxy's address.
	AdvertiseGateway string
	// AdvertiseMember is what other members are told.
	AdvertiseMember string
	Env             []string
	Args            []string
	// Starter starts its process; nil: StartProcess.
	Starter Starter
}

// Hub is a running hub; its addresses and token outlive restarts.
type Hub struct {
	*API
	HTTP, Gateway string
	DataDir       string
	Process       *Process

	config HubConfig
	starts int
}

// NewHub chooses addresses and an administrator's token; Start starts it.
func NewHub(config HubConfig) (*Hub, error) {
	http, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	gateway, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	if config.Token == "" {
		config.Token = "lab-" + secret(16)
	}
	h := &Hub{API: &API{URL: "http://" + http, Token: config.Token}, HTTP: http, Gateway: gateway, config: config}
	h.DataDir = filepath.Join(config.Dir, h.name())
	return h, os.MkdirAll(h.DataDir, 0o700)
}

// name of its process, log and data directory.
func (h *Hub) name() string {
	if h.config.Member == "" {
		return "hub"
	}
	return "hub-" + h.config.Member
}

// secret is n random bytes in hex.
func secret(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// Prefer takes the given addresses where they are free.
func (h *Hub) Prefer(http, gateway string) {
	if free(http) {
		h.HTTP, h.URL = http, "http://"+http
	}
	if free(gateway) {
		h.Gateway = gateway
	}
}

// OnePort has the hub serve runners at the port for people.
func (h *Hub) OnePort() { h.Gateway = h.HTTP }

// Elsewhere takes free addresses in place of those it has.
func (h *Hub) Elsewhere() error {
	other, err := NewHub(h.config)
	if err != nil {
		return err
	}
	h.HTTP, h.URL, h.Gateway = other.HTTP, other.URL, other.Gateway
	return nil
}

// Start starts the hub and waits until it is ready.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.Launch(); err != nil {
		return err
	}
	return h.WaitReady(ctx)
}

// Launch starts the hub's process and waits for nothing.
func (h *Hub) Launch() error {
	args := []string{"serve", "--data-dir", h.DataDir, "--http", h.HTTP, "--gateway", h.Gateway}
	if h.config.Database != "" {
		args = append(args, "--database", h.config.Database)
	}
	if h.config.AdvertiseGateway != "" {
		args = append(args, "--advertise-gateway", h.config.AdvertiseGateway)
	}
	if h.config.Member != "" {
		args = append(args, "--member", h.config.Member)
	}
	if h.config.AdvertiseMember != "" {
		args = append(args, "--advertise-member", h.config.AdvertiseMember)
	}
	env := append([]string{"FAIRLEAD_HUB_BOOTSTRAP_TOKEN=" + h.Token}, h.config.Env...)
	start := StartProcess
	if h.config.Starter != nil {
		start = h.config.Starter
	}
	p, err := start(h.config.Dir, h.name(), env, h.config.Binary, append(args, h.config.Args...)...)
	if err != nil {
		return err
	}
	h.Process = p
	h.starts++
	return nil
}

// SetAdvertise changes what runners are told the gateway's address is, from the next
// start on.
func (h *Hub) SetAdvertise(addr string) { h.config.AdvertiseGateway = addr }

// SetBinary is the program that the next start runs.
func (h *Hub) SetBinary(path string) { h.config.Binary = path }

// SetEnv replaces the environment of the next start.
func (h *Hub) SetEnv(env ...string) { h.config.Env = env }

// SetStarter is how the next start starts the process.
func (h *Hub) SetStarter(s Starter) { h.config.Starter = s }

// WaitReady waits until /health/ready says so, and the administrator's token is known.
func (h *Hub) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return Poll(ctx, 5*time.Millisecond, func() error {
		select {
		case <-h.Process.Done():
			cancel()
			return fmt.Errorf("the hub ended: %w\n%s", h.Process.err, h.Process.Tail())
		default:
		}
		if err := h.Health(ctx, "ready"); err != nil {
			return err
		}
		// Another hub may have got the address first; ours is about to end then.
		if err := h.Do(ctx, http.MethodGet, "/me", nil, nil); err != nil {
			return fmt.Errorf("what answers at %s is not this hub: %w", h.HTTP, err)
		}
		return nil
	})
}

// Restart kills the hub and starts it again.
func (h *Hub) Restart(ctx context.Context) error {
	h.Process.Kill()
	return h.Start(ctx)
}
