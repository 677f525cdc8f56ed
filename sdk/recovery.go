package sdk

import (
	"context"

	"github.com/fairlead/fairlead/sdk/rest"
)

// HoldCluster holds all work: kind is planned, before the database is moved, or restored,
// after a backup was put back. It returns when every member acts on it.
func (c *Client) HoldCluster(ctx context.Context, kind, reason string) (*rest.Cluster, error) {
	in := rest.HoldCluster{Kind: rest.HoldClusterKind(kind), Reason: optional(reason)}
	return decode[rest.Cluster](ctx, c)(rest.NewHoldClusterRequest(c.base, in))
}

// ReleaseCluster ends the hold: what is still held goes on, or with fail it ends as
// unknown.
func (c *Client) ReleaseCluster(ctx context.Context, fail bool) (*rest.Cluster, error) {
	in := rest.ReleaseCluster{Rest: "release"}
	if fail {
		in.Rest = "fail"
	}
	return decode[rest.Cluster](ctx, c)(rest.NewReleaseClusterRequest(c.base, in))
}
