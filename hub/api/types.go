package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead/fairlead/hub"
)

// timeFormat is RFC 3339 with milliseconds; times are in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Time is a moment as the API writes it.
type Time time.Time

// MarshalJSON writes RFC 3339 in UTC with milliseconds.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Time(t).UTC().Format(timeFormat))
}

// UnmarshalJSON reads RFC 3339.
func (t *Time) UnmarshalJSON(b []byte) error { return (*time.Time)(t).UnmarshalJSON(b) }

// Schema describes it in the OpenAPI document.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-11-22T15:04:05.123Z"}}
}

// timePtr leaves a zero time out of the answer.
func timePtr(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	v := Time(t)
	return &v
}

// timeOf is the moment that was given, zero for none.
func timeOf(t *Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Time(*t)
}

// Status is hub.Status, with its words in the OpenAPI document as one named type.
type Status string

var statusWords = [...]hub.Status{
	hub.StatusScheduled, hub.StatusQueued, hub.StatusRunning, hub.StatusCancelling, hub.StatusHeld,
	hub.StatusSucceeded, hub.StatusFailed, hub.StatusCancelled, hub.StatusTimedOut, hub.StatusUnknown,
	hub.StatusMissed, hub.StatusSkipped,
}

// Schema registers the words once and refers to them.
func (Status) Schema(r huma.Registry) *huma.Schema {
	return enumSchema(r, "Status", "State of an execution, node or step", statusWords[:]...)
}

// StatusFilter is the input of lists that are narrowed by state.
type StatusFilter struct {
	Status []string `query:"status" doc:"Any of these states"`
}

// statuses reads the filter: a word that is none would look like a list without rows.
func (f StatusFilter) statuses() ([]hub.Status, error) {
	var out []hub.Status
	var wrong []hub.FieldError
	for _, word := range f.Status {
		if !slices.Contains(statusWords[:], hub.Status(word)) {
			wrong = append(wrong, hub.FieldError{Path: "query.status", Message: fmt.Sprintf("there is no state %q", word)})
		}
		out = append(out, hub.Status(word))
	}
	return out, hub.Invalid(fmt.Sprintf("A state to filter by is not one; there are %s.", joined(statusWords[:])), wrong)
}

func joined[T ~string](words []T) string {
	return strings.Join(mapped(words, func(w T) string { return string(w) }), ", ")
}

// enumSchema makes a named string type with fixed words.
func enumSchema[T ~string](r huma.Registry, name, doc string, words ...T) *huma.Schema {
	if r.Map()[name] == nil {
		s := &huma.Schema{Type: huma.TypeString, Description: doc}
		for _, w := range words {
			s.Enum = append(s.Enum, string(w))
		}
		s.PrecomputeMessages()
		r.Map()[name] = s
	}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// Page is the input of a paged list.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many items at most"`
	Cursor string `query:"cursor" maxLength:"1000" doc:"Where to go on: next of the page before"`
}

// IdempotencyHeader is the input of every create.
type IdempotencyHeader struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"200" doc:"Repeating a request with the same key gives the same answer, for 24 h"`
}

// IfMatchHeader is the input of every change of something that has a revision.
type IfMatchHeader struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"The ETag of what is changed; * for whatever is there"`
}

// body wraps an answer.
type body[T any] struct {
	Body T
}

// tagged is an answer with its revision.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

// created is the answer to a create.
type created[T any] struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     T
}

// empty is an answer or input without content.
type empty struct{}

// registerTypes adds types that travel over streams, which no operation mentions, to
// the document, so that clients generate them too.
func registerTypes(r huma.Registry, types ...any) {
	for _, t := range types {
		r.Schema(reflect.TypeOf(t), true, "")
	}
}
