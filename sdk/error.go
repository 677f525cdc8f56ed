package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/fairlead/fairlead/sdk/rest"
)

// Codes of an Error, as the API names them.
const (
	CodeInvalid         = "invalid"
	CodeNotFound        = "not_found"
	CodeConflict        = "conflict"
	CodeUnauthenticated = "unauthenticated"
	CodeForbidden       = "forbidden"
	CodeUnavailable     = "unavailable"
	CodeExhausted       = "exhausted"
	CodeQuotaExceeded   = "quota_exceeded"
	CodeInternal        = "internal"
)

// Error is an answer of the hub that is not a success.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is one of the Code constants.
	Code string
	// Message says what happened and what to do.
	Message string
	// Fields lists everything wrong with the input.
	Fields []FieldError
}

// FieldError is one thing wrong with an input.
type FieldError struct {
	Path    string
	Message string
}

// Error returns the message and, one a line, what was wrong where.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, f := range e.Fields {
		if strings.Contains(e.Message, f.Message) {
			continue // said already
		}
		b.WriteString("\n  ")
		if f.Path != "" {
			b.WriteString(f.Path + ": ")
		}
		b.WriteString(f.Message)
	}
	return b.String()
}

// ErrorCode returns the code of err, or "" for one that did not come from a hub.
func ErrorCode(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// maxProblem bounds what is read of an error's body, in bytes: a page of a proxy may
// stand there instead.
const maxProblem = 1 << 20

// problem reads an answer that is not a success.
func problem(r *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxProblem))
	if err != nil {
		return fmt.Errorf("reading the hub's answer %s: %w", r.Status, err)
	}
	e := &Error{Status: r.StatusCode, Code: codeOf(r.StatusCode)}
	var p rest.Problem
	if json.Unmarshal(b, &p) != nil || p.Detail == "" {
		e.Message = fmt.Sprintf("the answer was %s and not one of a Fairlead hub; check the address", r.Status)
		return e
	}
	e.Code, e.Message = string(p.Code), p.Detail
	if p.Errors != nil {
		for _, f := range *p.Errors {
			e.Fields = append(e.Fields, FieldError{Path: f.Path, Message: f.Message})
		}
	}
	return e
}

// codeOf guesses a code from a status alone, for answers of proxies.
func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return CodeInvalid
	case http.StatusUnauthorized:
		return CodeUnauthenticated
	case http.StatusForbidden:
		return CodeForbidden
	case http.StatusNotFound:
		return CodeNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return CodeConflict
	case http.StatusTooManyRequests:
		return CodeExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return CodeUnavailable
	}
	return CodeInternal
}
