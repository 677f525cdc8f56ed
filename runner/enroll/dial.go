package enroll

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/fairlead/fairlead/proto/wire"
)

// bufferBytes keeps a connection small: a runner sends many small frames and a few
// chunks, and 4 KiB cost it nothing measurable.
const bufferBytes = 4 << 10

// dialOptions are those of every connection to a gateway.
func dialOptions(address string, creds credentials.TransportCredentials) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(explained{creds, address}),
		grpc.WithDisableServiceConfig(),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes),
			grpc.MaxCallSendMsgSize(wire.MaxMessageBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:    wire.KeepaliveInterval,
			Timeout: wire.KeepaliveTimeout,
		}),
	}
}

// Target makes a gRPC target of a host:port. A name goes through the resolver and so
// through HTTPS_PROXY; an address needs neither.
func Target(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err == nil && net.ParseIP(strings.Trim(host, "[]")) != nil && isLoopback(host) {
		return "passthrough:///" + address
	}
	return "dns:///" + address
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Dial sets up a connection to one gateway as this runner; it connects at first use.
func (i *Identity) Dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(Target(address), dialOptions(address, credentials.NewTLS(i.TLSConfig()))...)
}

// explained tells by name what stands in the way when a handshake fails: a balancer in
// front of gateways must not end TLS, and who set it up rarely knows.
type explained struct {
	credentials.TransportCredentials
	address string
}

// ClientHandshake implements credentials.TransportCredentials.
func (e explained) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	wire.LimitUnsent(raw)
	conn, info, err := e.TransportCredentials.ClientHandshake(ctx, authority, raw)
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, errForeign):
		err = fmt.Errorf("the certificate at %s is %w: a balancer or proxy that ends TLS stands between, which must pass TCP through, or this is another hub", e.address, err)
	case errors.As(err, &record):
		err = fmt.Errorf("%s does not speak TLS: it is no gateway, or a balancer or proxy stands between, which must pass TCP through: %w", e.address, err)
	case err != nil && strings.Contains(err.Error(), "protocol version"): // an alert has no type
		err = fmt.Errorf("%s does not speak TLS 1.3 as gateways do: a balancer or proxy that ends TLS stands between, which must pass TCP through: %w", e.address, err)
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (e explained) Clone() credentials.TransportCredentials {
	return explained{e.TransportCredentials.Clone(), e.address}
}
