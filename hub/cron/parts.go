package cron

import (
	"cmp"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// Parts are a schedule in Rundeck's other form, each in Quartz's syntax for its field.
type Parts struct {
	// Seconds, Minute and Hour are "0" if they are empty, Month and Year "*".
	Seconds, Minute, Hour, Month, Year string
	// DayOfMonth and Weekday exclude each other; "", "?" and "*" select nothing. With
	// neither, every day is meant.
	DayOfMonth, Weekday string
}

// FromParts makes a schedule of Rundeck's parts; its String is the Quartz expression.
// The error has as paths what the parts are called in a job file: "time.hour",
// "weekday.day".
func FromParts(p Parts) (*Schedule, error) {
	words := []string{
		cmp.Or(p.Seconds, "0"), cmp.Or(p.Minute, "0"), cmp.Or(p.Hour, "0"),
		cmp.Or(p.DayOfMonth, "?"), cmp.Or(p.Month, "*"), cmp.Or(p.Weekday, "?"), cmp.Or(p.Year, "*"),
	}
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	chooseDayPart(&words[3], &words[5])
	s := &Schedule{text: strings.Join(words, " ")}
	if len(s.text) > MaxBytes {
		return nil, hub.Errorf(hub.CodeInvalid, "The schedule has %d bytes, at most %d are taken: use ranges and steps in place of long lists.", len(s.text), MaxBytes)
	}
	wrong := s.parseQuartz(words)
	if len(wrong) > 0 {
		for i := range wrong {
			wrong[i].Path = partPath(wrong[i].Path)
		}
		return nil, wrongSchedule("The schedule cannot be used", wrong)
	}
	return s, nil
}

// chooseDayPart puts the "?" where an expression needs it. Two parts that select
// something stay, for an error.
func chooseDayPart(date, weekday *string) {
	selects := func(text string) bool { return text != "?" && text != "*" }
	switch {
	case !selects(*date) && !selects(*weekday):
		*date, *weekday = "?", "*"
	case !selects(*date):
		*date = "?"
	case !selects(*weekday):
		*weekday = "?"
	}
}

// partPath returns the key of the part that becomes a field.
func partPath(field string) string {
	switch field {
	case "second":
		return "time.seconds"
	case "minute", "hour":
		return "time." + field
	case "day-of-month":
		return "dayofmonth.day"
	case "weekday":
		return "weekday.day"
	default:
		return field
	}
}
