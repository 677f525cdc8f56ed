package rundeck

import (
	"errors"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cron"
)

// readSchedule reads when a job runs by itself.
func readSchedule(f fields) hub.JobSchedule {
	s := hub.JobSchedule{
		Expression: readExpression(f),
		Zone:       f.line("timeZone"),
		Disabled:   !f.boolean("scheduleEnabled", true),
	}
	if s.Zone != "" {
		if _, err := cron.LoadZone(s.Zone); err != nil {
			f.wrong("timeZone", "%s", hub.ErrorMessage(err))
		}
	}
	missed := hub.MissedPolicy(f.oneOf("missed", string(hub.MissedSkip), string(hub.MissedOnce), string(hub.MissedAll)))
	switch {
	case f.has("schedule"):
		s.Missed = missed
	case f.has("missed"):
		f.warnf(join(f.path, "missed"), "has no effect without a schedule")
	}
	return s
}

// readExpression reads both forms of Rundeck: a whole expression, or its parts. What is
// kept is always the expression.
func readExpression(f fields) string {
	const name = "schedule"
	if !f.has(name) {
		return ""
	}
	const crontab = "crontab"
	in, ok := f.open(f.v.get(name), join(f.path, name), supported(crontab, "time", "month", "year", "weekday", "dayofmonth"))
	if !ok {
		return ""
	}
	if in.has(crontab) {
		for _, part := range []string{"time", "month", "year", "weekday", "dayofmonth"} {
			if in.has(part) {
				in.wrong(part, "stands beside crontab: leave one of them out")
			}
		}
		s, err := cron.Parse(in.line(crontab))
		if err != nil {
			in.wrong(crontab, "%s", hub.ErrorMessage(err))
			return ""
		}
		return s.String()
	}
	s, err := cron.FromParts(readParts(in))
	if err != nil {
		wrongParts(in, err)
		return ""
	}
	return s.String()
}

func readParts(f fields) cron.Parts {
	inner := func(name string, keys ...string) fields {
		in, _ := f.open(f.v.get(name), join(f.path, name), supported(keys...))
		return in
	}
	clock := inner("time", "hour", "minute", "seconds")
	return cron.Parts{
		Seconds: clock.line("seconds"), Minute: clock.line("minute"), Hour: clock.line("hour"),
		Month: f.line("month"), Year: f.line("year"),
		DayOfMonth: inner("dayofmonth", "day").line("day"), Weekday: inner("weekday", "day").line("day"),
	}
}

// wrongParts notes what is wrong with each part at its own place.
func wrongParts(f fields, err error) {
	e, ok := errors.AsType[*hub.Error](err)
	if !ok || len(e.Fields) == 0 {
		f.errorf(f.path, "%s", hub.ErrorMessage(err))
		return
	}
	for _, part := range e.Fields {
		f.errorf(f.path+"."+part.Path, "%s%s", part.Message, at(f.v.line))
	}
}

// readCalendars returns the names of the calendars that a schedule goes by.
func readCalendars(f fields) []string {
	const name = "calendars"
	names := f.texts(name, ",")
	for _, n := range names {
		if !hub.GoodCalendarName(n) {
			f.wrong(name, "holds %q: a calendar has a name of letters, digits, dots, underscores and dashes", brief(n))
			return nil
		}
	}
	if len(names) > maxCalendars {
		f.wrong(name, "names %d calendars, at most %d are taken", len(names), maxCalendars)
		return nil
	}
	if len(names) > 0 && !f.has("schedule") {
		f.warnf(join(f.path, name), "has no effect without a schedule")
	}
	return sortedSet(names)
}

// readMultiple reads whether a job may run while it runs, and how many times at once; 0
// is any number, as it is in Rundeck.
func readMultiple(f fields) (multiple bool, most int) {
	const name = "maxMultipleExecutions"
	multiple = f.boolean("multipleExecutions", false)
	most = f.integer(name, 0, maxMultiple)
	if most > 0 && !multiple {
		f.warnf(join(f.path, name), "has no effect without multipleExecutions: true")
		most = 0
	}
	return multiple, most
}

// schedule adds what a job says about when it runs by itself.
func (t table) schedule(s *hub.JobSchedule) {
	if s.Expression != "" {
		t["schedule"] = table{"crontab": textNode(s.Expression)}.node()
	}
	t.text("timeZone", s.Zone)
	if s.Disabled {
		t["scheduleEnabled"] = truthNode(false)
	}
	if s.Missed != hub.MissedSkip {
		t.text("missed", string(s.Missed))
	}
}
