package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairlead/fairlead/sdk/rest"
)

// Config says which hub, and as whom.
type Config struct {
	// URL of the hub as people type it, e.g. https://hub.example:8440.
	URL string
	// Token is an API token; it goes into a header and nowhere else.
	Token string
	// CAs, if not empty, are PEM certificates to trust in place of the system's.
	CAs []byte
	// Pinned says that CAs are the hub's own, so that a certificate of theirs is a
	// hub's under whatever address it was reached.
	Pinned bool
	// Patience is how long a request that may be repeated is, while no hub answers.
	Patience time.Duration
	// Outage, if set, is called once when no hub answers any more, with why, and once
	// with nil when one does again. Its calls do not overlap.
	Outage func(error)
	// UserAgent names the program; "" for the SDK's own.
	UserAgent string
}

// Client is a client of one hub. Its methods may be called by many goroutines at
// once.
type Client struct {
	rest *rest.Client
	url  string
	base string // url with the slash that the generated builders want
}

// New makes a client; nothing is sent yet.
func New(c Config) (*Client, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("%q is not the address of a hub; it looks like https://hub.example:8440", c.URL)
	}
	transport, err := newTransport(c)
	if err != nil {
		return nil, err
	}
	d := &doer{client: &http.Client{Transport: transport, CheckRedirect: sameHost}, patience: c.Patience, outage: c.Outage}
	client, err := rest.NewClient(strings.TrimSuffix(c.URL, "/"), rest.WithHTTPClient(d), rest.WithRequestEditorFn(c.edit))
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", c.URL, err)
	}
	return &Client{rest: client, url: strings.TrimSuffix(c.URL, "/"), base: strings.TrimSuffix(c.URL, "/") + "/"}, nil
}

// edit puts who asks into a request.
func (c Config) edit(_ context.Context, r *http.Request) error {
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.UserAgent != "" {
		r.Header.Set("User-Agent", c.UserAgent)
	} else {
		r.Header.Set("User-Agent", "fairlead-sdk")
	}
	return nil
}

// newTransport makes a transport that trusts what c says and gives up on dead hosts.
func newTransport(c Config) (*http.Transport, error) {
	tlsConfig, err := newTLS(c.CAs, c.Pinned)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 32,
		ForceAttemptHTTP2:   true,
	}, nil
}

// sameHost follows redirects on the same host only: the token must not go elsewhere.
func sameHost(r *http.Request, via []*http.Request) error {
	if len(via) >= 3 || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// URL is the address that the client was made for.
func (c *Client) URL() string { return c.url }

// Rest is the generated client underneath, with the same identity and patience.
func (c *Client) Rest() *rest.Client { return c.rest }

// decode returns a function that sends a request, as the generated builders return
// it, and reads a success as T; anything else is an error.
func decode[T any](ctx context.Context, c *Client, as ...rest.RequestEditorFn) func(*http.Request, error) (*T, error) {
	return func(req *http.Request, err error) (*T, error) {
		if err != nil {
			return nil, fmt.Errorf("asking the hub: %w", err)
		}
		resp, err := c.send(req.WithContext(ctx), as...)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		var v T
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			return nil, fmt.Errorf("reading the hub's answer: %w", err)
		}
		return &v, nil
	}
}

// done is decode for an answer without content.
func done(ctx context.Context, c *Client, as ...rest.RequestEditorFn) func(*http.Request, error) error {
	return func(req *http.Request, err error) error {
		if err != nil {
			return fmt.Errorf("asking the hub: %w", err)
		}
		resp, err := c.send(req.WithContext(ctx), as...)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}

// unreachable says of a transport's error what it means.
func unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		if !networkTimeout(u.Err) && (errors.Is(u.Err, context.Canceled) || errors.Is(u.Err, context.DeadlineExceeded)) {
			return u.Err
		}
		at, perr := url.Parse(u.URL)
		if perr == nil {
			return fmt.Errorf("cannot reach the hub at %s://%s: %w", at.Scheme, at.Host, u.Err)
		}
	}
	return err
}

// all reads the pages of a list.
func all[T any](fetch func(cursor *string) ([]T, *string, error)) ([]T, error) {
	items := []T{}
	var cursor *string
	for {
		page, next, err := fetch(cursor)
		if err != nil {
			return nil, err
		}
		items = append(items, page...)
		if next == nil || *next == "" {
			return items, nil
		}
		cursor = next
	}
}

// newKey makes an idempotency key.
func newKey() *string { return optional(uuid.NewString()) }

// WithIdempotencyKey makes a create use a key of the caller's own: who repeats it under
// the same key, also from another process, within 24 h, gets what the first one made.
func WithIdempotencyKey(key string) rest.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Idempotency-Key", key)
		return nil
	}
}

// optional is a pointer to v, or nil for its zero value: how the generated types
// leave something out.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
