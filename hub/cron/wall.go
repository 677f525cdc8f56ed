package cron

import (
	"math/bits"
	"time"
)

// wall is the clock on the wall with what a schedule and its calendars select of it.
// Times on it are in seconds since it showed 1970-01-01 00:00:00.
type wall struct {
	s         *Schedule
	calendars []*Calendar
}

func (w wall) has(at int64) bool {
	next, ok := w.next(at)
	return ok && next == at
}

// next returns the first time from a time on; ok is false if there is none up to
// MaxYear.
func (w wall) next(from int64) (at int64, ok bool) {
	start := time.Unix(from, 0).UTC()
	if start.Year() < MinYear {
		start = time.Unix(0, 0).UTC()
	}
	year, month, day := start.Date()
	hour, minute, second := start.Clock()
	clock, today := w.s.clock.next(hour, minute, second)
	if today && year <= MaxYear && has(w.days(year, month), day) {
		return wallTime(year, month, day) + int64(clock), true
	}
	day++
	for ; year <= MaxYear; year, month, day = year+1, time.January, 1 {
		for ; month <= time.December; month, day = month+1, 1 {
			if d := first(w.days(year, month), day); d != none {
				return wallTime(year, month, d) + int64(w.s.clock.first()), true
			}
		}
	}
	return 0, false
}

// days returns the days of a month, bits 1 to 31.
func (w wall) days(year int, month time.Month) uint64 {
	if !w.s.years.has(year) || !has(w.s.months, int(month)) {
		return 0
	}
	m := monthOf(year, month)
	set := w.s.days.in(m)
	for _, c := range w.calendars {
		if set == 0 {
			break
		}
		set &= c.in(m)
	}
	return set
}

func wallTime(year int, month time.Month, day int) int64 {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()
}

// clock holds times of the day.
type clock struct{ hours, minutes, seconds uint64 }

// next returns the first time of the day from a time on, in seconds.
func (c clock) next(hour, minute, second int) (at int, ok bool) {
	if has(c.hours, hour) {
		if s := first(c.seconds, second); has(c.minutes, minute) && s != none {
			return clockTime(hour, minute, s), true
		}
		if m := first(c.minutes, minute+1); m != none {
			return clockTime(hour, m, first(c.seconds, 0)), true
		}
	}
	if h := first(c.hours, hour+1); h != none {
		return clockTime(h, first(c.minutes, 0), first(c.seconds, 0)), true
	}
	return 0, false
}

// first returns the first time of any day, in seconds.
func (c clock) first() int {
	return clockTime(first(c.hours, 0), first(c.minutes, 0), first(c.seconds, 0))
}

func clockTime(hour, minute, second int) int { return hour*3600 + minute*60 + second }

// none is what first returns for a set that has nothing more.
const none = 64

// first returns the first member of a set from a number on.
func first(set uint64, from int) int { return bits.TrailingZeros64(set >> from << from) }

func has(set uint64, n int) bool { return set>>n&1 == 1 }

// years are a set of years from MinYear to MaxYear.
type years [(MaxYear-MinYear)/64 + 1]uint64

func (y *years) add(year int) { y[(year-MinYear)/64] |= 1 << ((year - MinYear) % 64) }

func (y *years) has(year int) bool { return has(y[(year-MinYear)/64], (year-MinYear)%64) }
