package api

import (
	"context"
	"net/http"
)

func (s *server) clusterRoutes() {
	register(s, op{method: http.MethodGet, path: "/cluster", id: "get-cluster", summary: "Members and state of the installation", right: read}, s.cluster)
}

func (s *server) cluster(ctx context.Context, in *empty) (*body[Cluster], error) { panic("") }
