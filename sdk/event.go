package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/fairlead/fairlead/sdk/rest"
)

// FollowEvents calls each for every change of executions and runners, of one project or
// with "" of all, until ctx ends, each returns an error or the hub refuses. A hub that
// restarts is waited for. The first event is a hello; one after it says that changes
// were lost before it, as always when a connection broke: read anew what matters.
func (c *Client) FollowEvents(ctx context.Context, project string, each func(rest.Event) error) error {
	q := url.Values{"follow": {"true"}}
	if project != "" {
		q.Set("project", project)
	}
	for try := 0; ; try++ {
		err := c.stream(ctx, c.url+"/api/v1/events?"+q.Encode(), func(line []byte) error {
			try = 0
			var e rest.Event
			if err := json.Unmarshal(line, &e); err != nil {
				return &callerError{fmt.Errorf("reading an event: %w", err)}
			}
			if err := each(e); err != nil {
				return &callerError{err}
			}
			return nil
		})
		var own *callerError
		switch {
		case errors.As(err, &own):
			return own.err
		case ctx.Err() != nil:
			return ctx.Err()
		case lasting(err), try > maxFaults && ErrorCode(err) == CodeInternal:
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}
