package ssh

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/runner/task"
)

// Defaults of settings that a node or project may override.
const (
	defaultPort           = "22"
	defaultConnectTimeout = 15 * time.Second
	defaultKeepAlive      = 10 * time.Second
	defaultKeepAliveCount = 3
	defaultSudoTimeout    = 5 * time.Second
)

// target is everything about one command's node that its settings say.
type target struct {
	// hops are the jump hosts in the order they are dialled, then the node.
	hops []hop

	connectTimeout time.Duration
	commandTimeout time.Duration
	keepAlive      time.Duration
	keepAliveCount int
	bind           net.Addr

	pty     bool
	shell   string // another shell than the login shell; empty: that one
	bare    bool   // no wrapper
	copyDir string // empty: ${TMPDIR:-/tmp}
	sudo    sudo
}

// hop is one SSH server on the way to a node, or the node.
type hop struct {
	// name is what messages call it; address is host:port.
	name, address, user string
	creds               credentials
	rules               hostRules
}

// readTarget reads the settings of a command. Errors are *task.NotStartedError.
func (e *Executor) readTarget(c *task.Command) (*target, error) {
	s := settings{node: c.Node.GetName(), values: c.Settings}
	t := &target{
		connectTimeout: s.milliseconds("ssh-connection-timeout", defaultConnectTimeout),
		commandTimeout: s.milliseconds("ssh-command-timeout", 0),
		keepAlive:      time.Duration(s.number("keep-alive-interval", int(defaultKeepAlive/time.Second))) * time.Second,
		keepAliveCount: s.number("keep-alive-max-alive-count", defaultKeepAliveCount),
		pty:            s.boolean("always-set-pty"),
		shell:          s.text("ssh-shell"),
		copyDir:        s.text("file-copy-destination-dir"),
	}
	switch wrapper := s.text("ssh-command-wrapper"); wrapper {
	case "", "shell":
	case "none":
		t.bare = true
	default:
		s.fail("ssh-command-wrapper", wrapper, "shell or none")
	}
	if bind := s.text("bind-address"); bind != "" {
		ip := net.ParseIP(bind)
		if ip == nil {
			s.fail("bind-address", bind, "an IP address")
		}
		t.bind = &net.TCPAddr{IP: ip}
	}
	if t.connectTimeout == 0 {
		t.connectTimeout = defaultConnectTimeout
	}
	t.sudo = s.sudo(c)
	if s.err != nil {
		return nil, s.err
	}
	var err error
	t.hops, err = e.readHops(&s, c)
	return t, err
}

func (e *Executor) readHops(s *settings, c *task.Command) ([]hop, error) {
	node, err := e.readNode(s, c)
	if err != nil {
		return nil, err
	}
	var hops []hop
	if jump := s.text("ssh-proxy-jump"); jump != "" && jump != "none" {
		creds, err := e.jumpCredentials(s, c, node.creds)
		if err != nil {
			return nil, err
		}
		for entry := range strings.SplitSeq(jump, ",") {
			h, err := s.jumpHop(strings.TrimSpace(entry), node.user)
			if err != nil {
				return nil, err
			}
			h.creds = creds
			h.rules, err = e.jumpRules(s)
			if err != nil {
				return nil, err
			}
			hops = append(hops, h)
		}
	}
	return append(hops, node), nil
}

func (e *Executor) readNode(s *settings, c *task.Command) (hop, error) {
	node := c.Node
	if node.GetHostname() == "" {
		return hop{}, invalid("node %s has no hostname: set its hostname attribute to host or host:port", s.node)
	}
	address, err := joinAddress(node.GetHostname(), s.text("ssh-port"))
	if err != nil {
		return hop{}, invalid("node %s: hostname %q: %v", s.node, node.GetHostname(), err)
	}
	user := node.GetUsername()
	if user == "" {
		user = s.text("username")
	}
	if user == "" {
		return hop{}, invalid("node %s has no username: set its username attribute to the login name", s.node)
	}
	h := hop{name: "node " + s.node, address: address, user: user}
	if h.creds, err = e.readCredentials(s, c, "ssh-"); err != nil {
		return hop{}, err
	}
	h.rules, err = e.nodeRules(s, c)
	return h, err
}

// jumpHop reads one entry of ssh-proxy-jump: [user@]host[:port].
func (s *settings) jumpHop(entry, user string) (hop, error) {
	if at := strings.LastIndexByte(entry, '@'); at >= 0 {
		user, entry = entry[:at], entry[at+1:]
	}
	address, err := joinAddress(entry, "")
	if err != nil || user == "" {
		return hop{}, invalid("node %s: ssh-proxy-jump %q: want [user@]host[:port], several separated by commas", s.node, s.text("ssh-proxy-jump"))
	}
	return hop{name: "jump host " + address, address: address, user: user}, nil
}

// joinAddress reads host, host:port, [v6]:port or a bare v6 address.
func joinAddress(host, port string) (string, error) {
	if port == "" {
		port = defaultPort
	}
	switch {
	case net.ParseIP(host) != nil:
	case strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"):
		host = host[1 : len(host)-1]
	case strings.Contains(host, ":"):
		var err error
		if host, port, err = net.SplitHostPort(host); err != nil {
			return "", fmt.Errorf("is neither host nor host:port")
		}
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n\x00/") {
		return "", fmt.Errorf("is no host name")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return net.JoinHostPort(host, port), nil
}

// settings reads values; the first bad one is kept in err.
type settings struct {
	node   string
	values map[string]string
	err    error
}

func (s *settings) text(name string) string { return strings.TrimSpace(s.values[name]) }

func (s *settings) fail(name, value, want string) {
	if s.err == nil {
		s.err = invalid("node %s: %s is %q, want %s", s.node, name, value, want)
	}
}

func (s *settings) boolean(name string) bool {
	switch value := strings.ToLower(s.text(name)); value {
	case "true", "yes", "on", "1":
		return true
	case "", "false", "no", "off", "0":
	default:
		s.fail(name, value, "true or false")
	}
	return false
}

func (s *settings) number(name string, missing int) int {
	value := s.text(name)
	if value == "" {
		return missing
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 1<<20 {
		s.fail(name, value, "a number of 0 or more")
		return missing
	}
	return n
}

// milliseconds reads a number of milliseconds, as Rundeck has them, or a duration
// with its unit.
func (s *settings) milliseconds(name string, missing time.Duration) time.Duration {
	value := s.text(name)
	if value == "" {
		return missing
	}
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Millisecond
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		s.fail(name, value, "milliseconds or a duration such as 30s")
		return missing
	}
	return d
}

func (s *settings) pattern(name, missing string) *regexp.Regexp {
	value := s.values[name]
	if value == "" {
		value = missing
	}
	re, err := regexp.Compile(value)
	if err != nil {
		s.fail(name, value, "a regular expression of the RE2 kind ("+err.Error()+")")
		return regexp.MustCompile(missing)
	}
	return re
}

// secret finds a secret by the settings base-storage-path and base-option. The
// first word tells whether one of the two is set at all.
func (s *settings) secret(c *task.Command, base, defaultOption string) (set bool, value []byte, err error) {
	if path := s.text(base + "-storage-path"); path != "" {
		value, found := c.Keys[path]
		if !found {
			return true, nil, notStarted("key_missing", nil,
				"node %s: the key %s (%s-storage-path) is not in the key storage, or the project may not use it: store it with `fairlead keys set %s`; or the keys of the nodes of this step are larger than 768 KiB together: run it on fewer nodes", s.node, path, base, path)
		}
		return true, value, nil
	}
	option := s.text(base + "-option")
	explicit := option != ""
	if !explicit {
		option = defaultOption
	}
	option = strings.TrimPrefix(option, "option.")
	if option == "" {
		return false, nil, nil
	}
	text, found := c.Options[option]
	if found {
		return true, []byte(text), nil
	}
	if explicit {
		return true, nil, notStarted("key_missing", nil,
			"node %s: %s-option names the secure option %q, which the job does not have or which has no value", s.node, base, option)
	}
	return false, nil, nil
}

func invalid(format string, args ...any) error {
	return notStarted("invalid", nil, format, args...)
}

func notStarted(reason string, cause error, format string, args ...any) *task.NotStartedError {
	return &task.NotStartedError{Reason: reason, Message: fmt.Sprintf(format, args...), Cause: cause}
}
