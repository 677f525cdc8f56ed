package cron

import "time"

// days says which days of a month a schedule selects, by its two day fields. All sets
// of days have bits 1 to 31, sets of weekdays bits 0 (Sunday) to 6.
type days struct {
	// Dates: days, days counted back from the last (bit 0), and the working day
	// nearest to one of those.
	dates, fromLast, nearest, nearestFromLast uint64
	// Weekdays: each, the last one of the month, and the first to fifth one.
	weekdays, last uint64
	nth            [5]uint64
	// either is cron's rule where both fields select: a day that one of them has is
	// enough.
	either bool
}

// in returns the days of a month.
func (d *days) in(m monthDays) uint64 {
	if d.either {
		return d.byDate(m) | d.byWeekday(m)
	}
	return d.byDate(m) & d.byWeekday(m)
}

func (d *days) byDate(m monthDays) uint64 {
	set := d.dates
	for n := first(d.fromLast, 0); n < m.length; n = first(d.fromLast, n+1) {
		set |= 1 << (m.length - n)
	}
	for day := first(d.nearest, 0); day <= m.length; day = first(d.nearest, day+1) {
		set |= 1 << m.nearestWorkday(day)
	}
	for n := first(d.nearestFromLast, 0); n < m.length; n = first(d.nearestFromLast, n+1) {
		set |= 1 << m.nearestWorkday(m.length-n)
	}
	return set & m.all()
}

func (d *days) byWeekday(m monthDays) uint64 {
	if d.weekdays == everyWeekday {
		return m.all()
	}
	set := uint64(0)
	for weekday := range 7 {
		firstOne := 1 + (weekday-m.firstWeekday+7)%7
		for day := firstOne; day <= m.length; day += 7 {
			if has(d.weekdays, weekday) ||
				has(d.nth[(day-1)/7], weekday) ||
				has(d.last, weekday) && day+7 > m.length {
				set |= 1 << day
			}
		}
	}
	return set
}

const everyWeekday = 1<<7 - 1

// monthDays is one month of one year.
type monthDays struct {
	year         int
	month        time.Month
	length       int
	firstWeekday int // Sunday is 0
}

func monthOf(year int, month time.Month) monthDays {
	return monthDays{
		year: year, month: month,
		length:       time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day(),
		firstWeekday: int(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Weekday()),
	}
}

func (m monthDays) all() uint64 { return 1<<(m.length+1) - 2 }

// nearestWorkday returns the day from Monday to Friday that is nearest to a day and in
// the same month.
func (m monthDays) nearestWorkday(day int) int {
	switch weekday := time.Weekday((m.firstWeekday + day - 1) % 7); {
	case weekday == time.Saturday && day == 1:
		return 3
	case weekday == time.Saturday:
		return day - 1
	case weekday == time.Sunday && day == m.length:
		return day - 2
	case weekday == time.Sunday:
		return day + 1
	default:
		return day
	}
}
