package main

import (
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/fairlead/fairlead/hub/config"
)

// addresses are how this hub is reached, as far as it can know.
type addresses struct {
	// public is the UI's URL for people and runners, without a slash at the end.
	public string
	// gateway and member are host:port.
	gateway, member string
	// names are what people may call the HTTPS listener by.
	names []string
	https bool
	// secure: people come over HTTPS, which this hub or a proxy in front of it speaks.
	secure bool
}

// findAddresses works out the addresses from the configuration and what the listeners
// got. A listener on all interfaces is told by the host of the public URL, else by
// this machine's name; if the UI is for this machine alone, so is what is told. Other
// members are never told the public URL's host: it may be a balancer's, which would lead
// them to any member.
func findAddresses(cfg *config.Config, httpAddr, gatewayAddr net.Addr) addresses {
	local := config.Loopback(cfg.HTTP)
	a := addresses{https: cfg.TLS.Cert != "" || !local && !cfg.InsecureHTTP}
	own := hostName()
	if local {
		own = "127.0.0.1"
	}
	host := own
	a.public = strings.TrimSuffix(cfg.PublicURL, "/")
	if u, err := url.Parse(a.public); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	if a.public == "" {
		scheme := "http"
		if a.https {
			scheme = "https"
		}
		a.public = scheme + "://" + withHost(httpAddr, host)
	}
	a.secure = a.https || strings.HasPrefix(a.public, "https://")
	if a.gateway = cfg.AdvertiseGateway; a.gateway == "" {
		a.gateway = withHost(gatewayAddr, host)
	}
	if a.member = cfg.AdvertiseMember; a.member == "" {
		a.member = withHost(gatewayAddr, own)
	}
	a.names = names(host)
	return a
}

// withHost is addr with host in place of "all interfaces".
func withHost(addr net.Addr, host string) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return net.JoinHostPort(host, port)
}

func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

// names lists what a certificate of our own CA is made for: the name people are shown,
// this machine's, and its addresses.
func names(public string) []string {
	out := []string{public, hostName(), "localhost", "127.0.0.1", "::1"}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return out // the names will do
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.IP.String())
		}
	}
	return out
}
