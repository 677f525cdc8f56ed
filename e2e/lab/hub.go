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
	// Database is a URL; "" is SQLite in the data directory.
	Database string
	// AdvertiseGateway is what runners are told, e.g. a proxy's address.
	AdvertiseGateway string
	Env              []string
	Args             []string
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
	secret := make([]byte, 16)
	_, _ = rand.Read(secret)
	h := &Hub{
		API:  &API{URL: "http://" + http, Token: "lab-" + hex.EncodeToString(secret)},
		HTTP: http, Gateway: gateway, DataDir: filepath.Join(config.Dir, "hub"), config: config,
	}
	return h, os.MkdirAll(h.DataDir, 0o700)
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
	env := append([]string{"FAIRLEAD_HUB_BOOTSTRAP_TOKEN=" + h.Token}, h.config.Env...)
	p, err := StartProcess(h.config.Dir, "hub", env, h.config.Binary, append(args, h.config.Args...)...)
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

// SetEnv replaces the environment of the next start.
func (h *Hub) SetEnv(env ...string) { h.config.Env = env }

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
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/health/ready", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("the hub does not answer: %w", err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("the hub is not ready: %s", res.Status)
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
