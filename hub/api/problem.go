package api

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead/fairlead/hub"
)

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct { //nolint:errname // the name is the schema's
	// Type is always "about:blank": Code says more.
	Type   string `json:"type" doc:"Always about:blank; code says more"`
	Title  string `json:"title" doc:"The HTTP status in words"`
	Status int    `json:"status" doc:"The HTTP status"`
	Code   string `json:"code" enum:"invalid,not_found,conflict,unauthenticated,forbidden,unavailable,exhausted,quota_exceeded,internal" doc:"What kind of error; stable"`
	Detail string `json:"detail" doc:"What happened, to what, and what to do; for people"`
	// Errors lists everything wrong with the input at once.
	Errors []FieldProblem `json:"errors,omitempty" doc:"Everything wrong with the input, at once"`
}

// FieldProblem is one thing wrong with an input.
type FieldProblem struct {
	Path    string `json:"path" doc:"Where, e.g. body.routes[0].filter"`
	Message string `json:"message"`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes huma answer with the problem media type.
func (p *Problem) ContentType(ct string) string {
	if ct == "application/json" {
		return "application/problem+json"
	}
	return ct
}

// statusOf is the one table from codes to HTTP.
func statusOf(code hub.Code) int {
	switch code {
	case hub.CodeInvalid:
		return http.StatusBadRequest
	case hub.CodeNotFound:
		return http.StatusNotFound
	case hub.CodeConflict, hub.CodeQuotaExceeded: // no 429: trying again soon does not help
		return http.StatusConflict
	case hub.CodeUnauthenticated:
		return http.StatusUnauthorized
	case hub.CodeForbidden:
		return http.StatusForbidden
	case hub.CodeUnavailable:
		return http.StatusServiceUnavailable
	case hub.CodeExhausted:
		return http.StatusTooManyRequests
	default:
		return http.StatusInternalServerError
	}
}

// codeOf is the way back, for errors that begin as a status: huma's own and those of
// HTTP conditions.
func codeOf(status int) hub.Code {
	switch status {
	case http.StatusUnauthorized:
		return hub.CodeUnauthenticated
	case http.StatusForbidden:
		return hub.CodeForbidden
	case http.StatusNotFound:
		return hub.CodeNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return hub.CodeConflict
	case http.StatusTooManyRequests:
		return hub.CodeExhausted
	case http.StatusServiceUnavailable:
		return hub.CodeUnavailable
	}
	if status >= 500 {
		return hub.CodeInternal
	}
	return hub.CodeInvalid
}

// newProblem makes a problem with a status of its own.
func newProblem(status int, detail string) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: string(codeOf(status)), Detail: detail,
	}
}

// problemOf renders any error: what is not a hub.Error or a Problem is internal, and
// its text stays in the log.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	p = newProblem(statusOf(hub.ErrorCode(err)), hub.ErrorMessage(err))
	p.Code = string(hub.ErrorCode(err))
	if e, ok := errors.AsType[*hub.Error](err); ok {
		for _, f := range e.Fields {
			p.Errors = append(p.Errors, FieldProblem{Path: f.Path, Message: f.Message})
		}
	}
	return p
}

// rooted gives the paths of an error the roots that schemas use: what a service names by
// itself ("options.env", "cursor") is of the body, or of the query. Paths into a file
// that came as the body begin at the file's own root.
func rooted(err error, file bool) error {
	var e *hub.Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		return err
	}
	with := *e
	with.Fields = slices.Clone(e.Fields)
	for i, f := range with.Fields {
		root, _, _ := strings.Cut(f.Path, ".")
		switch {
		case f.Path == "cursor":
			with.Fields[i].Path = "query.cursor"
		case !file && root != "body" && root != "query" && root != "path":
			with.Fields[i].Path = "body." + f.Path
		}
	}
	with.Cause = err
	return &with
}

// useProblems makes huma's own errors problems too, and lists plain arrays instead of
// nullable ones. Both are globals of huma, hence the once.
var useProblems = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return humaProblem(status, msg, errs)
	}
})

// humaProblem renders what huma found wrong with a request. It calls bad input 422;
// here that is 400, and 422 means an idempotency key used for another request.
func humaProblem(status int, msg string, errs []error) *Problem {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	p := newProblem(status, msg)
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			p.Errors = append(p.Errors, FieldProblem{Message: err.Error()})
			continue
		}
		detail := d.ErrorDetail()
		p.Errors = append(p.Errors, FieldProblem{Path: detail.Location, Message: detail.Message})
	}
	var limit int64
	if n, _ := fmt.Sscanf(msg, "request body is too large limit=%d bytes", &limit); n == 1 {
		p.Detail = "The body of the request is too large: at most " + size(limit-1) + " are taken here."
	}
	if msg == "validation failed" {
		p.Detail = "The request is not valid: " + cmp.Or(describe(p.Errors), "see errors") + "."
	}
	return p
}

// size tells a number of bytes to people, in a larger unit too if it is a whole number of
// them.
func size(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return fmt.Sprintf("%d bytes (%d %s)", n, n/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// describe puts the first problems of a list into a sentence.
func describe(fields []FieldProblem) string {
	var parts []string
	for i, f := range fields {
		if i == 3 {
			parts = append(parts, "and more")
			break
		}
		parts = append(parts, strings.TrimPrefix(f.Path+": "+f.Message, ": "))
	}
	return strings.Join(parts, "; ")
}
