package main

import (
	"net"
	"testing"

	"github.com/fairlead/fairlead/hub/config"
)

// Behind a proxy that speaks TLS, cookies are for HTTPS although this hub serves HTTP.
func TestCookiesAreSecureWherePeopleComeOverHTTPS(t *testing.T) {
	t.Parallel()
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8440}
	for name, tc := range map[string]struct {
		cfg  config.Config
		want bool
	}{
		"this machine alone":  {config.Config{HTTP: "127.0.0.1:8440"}, false},
		"beyond it":           {config.Config{HTTP: ":8440"}, true},
		"insecure by choice":  {config.Config{HTTP: ":8440", InsecureHTTP: true}, false},
		"behind a TLS proxy":  {config.Config{HTTP: "127.0.0.1:8440", PublicURL: "https://hub.example"}, true},
		"behind a bare proxy": {config.Config{HTTP: "127.0.0.1:8440", PublicURL: "http://hub.example"}, false},
	} {
		if got := findAddresses(&tc.cfg, at, at).secure; got != tc.want {
			t.Errorf("%s: secure %v, want %v", name, got, tc.want)
		}
	}
}
