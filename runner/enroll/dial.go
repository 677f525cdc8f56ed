package enroll

import (
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

// DialOptions are those of every connection to a gateway.
func DialOptions(creds credentials.TransportCredentials) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
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
	return grpc.NewClient(Target(address), DialOptions(credentials.NewTLS(i.TLSConfig()))...)
}
