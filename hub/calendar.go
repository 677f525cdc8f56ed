package hub

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// CalendarMode says what a calendar's days are for.
type CalendarMode string

// The modes.
const (
	// CalendarExclude: a job must not run on the days.
	CalendarExclude CalendarMode = "exclude"
	// CalendarOnly: a job may run on the days alone.
	CalendarOnly CalendarMode = "only"
)

// Calendar names days on which jobs must not, or may only, start by their schedules.
type Calendar struct {
	ID             string
	OrganisationID string
	ProjectID      string
	// Name is unique in the project and what jobs refer to.
	Name        string
	Description string
	Mode        CalendarMode
	// Days as ParseDays reads them, in any order; they may overlap.
	Days      []string
	Revision  int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Bounds of a calendar.
const (
	MaxCalendarName = 100
	MaxCalendarDays = 1000
)

// Validate tells everything that is wrong at once, under the paths "name", "mode",
// "days" and "days[N]".
func (c *Calendar) Validate() error {
	var wrong []FieldError
	complain := func(path, message string) { wrong = append(wrong, FieldError{Path: path, Message: message}) }
	if !GoodCalendarName(c.Name) {
		complain("name", fmt.Sprintf("must be 1 to %d letters, digits, dots, underscores and dashes, and begin with a letter or digit", MaxCalendarName))
	}
	if c.Mode != CalendarExclude && c.Mode != CalendarOnly {
		complain("mode", fmt.Sprintf("must be %s or %s, not %q", CalendarExclude, CalendarOnly, shorten(string(c.Mode))))
	}
	switch n := len(c.Days); {
	case n == 0:
		complain("days", `must name a day, such as "2026-12-24", "12-25" or "SAT..SUN"`)
	case n > MaxCalendarDays:
		complain("days", fmt.Sprintf("holds %d entries, at most %d are taken: use ranges, or a second calendar", n, MaxCalendarDays))
	}
	for i, text := range c.Days[:min(len(c.Days), MaxCalendarDays)] {
		if _, err := ParseDays(text); err != nil {
			complain(fmt.Sprintf("days[%d]", i), ErrorMessage(err))
		}
	}
	return Invalid(fmt.Sprintf("The calendar %q cannot be used as it is.", shorten(c.Name)), wrong)
}

// GoodCalendarName reports whether a calendar may have the name.
func GoodCalendarName(name string) bool {
	const first = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return name != "" && len(name) <= MaxCalendarName &&
		strings.IndexByte(first, name[0]) >= 0 && strings.Trim(name, first+"._-") == ""
}

// DaysKind says how often Days come.
type DaysKind int

// The kinds.
const (
	// DaysOnce are dates of a certain year.
	DaysOnce DaysKind = iota
	// DaysYearly are dates of every year.
	DaysYearly
	// DaysWeekly are weekdays.
	DaysWeekly
)

// Days is one entry of a calendar, with both its ends.
type Days struct {
	Kind DaysKind
	// From and To count by the kind: DaysOnce from 0, 1970-01-01; DaysYearly month*100
	// + day, 101 to 1231; DaysWeekly from 0, Sunday, to 6. If To is before From, the
	// entry goes over the end of the year or week.
	From, To int
}

// ParseDays reads an entry of a calendar: a date "2026-12-24", a date of every year
// "12-25", a weekday "SAT", or a range of one of them "2026-12-24..2027-01-01".
// "02-29" comes in leap years alone.
func ParseDays(text string) (Days, error) {
	left, right, isRange := strings.Cut(strings.TrimSpace(text), "..")
	from, ok := parseDay(left)
	if !ok {
		return Days{}, badDays(text)
	}
	if !isRange {
		return from, nil
	}
	to, ok := parseDay(right)
	switch {
	case !ok || to.Kind != from.Kind:
		return Days{}, badDays(text)
	case from.Kind == DaysOnce && to.From < from.From:
		return Days{}, Errorf(CodeInvalid, "%q ends before it begins: exchange its dates.", shorten(text))
	}
	return Days{Kind: from.Kind, From: from.From, To: to.From}, nil
}

func badDays(text string) error {
	return Errorf(CodeInvalid, "%q is no day: write a date (2026-12-24), a date of every year (12-25), a weekday (SAT) or a range of one of them (12-24..01-01). Years are 1970 to 2199.", shorten(text))
}

// parseDay reads one end of a range.
func parseDay(text string) (Days, bool) {
	text = strings.ToUpper(strings.TrimSpace(text))
	if at := slices.Index([]string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}, text); at >= 0 {
		return Days{Kind: DaysWeekly, From: at, To: at}, true
	}
	if date, err := time.Parse(time.DateOnly, text); err == nil {
		day := int(date.Unix() / (24 * 60 * 60))
		return Days{Kind: DaysOnce, From: day, To: day}, date.Year() >= 1970 && date.Year() <= 2199
	}
	// In the year 2000, which has a 29 February.
	if date, err := time.Parse(time.DateOnly, "2000-"+text); err == nil {
		day := int(date.Month())*100 + date.Day()
		return Days{Kind: DaysYearly, From: day, To: day}, true
	}
	return Days{}, false
}
