package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
)

// server holds what handlers need.
type server struct {
	huma huma.API
}

// problem renders err for its client and logs what it must not see.
func (s *server) problem(_ context.Context, err error) error { return problemOf(err) }
