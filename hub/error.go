package hub

import (
	"errors"
	"fmt"
	"strings"
)

// Code classifies an error for callers; every face maps it by one table.
type Code string

// The codes. An error without one is CodeInternal.
const (
	CodeInvalid         Code = "invalid"
	CodeNotFound        Code = "not_found"
	CodeConflict        Code = "conflict"
	CodeUnauthenticated Code = "unauthenticated"
	CodeForbidden       Code = "forbidden"
	CodeUnavailable     Code = "unavailable"
	CodeExhausted       Code = "exhausted"
	CodeQuotaExceeded   Code = "quota_exceeded"
	CodeInternal        Code = "internal"
)

// FieldError is one thing wrong with an input, addressed by its path
// ("sequence.commands[2].exec").
type FieldError struct {
	Path    string
	Message string
}

// Error is an error that may be shown: Message says what happened, to what, and what
// to do, and holds no secret. Cause is logged and never shown.
type Error struct {
	Code    Code
	Message string
	// Fields lists everything wrong with an input at once.
	Fields []FieldError
	Cause  error
}

// Error returns the message, with the cause for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error with a formatted message that is safe to show.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an error for a bad input from what is wrong with it, or nil if
// nothing is.
func Invalid(message string, fields []FieldError) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalid, Message: message, Fields: fields}
}

// ErrorCode returns the code of err: CodeInternal for one that has none, "" for nil.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// ErrorMessage returns what may be shown of err.
func ErrorMessage(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return "Something went wrong inside the hub; its log says what."
}

// ErrorReason is ErrorMessage with all that was wrong with an input, for where one text
// must say it.
func ErrorReason(err error) string {
	e, ok := errors.AsType[*Error](err)
	if !ok || len(e.Fields) == 0 {
		return ErrorMessage(err)
	}
	var text strings.Builder
	text.WriteString(e.Message)
	for _, f := range e.Fields {
		text.WriteString(" " + f.Path + ": " + f.Message + ".")
	}
	return text.String()
}
