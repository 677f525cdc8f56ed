package sdk

import (
	"context"
	"io"
	"net/url"
)

// ExportLog opens the log of an execution with all that proves it, for proof.Check. The
// caller closes it.
func (c *Client) ExportLog(ctx context.Context, id string) (io.ReadCloser, error) {
	resp, err := c.get(ctx, c.url+"/api/v1/executions/"+url.PathEscape(id)+"/log/export")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
