// Package cron says when a job is due: Quartz expressions of 6 or 7 fields, plain
// cron expressions of 5, and Rundeck's schedule of parts, in any time zone and around
// calendars of days.
//
//	30 2 * * MON-FRI      minute hour day-of-month month weekday
//	0 30 2 ? * MON-FRI    the same with seconds, for Quartz
//	0 0 12 LW * ? 2027    noon of the last working day of each month of 2027
//
// A search runs over the clock on the wall, where each field is a bit set, and only
// then asks the zone which instant that is. docs/schedules.md tells what happens when
// clocks change.
package cron

import (
	"time"
)

// The years that an expression may name, and in which a schedule may fire.
const (
	MinYear = 1970
	MaxYear = 2199
)

// Schedule is a parsed expression. It does not change, so many goroutines may use it.
type Schedule struct {
	text   string
	clock  clock
	days   days
	months uint64 // bit 1 is January
	years  years
	// interval is set where "*" or a step stands in seconds, minutes or hours: such a
	// schedule means "every so often", any other one "at these times of the day".
	interval bool
}

// String returns the expression, its fields separated by one blank each. Parse reads
// it back.
func (s *Schedule) String() string { return s.text }

// Next returns the first fire after a time, in a zone, on days that all calendars
// allow. ok is false if there is none up to MaxYear. It takes microseconds, and a few
// milliseconds at most where it finds nothing.
func (s *Schedule) Next(after time.Time, loc *time.Location, calendars ...*Calendar) (fire time.Time, ok bool) {
	w := wall{s, calendars}
	end := wallTime(MaxYear+1, time.January, 1) + widest
	for at := after.Unix() + 1; at < end; {
		p := periodAt(at, loc)
		if at == p.start && p.start+p.before < p.start+p.offset && w.lost(p) {
			return time.Unix(p.start, 0).In(loc), true
		}
		from := at + p.offset
		if !s.interval {
			from = max(from, p.start+p.before) // what the clock showed before it was set back
		}
		next, found := w.next(from)
		if found && (p.last || next-p.offset < p.end) {
			return time.Unix(next-p.offset, 0).In(loc), true
		}
		if p.last {
			break
		}
		at = p.end
		// Once no clock can be set back to before from, next is what comes next in
		// every period, and those before it need no look.
		if p.end+p.offset-widest >= from {
			if !found {
				break
			}
			at = max(at, next-p.offset-widest)
		}
	}
	return time.Time{}, false
}

// NextN returns up to n fires after a time, in order; fewer if there are no more.
func (s *Schedule) NextN(after time.Time, loc *time.Location, n int, calendars ...*Calendar) []time.Time {
	var fires []time.Time
	for len(fires) < n {
		fire, ok := s.Next(after, loc, calendars...)
		if !ok {
			break
		}
		fires = append(fires, fire)
		after = fire
	}
	return fires
}

// widest is more than any two offsets of one zone differ, in seconds: those of Samoa
// and Manila moved by a day when they crossed the date line.
const widest = 48 * 60 * 60

// period is a time in which a zone keeps its offset. Times are in seconds since 1970,
// offsets in seconds east of UTC.
type period struct {
	start, end int64
	last       bool // it has no end
	offset     int64
	before     int64 // the offset before start; offset itself in the first period
}

func periodAt(at int64, loc *time.Location) period {
	t := time.Unix(at, 0).In(loc)
	_, offset := t.Zone()
	p := period{offset: int64(offset), before: int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		p.start = start.Unix()
		_, before := start.Add(-time.Second).Zone()
		p.before = int64(before)
	} else {
		p.start = at
	}
	if end.IsZero() {
		p.last = true
	} else {
		p.end = end.Unix()
	}
	return p
}

// lost reports whether something that the clock skipped at the start of p has to be
// made up for there. An interval goes on by the time that really passes: what would
// have come at the instant of another fire, had the clock not been set, is no loss.
func (w wall) lost(p period) bool {
	skipped := p.offset - p.before
	next, ok := w.next(p.start + p.before)
	for ok && next < p.start+p.offset {
		if !w.s.interval || !w.has(next+skipped) {
			return true
		}
		next, ok = w.next(next + 1)
	}
	return false
}
