package sdk

import (
	"context"
	"net"
	"net/http"
)

// DialBy makes a client dial by a function of a test.
func (c *Client) DialBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.rest.Client.(*doer).client.Transport.(*http.Transport).DialContext = dial
}
