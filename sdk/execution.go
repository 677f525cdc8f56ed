package sdk

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/sdk/rest"
)

// etag is the precondition of a change: the revision, or whatever is there for 0.
func etag(revision int64) *string {
	tag := "*"
	if revision > 0 {
		tag = strconv.Quote(strconv.FormatInt(revision, 10))
	}
	return &tag
}

// waitText is a wait as the API reads it.
func waitText(wait time.Duration) *string {
	if wait <= 0 {
		return nil
	}
	return optional(wait.String())
}

// RunJob runs a job, and with wait answers when it is final or wait is over.
func (c *Client) RunJob(ctx context.Context, project, job string, in rest.RunJob, wait time.Duration, as ...rest.RequestEditorFn) (*rest.Execution, error) {
	params := &rest.RunJobParams{IdempotencyKey: newKey(), Wait: waitText(wait)}
	return c.placed(decode[rest.Execution](ctx, c, as...)(rest.NewRunJobRequest(c.base, project, job, params, in)))
}

// RunCommand runs a command or script, and with wait answers as RunJob does.
func (c *Client) RunCommand(ctx context.Context, project string, in rest.RunCommand, wait time.Duration, as ...rest.RequestEditorFn) (*rest.Execution, error) {
	params := &rest.RunCommandParams{IdempotencyKey: newKey(), Wait: waitText(wait)}
	return c.placed(decode[rest.Execution](ctx, c, as...)(rest.NewRunCommandRequest(c.base, project, params, in)))
}

// ExecutionQuery narrows a list of executions; the zero value lists all.
type ExecutionQuery struct {
	Project string
	// Job is an id, or a name within Project.
	Job      string
	Statuses []string
	// Limit is how many at most; 0: 100.
	Limit int64
}

// maxPage is how many items the API gives at once.
const maxPage = 1000

// Executions lists the newest executions; more says that there are older ones that the
// limit left out.
func (c *Client) Executions(ctx context.Context, q ExecutionQuery) (items []rest.Execution, more bool, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	params := &rest.ListExecutionsParams{Project: optional(q.Project), Job: optional(q.Job)}
	if len(q.Statuses) > 0 {
		params.Status = &q.Statuses
	}
	for {
		params.Limit = optional(min(q.Limit-int64(len(items)), maxPage))
		l, err := decode[rest.ExecutionList](ctx, c)(rest.NewListExecutionsRequest(c.base, params))
		if err != nil {
			return nil, false, err
		}
		for i := range l.Items {
			c.place(&l.Items[i])
		}
		items = append(items, l.Items...)
		more = l.Next != nil && *l.Next != ""
		if !more || int64(len(items)) >= q.Limit {
			return items, more, nil
		}
		params.Cursor = l.Next
	}
}

// placed completes an execution that came without an error.
func (c *Client) placed(e *rest.Execution, err error) (*rest.Execution, error) {
	if err == nil {
		c.place(e)
	}
	return e, err
}

// place completes the address of an execution's page, for hubs that were not told
// their public one.
func (c *Client) place(e *rest.Execution) {
	if strings.HasPrefix(e.URL, "/") {
		e.URL = c.url + e.URL
	}
}

// Execution shows one, by id or number.
func (c *Client) Execution(ctx context.Context, id string) (*rest.Execution, error) {
	return c.placed(decode[rest.Execution](ctx, c)(rest.NewGetExecutionRequest(c.base, id, &rest.GetExecutionParams{})))
}

// waitSlice is how long one request of Wait stays open: shorter than what proxies
// allow.
const waitSlice = 30 * time.Second

// Wait returns an execution when it is final, however often its hub restarts, or an
// error when ctx ends.
func (c *Client) Wait(ctx context.Context, id string) (*rest.Execution, error) {
	for try := 0; ; try++ {
		e, err := c.placed(decode[rest.Execution](ctx, c)(rest.NewGetExecutionRequest(c.base, id, &rest.GetExecutionParams{Wait: waitText(waitSlice)})))
		switch {
		case err == nil && Final(e.Status):
			return e, nil
		case err == nil:
			try = 0
		case !lasting(err):
			if perr := pause(ctx, try); perr != nil {
				return nil, perr
			}
		default:
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// Cancel asks to end an execution, or only the named nodes of it.
func (c *Client) Cancel(ctx context.Context, id string, nodes ...string) (*rest.Execution, error) {
	in := rest.CancelExecution{}
	if len(nodes) > 0 {
		in.Nodes = &nodes
	}
	return c.placed(decode[rest.Execution](ctx, c)(rest.NewCancelExecutionRequest(c.base, id, &rest.CancelExecutionParams{IdempotencyKey: newKey()}, in)))
}

// Keep has retention leave an execution, or with false no longer.
func (c *Client) Keep(ctx context.Context, id string, keep bool) (*rest.Execution, error) {
	ask := rest.NewKeepExecutionRequest
	if !keep {
		ask = rest.NewUnkeepExecutionRequest
	}
	return c.placed(decode[rest.Execution](ctx, c)(ask(c.base, id)))
}

// ExecutionNodes returns the rows of the matrix of nodes and steps.
func (c *Client) ExecutionNodes(ctx context.Context, id string) ([]rest.ExecutionNode, error) {
	return all(func(cursor *string) ([]rest.ExecutionNode, *string, error) {
		limit := int64(maxPage)
		p, err := decode[rest.ExecutionNodeList](ctx, c)(rest.NewListExecutionNodesRequest(c.base, id, &rest.ListExecutionNodesParams{Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	})
}

// Final reports whether nothing of an execution in this state changes any more.
func Final(s rest.Status) bool {
	switch s {
	case rest.StatusSucceeded, rest.StatusFailed, rest.StatusCancelled, rest.StatusTimedOut, rest.StatusUnknown, rest.StatusMissed, rest.StatusSkipped:
		return true
	default:
		return false
	}
}

// lasting reports whether asking again will not help: the hub answered, and not that
// it is unavailable; or the certificate is wrong; or the caller gave up.
func lasting(err error) bool {
	switch ErrorCode(err) {
	case "":
		return !transient(err)
	case CodeUnavailable, CodeInternal, CodeExhausted:
		return false
	}
	return true
}

// logPath is where the log of an execution is.
func (c *Client) logPath(id string, q url.Values) string {
	return c.url + "/api/v1/executions/" + url.PathEscape(id) + "/log?" + q.Encode()
}
