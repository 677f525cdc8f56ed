package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHD is OpenSSH's server run as the present user, with keys of its own.
type SSHD struct {
	Dir string
	// Addrs are host:port of its nodes, each a loopback address of its own.
	Addrs []string
	User  string
	// KeyFile is the private key that may sign in.
	KeyFile string

	processes []*Process
}

// maxListen is how many addresses OpenSSH listens on at most.
const maxListen = 16

// FindSSHD returns the path of sshd, or "" where there is none.
func FindSSHD() string {
	for _, p := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"} {
		if info, err := os.Stat(p); err == nil && info.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// StartSSHD starts servers for n nodes on 127.0.x.y. extra lines are added to
// sshd_config.
func StartSSHD(ctx context.Context, dir string, n int, extra ...string) (*SSHD, error) {
	binary := FindSSHD()
	if binary == "" {
		return nil, fmt.Errorf("no sshd is installed; run: make test-deps")
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("finding the present user: %w", err)
	}
	s := &SSHD{Dir: filepath.Join(dir, "sshd"), User: me.Username}
	if err := s.writeKeys(); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		// OpenSSH of Debian insists on it when root runs it.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, fmt.Errorf("making sshd's privilege separation directory: %w", err)
		}
	}
	for first := 0; first < n; first += maxListen {
		if err := s.startServer(ctx, binary, first, min(n-first, maxListen), extra); err != nil {
			s.Stop()
			return nil, err
		}
	}
	return s, nil
}

func (s *SSHD) writeKeys() error {
	_, keyFile, public, err := WriteKeys(s.Dir)
	if err != nil {
		return err
	}
	s.KeyFile = keyFile
	return os.WriteFile(filepath.Join(s.Dir, "authorized_keys"), ssh.MarshalAuthorizedKey(public), 0o600)
}

// WriteKeys makes a host key and a user's key in dir, and returns their files and the
// user's public key.
func WriteKeys(dir string) (hostKeyFile, userKeyFile string, user ssh.PublicKey, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", nil, fmt.Errorf("making the keys' directory: %w", err)
	}
	hostKeyFile, userKeyFile = filepath.Join(dir, "host_key"), filepath.Join(dir, "user_key")
	if _, err := writeKey(hostKeyFile); err != nil {
		return "", "", nil, err
	}
	user, err = writeKey(userKeyFile)
	return hostKeyFile, userKeyFile, user, err
}

func writeKey(path string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "fairlead lab")
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("writing a key: %w", err)
	}
	return ssh.NewPublicKey(public)
}

func (s *SSHD) startServer(ctx context.Context, binary string, first, n int, extra []string) error {
	addr, err := FreeAddr()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(addr)
	lines := []string{
		"HostKey " + filepath.Join(s.Dir, "host_key"), "AuthorizedKeysFile " + filepath.Join(s.Dir, "authorized_keys"),
		"PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password", "MaxStartups 1000:100:2000", "MaxSessions 100", "UseDNS no", "PrintMotd no", "LogLevel ERROR",
	}
	var addrs []string
	for i := first; i < first+n; i++ {
		a := fmt.Sprintf("127.0.%d.%d:%s", 10+i/200, 1+i%200, port)
		addrs = append(addrs, a)
		lines = append(lines, "ListenAddress "+a)
	}
	config := filepath.Join(s.Dir, fmt.Sprintf("sshd_config.%d", first))
	// A home of its own keeps what the user's shell reads at its start out of every
	// command.
	lines = append(lines, "SetEnv HOME="+s.Dir)
	text := strings.Join(append(extra, lines...), "\n") + "\n" // sshd keeps the first value it reads
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing sshd's configuration: %w", err)
	}
	p, err := StartProcess(s.Dir, fmt.Sprintf("sshd.%d", first), nil, binary, "-D", "-e", "-f", config)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	s.Addrs = append(s.Addrs, addrs...)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return Poll(ctx, 10*time.Millisecond, func() error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addrs[n-1])
		if err != nil {
			return fmt.Errorf("sshd does not answer: %w\n%s", err, p.Tail())
		}
		return c.Close()
	})
}

// NodesYAML is a node file for the first n nodes; each attribute line is added to
// every node, with NAME and INDEX replaced.
func (s *SSHD) NodesYAML(n int, attributes ...string) string {
	var b strings.Builder
	for i, addr := range s.Addrs[:n] {
		name := fmt.Sprintf("node%03d", i+1)
		fmt.Fprintf(&b, "%s:\n  nodename: %s\n  hostname: %q\n  username: %s\n", name, name, addr, s.User)
		for _, a := range attributes {
			fmt.Fprintf(&b, "  %s\n", strings.NewReplacer("NAME", name, "INDEX", fmt.Sprint(i+1)).Replace(a))
		}
	}
	return b.String()
}

// PIDs of the servers.
func (s *SSHD) PIDs() (pids []int) {
	for _, p := range s.processes {
		pids = append(pids, p.Cmd.Process.Pid)
	}
	return pids
}

// Stop ends the servers; sessions they forked end with their connections.
func (s *SSHD) Stop() {
	for _, p := range s.processes {
		p.Kill()
	}
}
