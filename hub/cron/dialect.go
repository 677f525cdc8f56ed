package cron

import (
	"fmt"
	"strings"
)

// quartzFields returns the seven fields of a Quartz expression.
func quartzFields(s *Schedule) []field {
	date := dateField(s)
	date.unsettable, date.special = true, s.days.parseDate
	date.allowed += `, L (last), L-3, LW, 15W, "?"`
	weekday := weekdayField(s, 1)
	weekday.unsettable = true
	weekday.special = func(item string) (string, bool) { return s.days.parseWeekday(&weekday, item) }
	weekday.allowed = `1 (SUN) to 7 (SAT), their names, L (SAT), 6L (last Friday), 6#3 (third Friday), "?"`
	return []field{secondField(s), minuteField(s), hourField(s), date, monthField(s), weekday, yearField(s)}
}

// cronFields returns the five fields of a cron expression.
func cronFields(s *Schedule) []field {
	date, weekday := dateField(s), weekdayField(s, 0)
	date.special, weekday.special = quartzOnly, quartzOnly
	weekday.max = 7 // Sunday again
	weekday.allowed = "0 (SUN) to 6 (SAT), 7 (SUN), their names"
	return []field{minuteField(s), hourField(s), date, monthField(s), weekday}
}

func secondField(s *Schedule) field {
	return field{
		name: "second", max: 59, open: 59, cycle: 60, ofDay: true, allowed: "0 to 59",
		add: func(value int) { s.clock.seconds |= 1 << value },
	}
}

func minuteField(s *Schedule) field {
	return field{
		name: "minute", max: 59, open: 59, cycle: 60, ofDay: true, allowed: "0 to 59",
		add: func(value int) { s.clock.minutes |= 1 << value },
	}
}

func hourField(s *Schedule) field {
	return field{
		name: "hour", max: 23, open: 23, cycle: 24, ofDay: true, allowed: "0 to 23",
		add: func(value int) { s.clock.hours |= 1 << value },
	}
}

func dateField(s *Schedule) field {
	return field{
		name: "day-of-month", min: 1, max: 31, open: 31, cycle: 31, allowed: "1 to 31",
		add: func(value int) { s.days.dates |= 1 << value },
	}
}

func monthField(s *Schedule) field {
	return field{
		name: "month", min: 1, max: 12, open: 12, cycle: 12, allowed: "1 to 12, JAN to DEC",
		names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"},
		add:   func(value int) { s.months |= 1 << value },
	}
}

// weekdayField has Sunday as the number that its dialect gives it.
func weekdayField(s *Schedule, sunday int) field {
	return field{
		name: "weekday", min: sunday, max: sunday + 6, open: sunday + 6, cycle: 7,
		names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"},
		add:   func(value int) { s.days.weekdays |= 1 << ((value - sunday) % 7) },
	}
}

func yearField(s *Schedule) field {
	return field{
		name: "year", min: MinYear, max: MaxYear, open: MaxYear, allowed: fmt.Sprintf("%d to %d", MinYear, MaxYear),
		add: s.years.add,
	}
}

// quartzOnly tells what cron does not have and Quartz has.
func quartzOnly(item string) (problem string, done bool) {
	if item == "?" || strings.Contains(item, "#") || strings.HasPrefix(item, "L") || strings.HasSuffix(item, "L") || strings.HasSuffix(item, "W") {
		return fmt.Sprintf("holds %q, which is Quartz's: write 6 fields, with the seconds in front", brief(item)), true
	}
	return "", false
}

// parseDate reads L, L-3, LW, L-3W and 15W.
func (d *days) parseDate(item string) (problem string, done bool) {
	text, nearest := strings.CutSuffix(item, "W")
	back, fromLast := strings.CutPrefix(text, "L")
	if !nearest && !fromLast {
		return "", false
	}
	if !fromLast {
		day, ok := number(text)
		if !ok || day < 1 || day > 31 {
			return fmt.Sprintf("holds %q: W follows a day from 1 to 31, as in 15W, or L", brief(item)), true
		}
		d.nearest |= 1 << day
		return "", true
	}
	n := 0
	if back != "" {
		text, minus := strings.CutPrefix(back, "-")
		var ok bool
		if n, ok = number(text); !minus || !ok || n > 30 {
			return fmt.Sprintf("holds %q: L stands alone or before a number from 0 to 30, as in L-3", brief(item)), true
		}
	}
	if nearest {
		d.nearestFromLast |= 1 << n
	} else {
		d.fromLast |= 1 << n
	}
	return "", true
}

// parseWeekday reads L, 6L and 6#3.
func (d *days) parseWeekday(f *field, item string) (problem string, done bool) {
	if item == "L" {
		d.weekdays |= 1 << 6
		return "", true
	}
	if text, last := strings.CutSuffix(item, "L"); last {
		value, ok := f.value(text)
		if !ok {
			return f.refuse(item), true
		}
		d.last |= 1 << (value - f.min)
		return "", true
	}
	text, nth, numbered := strings.Cut(item, "#")
	if !numbered {
		return "", false
	}
	value, ok := f.value(text)
	if !ok {
		return f.refuse(item), true
	}
	n, ok := number(nth)
	if !ok || n < 1 || n > len(d.nth) {
		return fmt.Sprintf("holds %q: a number from 1 to %d follows the #", brief(item), len(d.nth)), true
	}
	d.nth[n-1] |= 1 << (value - f.min)
	return "", true
}
