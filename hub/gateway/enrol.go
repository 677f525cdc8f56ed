package gateway

import (
	"context"

	"github.com/fairlead/fairlead/hub/ca"
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
)

// Enrol answers a new runner.
func (g *Gateway) Enrol(ctx context.Context, r *runnerv1.EnrolRequest) (*runnerv1.EnrolResponse, error) {
	done, err := g.ca.Enrol(ctx, ca.Enrolment{
		Token: r.GetToken(), Request: r.GetCsr(), SealingKey: r.GetSealingKey(),
		Name: word(r.GetName()), Version: word(r.GetInfo().GetVersion()), OS: word(r.GetInfo().GetOs()),
		Arch: word(r.GetInfo().GetArch()), Hostname: word(r.GetInfo().GetHostname()),
	})
	if err != nil {
		return nil, err
	}
	g.log.InfoContext(ctx, "runner enrolled", "runner_id", done.Runner.ID, "name", done.Runner.Name, "address", addressOf(ctx))
	return &runnerv1.EnrolResponse{
		Certificates: [][]byte{done.Certificate.Raw}, CaCertificates: g.authorities(),
		RunnerId: done.Runner.ID, ClusterId: g.ca.ClusterID(), Gateways: g.cfg.Gateways(), Name: done.Runner.Name,
	}, nil
}

// RenewCertificate gives an enrolled runner a fresh certificate.
func (g *Gateway) RenewCertificate(ctx context.Context, r *runnerv1.RenewCertificateRequest) (*runnerv1.RenewCertificateResponse, error) {
	c := callerOf(ctx)
	cert, err := g.ca.Renew(ctx, ca.Renewal{
		Serial: ca.Serial(c.cert), Expired: c.expired, Request: r.GetCsr(), SealingKey: r.GetSealingKey(),
	})
	if err != nil {
		return nil, err
	}
	g.log.InfoContext(ctx, "certificate renewed", "runner_id", c.id.ID, "was_expired", c.expired)
	return &runnerv1.RenewCertificateResponse{
		Certificates: [][]byte{cert.Raw}, CaCertificates: g.authorities(), Gateways: g.cfg.Gateways(),
	}, nil
}

func (g *Gateway) authorities() [][]byte {
	var out [][]byte
	for _, c := range g.ca.Certificates() {
		out = append(out, c.Raw)
	}
	return out
}
