package cron

import (
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// MaxBytes bounds the text of an expression.
const MaxBytes = 1024

// Parse reads an expression. The number of its fields says what it is:
//
//	5  cron    minute hour day-of-month month weekday
//	6  Quartz  second minute hour day-of-month month weekday
//	7  Quartz  the same and year
//
// Its error tells everything that is wrong, and has the names of the fields as paths.
func Parse(text string) (*Schedule, error) {
	if len(text) > MaxBytes {
		return nil, hub.Errorf(hub.CodeInvalid, "The schedule has %d bytes, at most %d are taken: use ranges and steps in place of long lists.", len(text), MaxBytes)
	}
	words := strings.Fields(text)
	s := &Schedule{text: strings.Join(words, " ")}
	var wrong []hub.FieldError
	switch len(words) {
	case 5:
		wrong = s.parseCron(words)
	case 6:
		wrong = s.parseQuartz(append(words, "*"))
	case 7:
		wrong = s.parseQuartz(words)
	default:
		return nil, hub.Errorf(hub.CodeInvalid, "The schedule %q has %d fields: write 6 or 7 (second minute hour day-of-month month weekday [year]), or cron's 5 (minute hour day-of-month month weekday).", brief(text), len(words))
	}
	if len(wrong) > 0 {
		return nil, wrongSchedule(fmt.Sprintf("The schedule %q cannot be used", brief(s.text)), wrong)
	}
	return s, nil
}

// parseCron reads cron's five fields. A day of either day field will do, but where one
// begins with "*" both must have it: so cron has done it ever since.
func (s *Schedule) parseCron(words []string) []hub.FieldError {
	s.clock.seconds = 1
	for year := MinYear; year <= MaxYear; year++ {
		s.years.add(year)
	}
	s.days.either = words[2][0] != '*' && words[4][0] != '*'
	return s.parseFields(cronFields(s), words)
}

func (s *Schedule) parseQuartz(words []string) []hub.FieldError {
	fields := quartzFields(s)
	wrong := s.parseFields(fields, words)
	if problem := checkDays(words[3], words[5]); problem != "" {
		wrong = append(wrong, hub.FieldError{Path: fields[3].name, Message: problem})
	}
	return wrong
}

// checkDays wants the "?" that says which day field does not count. "*" in both would
// be clear, but six fields without a "?" are no Quartz: other programs begin them with
// the minute.
func checkDays(date, weekday string) (problem string) {
	switch {
	case date == "?" && weekday == "?":
		return `and weekday are both "?": write "*" in one of them for every day`
	case date != "?" && weekday != "?":
		return fmt.Sprintf(`%q and weekday %q are both set: write "?" in the one that does not count`, brief(date), brief(weekday))
	default:
		return ""
	}
}

// parseFields reads one word for each field.
func (s *Schedule) parseFields(fields []field, words []string) (wrong []hub.FieldError) {
	for i := range fields {
		f := &fields[i]
		if f.ofDay && strings.ContainsAny(words[i], "*/") {
			s.interval = true
		}
		if problem := f.parse(words[i]); problem != "" {
			wrong = append(wrong, hub.FieldError{Path: f.name, Message: fmt.Sprintf("%q %s", brief(words[i]), problem)})
		}
	}
	return wrong
}

// wrongSchedule has all that is wrong in its message too, for callers that show no more.
func wrongSchedule(what string, wrong []hub.FieldError) error {
	parts := make([]string, len(wrong))
	for i, w := range wrong {
		parts[i] = w.Path + " " + w.Message
	}
	return hub.Invalid(what+": "+strings.Join(parts, "; ")+".", wrong)
}

// brief cuts what a person wrote to what a message has room for.
func brief(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
