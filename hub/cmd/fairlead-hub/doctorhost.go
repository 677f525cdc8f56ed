package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/ca"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/keys"
	"github.com/fairlead/fairlead/hub/store"
)

// Free space of the data directory's disk, in bytes.
const (
	diskWarn = 1 << 30
	diskFail = 100 << 20
)

// lookUpTime bounds the look-up of a host's name.
const lookUpTime = 5 * time.Second

func checkDataDir(_ context.Context, cfg *config.Config) []finding {
	info, err := os.Stat(cfg.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []finding{warn("if that surprises you, name the right one with --data-dir", "%s is not there yet; the first start makes it", cfg.DataDir)}
	case err != nil:
		return []finding{fail("let this user read it, or choose another with --data-dir", "%v", err)}
	case !info.IsDir():
		return []finding{fail("choose a directory with --data-dir", "%s is no directory", cfg.DataDir)}
	case unix.Access(cfg.DataDir, unix.W_OK|unix.X_OK) != nil:
		return []finding{fail("run doctor as the hub's user; if it is, let that user write there", "%s cannot be written by this user", cfg.DataDir)}
	case info.Mode().Perm()&0o077 != 0:
		return []finding{warn("run: chmod 700 "+cfg.DataDir, "%s is open to others (mode %04o)", cfg.DataDir, info.Mode().Perm())}
	}
	return []finding{fine("%s is there, for its owner alone", cfg.DataDir)}
}

func checkDisk(_ context.Context, cfg *config.Config) []finding {
	dir := cfg.DataDir
	for absent(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return []finding{fail("", "the free space of %s cannot be read: %v", dir, err)}
	}
	free := int64(st.Bavail) * st.Bsize
	const todo = "free some, or move the data directory to a larger disk"
	switch mib := free >> 20; {
	case free < diskFail:
		return []finding{fail(todo, "%d MiB are free at %s", mib, dir)}
	case free < diskWarn:
		return []finding{warn(todo, "%d MiB are free at %s", mib, dir)}
	default:
		return []finding{fine("%d MiB are free at %s", mib, dir)}
	}
}

// absent reports that path is not there. One that this user may not look at may be.
func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// checkMasterKey loads the key as the hub would, but makes none.
func checkMasterKey(ctx context.Context, cfg *config.Config) []finding {
	path := cfg.MasterKeyFile()
	clusterID, sealed, err := store.LookAtCA(ctx, storeConfig(cfg, nil))
	if cfg.MasterKey == "" && absent(path) {
		if err != nil {
			return []finding{warn("make the database readable, then look again", "%s is not there, and whether the database needs it cannot be told: %s", path, hub.ErrorMessage(err))}
		}
		if sealed == nil {
			return []finding{warn("keep a copy of it then, apart from the database's backups", "%s is not there yet; the first start makes it", path)}
		}
	}
	master, _, wrong := keys.LoadMaster(cfg.MasterKey, path, true)
	if wrong == nil && sealed != nil {
		wrong = ca.CheckMaster(master, clusterID, sealed)
	}
	if wrong != nil {
		return []finding{failed(wrong)}
	}
	if cfg.MasterKey != "" {
		return []finding{fine("given by the configuration")}
	}
	return []finding{fine("%s is readable, by its owner alone", path)}
}

// checkCertificate loads the certificate that people are shown, as the hub would.
func checkCertificate(_ context.Context, cfg *config.Config) []finding {
	if cfg.TLS.Cert == "" {
		return nil
	}
	if _, err := readCertificate(cfg.TLS); err != nil {
		return []finding{failed(err)}
	}
	return []finding{fine("%s and its key belong together", cfg.TLS.Cert)}
}

// checkListeners tries to listen where the hub would, for a moment.
func checkListeners(ctx context.Context, cfg *config.Config) []finding {
	answer := askWhetherHubRuns(ctx, cfg.DataDir)
	var found []finding
	if cfg.OnePort() {
		found = append(found, checkListener(ctx, "UI, API and the gateway", cfg.HTTP, "--http and --gateway", answer))
	} else {
		found = append(found,
			checkListener(ctx, "UI and API", cfg.HTTP, "--http", answer),
			checkListener(ctx, "the gateway", cfg.Gateway, "--gateway", answer))
	}
	if cfg.Metrics.Listen != "" {
		found = append(found, checkListener(ctx, "the metrics", cfg.Metrics.Listen, "metrics.listen", answer))
	}
	return found
}

// checkListener judges an address by whether a hub runs: answer is nil when one does.
func checkListener(ctx context.Context, what, address, flag string, answer error) finding {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err == nil {
		err = l.Close()
	}
	switch {
	case err == nil && answer == nil:
		return warn("give doctor the hub's own flags and configuration", "%s is free for %s, though a hub runs in the data directory: it listens elsewhere", address, what)
	case err == nil:
		return fine("%s is free for %s", address, what)
	case errors.Is(err, unix.EADDRINUSE) && answer == nil:
		return fine("%s is in use, as it should be by %s of the hub that runs", address, what)
	case errors.Is(err, unix.EADDRINUSE) && errors.Is(answer, fs.ErrPermission):
		return warn("run doctor as the hub's user", "%s is in use; this user may not ask whether by the hub of this data directory", address)
	case errors.Is(err, unix.EADDRINUSE):
		return fail("stop what listens there, or choose another address with "+flag, "%s is in use, and not by a hub of this data directory", address)
	default:
		return fail("choose another address with "+flag, "%s cannot listen: %v", what, err)
	}
}

func checkPublicURL(ctx context.Context, cfg *config.Config) []finding {
	local := config.Loopback(cfg.HTTP)
	const todo = "set --public-url to the address that people and runners use"
	switch u, err := url.Parse(cfg.PublicURL); {
	case err != nil:
		return []finding{failed(err)}
	case cfg.PublicURL == "" && local:
		return []finding{fine("not set; UI and API serve this machine alone, at %s", guessPublic(cfg))}
	case cfg.PublicURL == "":
		return []finding{warn(todo, "not set; links and enrol commands say %s", guessPublic(cfg))}
	case loopbackHost(u.Hostname()) && !local:
		return []finding{warn(todo, "%s is this machine's own, while UI and API listen beyond it", cfg.PublicURL)}
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return []finding{warn("use https, by the hub's own certificate, --tls-cert or a balancer", "%s: passwords and tokens travel readable", cfg.PublicURL)}
	default:
		return []finding{lookUp(ctx, cfg.PublicURL, u.Hostname())}
	}
}

func loopbackHost(host string) bool { return config.Loopback(net.JoinHostPort(host, "0")) }

func lookUp(ctx context.Context, address, host string) finding {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
		return warn("correct it, or make the name known; it may be right where people and runners are", "the name %s is not known on this host", host)
	}
	return fine("%s", address)
}
