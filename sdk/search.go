package sdk

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/fairlead/fairlead/sdk/rest"
)

// LogSearch says what to look for in a log.
type LogSearch struct {
	LogFilter
	Pattern string
	// Regex: Pattern is a regular expression in the syntax of RE2.
	Regex      bool
	IgnoreCase bool
	// Context is how many lines to tell around each, at most 20.
	Context int
	// Limit is how many lines to find at most; 0: all.
	Limit int
}

// maxFound is how many lines a page of a search holds at most.
const maxFound = 500

// SearchLog calls each for every line of a log in which the pattern stands, in the order
// of the workflow, and returns how many there were. An error of each ends it.
func (c *Client) SearchLog(ctx context.Context, id string, s *LogSearch, each func(rest.LogMatch) error) (int, error) {
	q := s.query()
	q.Set("q", s.Pattern)
	q.Set("regex", strconv.FormatBool(s.Regex))
	q.Set("ignoreCase", strconv.FormatBool(s.IgnoreCase))
	q.Set("context", strconv.Itoa(s.Context))
	n := 0
	for {
		limit := maxFound
		if s.Limit > 0 {
			limit = min(limit, s.Limit-n)
		}
		q.Set("limit", strconv.Itoa(limit))
		page, err := decode[rest.LogSearch](ctx, c)(http.NewRequest(http.MethodGet, c.searchPath(id, q), http.NoBody)) //nolint:noctx // decode gives it ctx
		if err != nil {
			return n, err
		}
		for _, m := range page.Items {
			n++
			if err := each(m); err != nil {
				return n, err
			}
		}
		if page.Next == nil || *page.Next == "" || s.Limit > 0 && n >= s.Limit {
			return n, nil
		}
		q.Set("cursor", *page.Next)
	}
}

// searchPath is where the log of an execution is searched.
func (c *Client) searchPath(id string, q url.Values) string {
	return c.url + "/api/v1/executions/" + url.PathEscape(id) + "/log/search?" + q.Encode()
}

// LogFailure finds the node step of an execution that failed before all others, and
// where its output begins. Nothing failed: an error with CodeNotFound.
func (c *Client) LogFailure(ctx context.Context, id string) (*rest.LogFailure, error) {
	return decode[rest.LogFailure](ctx, c)(rest.NewGetLogFailureRequest(c.base, id))
}
