package enroll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/fairlead/fairlead/proto/wire"
)

// hubInfo is what GET /api/v1/enrolment answers. Nothing of it is trusted before the
// CA was checked against the token's pin.
type hubInfo struct {
	CAPEM     string   `json:"caPem"`
	ClusterID string   `json:"clusterId"`
	Gateways  []string `json:"gateways"`

	cas []*x509.Certificate
}

const (
	fetchTimeout = 20 * time.Second
	maxHubInfo   = 256 << 10
)

// parseHub checks the address that an operator typed.
func parseHub(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("--hub %q is not an address like https://hub.example:8440; use the one that you open in the browser", text)
	}
	return u, nil
}

// fetchHub asks the hub for its CA and gateways, and checks the CA against the token.
func fetchHub(ctx context.Context, hub *url.URL, token wire.EnrolmentToken) (*hubInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, hub.JoinPath("/api/v1/enrolment").String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		// The answer holds nothing secret, and its one claim, the CA, is checked against
		// the pin: the certificate of this listener proves nothing more, and may well be
		// of the CA that is only being learnt.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, //nolint:gosec // see above
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the hub at %s does not answer: %w", hub.Redacted(), err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHubInfo))
	if err != nil {
		return nil, fmt.Errorf("the hub at %s broke off its answer: %w", hub.Redacted(), err)
	}
	info := &hubInfo{}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(body, info) != nil || info.CAPEM == "" {
		return nil, fmt.Errorf("%s does not answer like a Fairlead hub (%s); --hub is the address that you open in the browser", hub.Redacted(), resp.Status)
	}
	if info.cas, err = parsePEM([]byte(info.CAPEM)); err != nil {
		return nil, fmt.Errorf("reading the CA of %s: %w", hub.Redacted(), err)
	}
	if !slices.ContainsFunc(info.cas, token.Matches) {
		return nil, fmt.Errorf("the hub at %s has another CA than the one this token pins: either the token was made by another hub, or something between poses as the hub. Nothing was sent to it", hub.Redacted())
	}
	// Only the pinned one is trusted; others may come once a verified member sends them.
	info.cas = slices.DeleteFunc(info.cas, func(c *x509.Certificate) bool { return !token.Matches(c) })
	info.Gateways = withHubHost(info.Gateways, hub.String())
	return info, nil
}

// withHubHost adds the host that the runner knows the hub by, with each gateway's
// port: it is reachable from here, which a name that the hub knows itself by may not
// be. Who answers is proven by certificate, so trying costs nothing.
func withHubHost(gateways []string, hub string) []string {
	out := slices.Clone(gateways)
	u, err := url.Parse(hub)
	if err != nil || u.Hostname() == "" {
		return out
	}
	for _, g := range gateways {
		_, port, err := net.SplitHostPort(g)
		if err != nil {
			continue
		}
		if extra := net.JoinHostPort(u.Hostname(), port); !slices.Contains(out, extra) {
			out = append(out, extra)
		}
	}
	return out
}
