package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/api"
	"github.com/fairlead/fairlead/hub/archive"
	"github.com/fairlead/fairlead/hub/auth"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/dispatch"
	"github.com/fairlead/fairlead/hub/gateway"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/retention"
	"github.com/fairlead/fairlead/hub/schedule"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/ui"
	"github.com/fairlead/fairlead/proto/wire"
)

// shutdownTime is how long requests get to finish.
const shutdownTime = 10 * time.Second

// server is a hub with everything in its place.
type server struct {
	cfg      *config.Config
	log      *slog.Logger
	addr     addresses
	st       *store.Store
	ca       *ca.CA
	auth     *auth.Auth
	cluster  *cluster.Cluster
	dispatch *dispatch.Dispatcher
	output   *output.Output
	archives *archive.Archives
	packer   *output.Packer
	purger   *retention.Purger
	schedule *schedule.Scheduler
	gateway  *gateway.Gateway
	peers    *gateway.Peers
	api      http.Handler
	// streams ends the followers of the API when it is closed.
	streams chan struct{}

	http, grpc net.Listener
	onePort    *gateway.OnePort // nil: each has a port of its own
	admin      net.Listener     // nil: not to be had here
	metrics    net.Listener     // nil: not wanted
	registry   *prometheus.Registry
	keepers    []*ca.Keeper
	tls        *tls.Config // of the HTTP listener; nil: plain
	link       string      // secret of the first sign-in link, "" if there is none
}

func (p *program) serve(c *cobra.Command, _ []string) error {
	cfg, _, err := p.load(c)
	if err != nil {
		return err
	}
	log := p.logger(cfg)
	lock, err := lockDataDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // the process ends
	s := &server{cfg: cfg, log: log, streams: make(chan struct{})}
	err = s.open(c.Context())
	if err == nil {
		p.announce(s)
		err = s.run(c.Context())
	}
	if s.st != nil {
		err = errors.Join(err, s.st.Close())
	}
	return err
}

// open does everything that can fail before anything is served.
func (s *server) open(ctx context.Context) error {
	var err error
	if s.st, err = openStore(ctx, s.cfg, s.log); err != nil {
		return err
	}
	if err = s.st.Migrate(ctx); err != nil {
		return err
	}
	master, err := loadMaster(ctx, s.st, s.cfg, s.log)
	if err != nil {
		return err
	}
	if s.ca, err = ca.Open(ctx, s.st, master); err != nil {
		return err
	}
	if err = s.listen(ctx); err != nil {
		return err
	}
	if err = s.join(ctx, master); err != nil {
		return err
	}
	s.auth = auth.New(s.st, auth.Config{SecureCookies: s.addr.secure, Idle: s.cfg.Sessions.Idle, Absolute: s.cfg.Sessions.Absolute}, s.log)
	if s.link, err = s.auth.Bootstrap(ctx, s.cfg.BootstrapToken); err != nil {
		return err
	}
	if err := s.certificates(); err != nil {
		return err
	}
	return s.edges(master)
}

func (s *server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if s.http, err = lc.Listen(ctx, "tcp", s.cfg.HTTP); err != nil {
		return hub.Errorf(hub.CodeUnavailable, "UI and API cannot listen on %s: %v. Choose another address with --http.", s.cfg.HTTP, err)
	}
	if s.cfg.OnePort() {
		s.onePort = gateway.NewOnePort(s.http)
		s.http, s.grpc = s.onePort.People, s.onePort.Gateway
	} else if s.grpc, err = lc.Listen(ctx, "tcp", s.cfg.Gateway); err != nil {
		return errors.Join(hub.Errorf(hub.CodeUnavailable, "The gateway cannot listen on %s: %v. Choose another address with --gateway.", s.cfg.Gateway, err), s.http.Close())
	}
	if s.cfg.Metrics.Listen != "" {
		if s.metrics, err = lc.Listen(ctx, "tcp", s.cfg.Metrics.Listen); err != nil {
			return errors.Join(hub.Errorf(hub.CodeUnavailable, "The metrics cannot listen on %s: %v. Choose another address in metrics.listen.", s.cfg.Metrics.Listen, err), s.http.Close(), s.grpc.Close())
		}
	}
	s.addr = findAddresses(s.cfg, s.http.Addr(), s.grpc.Addr())
	if s.admin, err = listenAdmin(ctx, s.cfg.DataDir); err != nil {
		s.log.WarnContext(ctx, "no local socket: `fairlead-hub user` works only while this hub is stopped", "error", err)
	}
	return nil
}

func (s *server) join(ctx context.Context, master *keys.Master) error {
	id, err := memberID(s.cfg.DataDir)
	if err != nil {
		return err
	}
	cc := s.cfg.Cluster
	h := cc.Heartbeat
	advertised := s.addr.gateway
	if !slices.Contains(config.List(cc.Roles), hub.RoleGateway) {
		advertised = ""
	}
	s.cluster = cluster.New(s.st, master, cluster.Config{
		ID: id, Name: s.cfg.MemberName(), Version: version, Gateway: advertised, Address: s.addr.member,
		Roles: config.List(cc.Roles), Sessions: func() int { return s.dispatch.Sessions() },
		Woken:         func(ctx context.Context, w hub.Wake) error { return s.dispatch.Woken(ctx, w) },
		ActivePassive: cc.Mode == config.ModeActivePassive, ManualTakeover: cc.Takeover.Policy == config.TakeoverManual,
		Successors: config.List(cc.Takeover.Members), ExecutionMode: hub.ExecutionMode(cc.ExecutionMode),
		Interval: h.Interval, Inactive: h.ConsiderInactive, Dead: h.ConsiderDead,
	}, s.log)
	return s.cluster.Join(ctx)
}

// certificates makes those of the two listeners.
func (s *server) certificates() error {
	member, err := ca.NewKeeper(func() (*tls.Certificate, error) { return s.ca.Member(s.cluster.MemberID()) }, s.st.Now, s.log)
	if err != nil {
		return err
	}
	s.keepers = append(s.keepers, member)
	if !s.addr.https {
		return nil
	}
	issue := func() (*tls.Certificate, error) { return s.ca.HTTPS(s.addr.names) }
	if s.cfg.TLS.Cert != "" {
		// Read again at half its life: who renews it has replaced the file by then.
		issue = func() (*tls.Certificate, error) { return readCertificate(s.cfg.TLS) }
	}
	people, err := ca.NewKeeper(issue, s.st.Now, s.log)
	if err != nil {
		return err
	}
	s.keepers = append(s.keepers, people)
	s.tls = &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return people.Certificate(), nil },
	}
	return nil
}

func readCertificate(cfg config.TLS) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return nil, hub.Errorf(hub.CodeInvalid, "The HTTPS certificate (--tls-cert %s, --tls-key %s) cannot be used: %v", cfg.Cert, cfg.Key, err)
	}
	return &pair, nil
}

// edges makes dispatch, output and what stands in front of them.
func (s *server) edges(master *keys.Master) error {
	secrets := keys.New(s.st, master)
	s.peers = gateway.NewPeers(gateway.PeersConfig{
		Others:  s.cluster.OtherMembers,
		TLS:     func(id string) *tls.Config { return s.ca.MemberTLS(s.keepers[0].Certificate, id) },
		Deliver: func(e hub.Event) { s.dispatch.Deliver(e) },
		Fleet: func(ctx context.Context, m string, whole bool, r []hub.FleetRunner) error {
			return s.dispatch.Fleet(ctx, m, whole, r)
		},
		FleetGone: func(m string) { s.dispatch.FleetGone(m) },
		Missed:    s.cluster.Notice,
		Chunks:    func(id string, rows []store.ChunkRow, missed bool) { s.output.Deliver(id, rows, missed) },
	}, s.log)
	s.dispatch = dispatch.New(s.st, dispatch.Config{
		MemberID: s.cluster.MemberID(), Clock: s.cluster.Clock, Hold: s.cluster.Hold, MarkIncarnation: s.cluster.MarkIncarnation, NewestMark: s.cluster.NewestMark,
		Gateways: s.cluster.Gateways, GrantMAC: s.cluster.GrantMAC,
		Secrets: secrets.Secrets, SealOptions: secrets.SealOptions, LostAfter: s.cfg.Attempts.LostAfterTicks,
		Wake: s.peers.Wake, Watch: s.peers.Watch,
		Published: func(executionID string, chunks []hub.Chunk) { s.output.Publish(executionID, chunks) },
	}, s.log)
	var path *archive.Path
	s.archives, path, _ = s.cfg.Archive.Open() // what is wrong was told when the configuration was loaded
	s.purger = retention.New(s.st, retention.Config{MemberID: s.cluster.MemberID(), Archives: s.archives, Age: s.cfg.Output.Retention}, s.log)
	s.packer = output.NewPacker(s.st, output.PackerConfig{MemberID: s.cluster.MemberID(), Archives: s.archives, Path: path, Purger: s.purger}, s.log)
	s.output = output.New(s.st, output.Config{
		MemberID: s.cluster.MemberID(), Clock: s.cluster.Clock, Archives: s.archives,
		Whole: s.dispatch.LogWhole, Events: s.dispatch.Subscribe, Accuse: s.dispatch.Accuse, Follow: s.peers.Follow,
	}, s.log)
	s.schedule = schedule.New(s.st, s.dispatch, s.cluster, s.log)
	s.gateway = gateway.New(s.st, s.ca, s.dispatch, s.output, gateway.Config{
		Gateways: s.cluster.Gateways, Others: s.cluster.Others, Certificate: s.keepers[0].Certificate, LastCommit: s.cluster.LastCommit,
		Serves: s.cluster.Serves, Better: s.better, Members: s.cluster.Sharing,
	}, s.log)
	s.registry = prometheus.NewRegistry()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	s.api, err = api.New(api.Deps{
		Store: s.st, Dispatch: s.dispatch, Output: s.output, Packer: s.packer, Purger: s.purger, Auth: s.auth, Keys: secrets, CA: s.ca, Log: s.log,
		Cluster: s.cluster, MemberName: s.cfg.MemberName(), Version: version,
		PublicURL: s.cfg.PublicURL, RunnerDir: binaryDir(), Metrics: s.registry, UI: ui.Handler(), Done: s.streams,
	})
	return err
}

// How long a member that has not committed for a while tries before it sends runners
// away, and the pause between two tries: one that is late to notice the database's return
// must not send them for nothing.
const (
	tryTime  = 3 * time.Second
	tryPause = 100 * time.Millisecond
)

// better reports whether runners are better off at other members. One that cannot reach
// the database asks whether another can: if none does they all stay where they are, else
// every short restart of the database would be a storm.
func (s *server) better(ctx context.Context) bool {
	if s.cluster.Serves(ctx) == nil || len(s.cluster.Others()) == 0 {
		return false
	}
	// It may serve again by now: its own commit comes while this is asked.
	return s.othersServe(ctx) && s.cluster.Serves(ctx) != nil
}

// othersServe reports whether others serve while this member does not.
func (s *server) othersServe(ctx context.Context) bool {
	if s.cluster.LastCommit() <= cluster.ReadyWithin {
		return true
	}
	if !s.othersCommitted(ctx, cluster.ReadyWithin) {
		return false
	}
	// When the database comes back, another member may be the first to find out. And when it
	// goes, one may have been the last to commit: what counts is who does while this one tries.
	began := time.Now()
	trying, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	for s.cluster.TryCommit(trying) != nil {
		select {
		case <-trying.Done():
			return s.othersCommitted(ctx, time.Since(began))
		case <-time.After(tryPause):
		}
	}
	return false
}

// othersCommitted reports whether another member committed something within a time.
func (s *server) othersCommitted(ctx context.Context, within time.Duration) bool {
	asking, cancel := context.WithTimeout(ctx, cluster.ReadyWithin)
	defer cancel()
	ago, ok := s.peers.LastCommit(asking)
	return ok && ago <= within
}

// binaryDir is where the runner's binary lies beside this one, "" if that is unknown.
func binaryDir() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return filepath.Dir(path)
}

// announce tells the person at the terminal what to do next.
func (p *program) announce(s *server) {
	out := p.env.stdout
	_, _ = fmt.Fprintf(out, "Fairlead hub %s\n  UI and API  %s\n  Runners     %s\n", version, s.addr.public, s.addr.gateway)
	if s.addr.https && s.cfg.TLS.Cert == "" {
		pin := wire.Pin(s.ca.Certificates()[0])
		_, _ = fmt.Fprintf(out, "  Its CA      sha256:%s (of its public key)\n", hex.EncodeToString(pin[:]))
	}
	if s.link != "" {
		_, _ = fmt.Fprintf(out, "  Sign in     %s (works once, for 24 hours)\n", signInURL(s.addr.public, s.link))
	}
	if s.cfg.InsecureHTTP && !config.Loopback(s.cfg.HTTP) && !s.addr.https {
		s.log.Warn("plain HTTP beyond this machine: passwords and tokens travel readable")
	}
}

func signInURL(public, secret string) string { return public + "/sign-in?link=" + secret }

// run serves until ctx ends. The edges end first, and the services that they stand on
// after them, so that what was taken is finished.
func (s *server) run(ctx context.Context) error {
	g, all := errgroup.WithContext(context.WithoutCancel(ctx))
	services, stopServices := context.WithCancel(all)
	edges, stopEdges := context.WithCancel(all)
	defer context.AfterFunc(ctx, func() {
		s.log.Info("shutting down")
		s.cluster.Leave()
		stopEdges()
	})()
	for _, run := range []func(context.Context) error{s.cluster.Run, s.peers.Run, s.dispatch.Run, s.output.Run, s.archive, s.schedule.Run, s.auth.Run, paceCollector} {
		g.Go(func() error { return run(services) })
	}
	for _, k := range s.keepers {
		g.Go(func() error { return k.Run(services) })
	}
	g.Go(func() error {
		defer stopServices()
		serving, ctx := errgroup.WithContext(edges)
		serving.Go(func() error { return s.serveHTTP(ctx) })
		serving.Go(func() error { return s.gateway.Run(ctx, s.grpc) })
		if s.onePort != nil {
			serving.Go(func() error { return s.onePort.Run(ctx) })
		}
		if s.metrics != nil {
			serving.Go(func() error { return s.serveMetrics(ctx) })
		}
		if s.admin != nil {
			serving.Go(func() error { return s.serveAdmin(ctx) })
		}
		return serving.Wait()
	})
	err := g.Wait()
	stopEdges()
	return err
}

func (s *server) serveHTTP(ctx context.Context) error {
	h := &http.Server{
		Handler: s.api, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, TLSConfig: s.tls, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		close(s.streams)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		done <- h.Shutdown(bounded)
	})()
	serve := h.Serve
	if s.tls != nil {
		serve = func(l net.Listener) error { return h.ServeTLS(l, "", "") }
	}
	err := serve(s.http)
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	if err := <-done; err != nil {
		s.log.WarnContext(ctx, "requests were cut off", "error", err)
		_ = h.Close() // they had their time
	}
	return nil
}
