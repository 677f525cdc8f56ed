package api

import (
	"context"
	"mime"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fairlead/fairlead/hub/output"
)

// exportLog gives the log of an execution with all that proves it.
func (s *server) exportLog(ctx context.Context, in *ExecutionPath) (*huma.StreamResponse, error) {
	e, err := s.Store.GetExecution(ctx, principal(ctx).OrganisationID, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		name := "execution-" + strconv.FormatInt(e.Number, 10) + ".export.ndjson"
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
		s.stream(w, r.WithContext(hc.Context()), "application/x-ndjson", false, func(ctx context.Context, out *streamWriter) error {
			ca := output.Authority{ClusterID: s.CA.ClusterID(), Certificates: s.CA.Certificates()}
			return s.Output.Export(ctx, e, ca, out.write)
		})
	}}, nil
}
