package cron

import (
	"cmp"
	"slices"

	"github.com/fairlead/fairlead/hub"
)

// Calendar is a hub.Calendar ready to be looked into. It does not change, so many
// goroutines may use it.
type Calendar struct {
	only bool
	// weekdays are bits 0 (Sunday) to 6; yearly has for each month bits 1 to 31.
	weekdays uint64
	yearly   [13]uint64
	// once holds ranges of days since 1970-01-01, in order and apart from each other.
	once []hub.Days
}

// NewCalendar makes a calendar of its definition, or tells what is wrong with that.
func NewCalendar(from *hub.Calendar) (*Calendar, error) {
	if err := from.Validate(); err != nil {
		return nil, err
	}
	c := &Calendar{only: from.Mode == hub.CalendarOnly}
	for _, text := range from.Days {
		days, err := hub.ParseDays(text)
		if err != nil {
			return nil, err
		}
		c.add(days)
	}
	c.once = merge(c.once)
	return c, nil
}

// merge makes one of ranges that overlap or touch.
func merge(ranges []hub.Days) (merged []hub.Days) {
	slices.SortFunc(ranges, func(a, b hub.Days) int { return cmp.Compare(a.From, b.From) })
	for _, r := range ranges {
		if n := len(merged); n > 0 && r.From <= merged[n-1].To+1 {
			merged[n-1].To = max(merged[n-1].To, r.To)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

func (c *Calendar) add(days hub.Days) {
	switch days.Kind {
	case hub.DaysWeekly:
		for weekday := range 7 {
			if between(days, weekday) {
				c.weekdays |= 1 << weekday
			}
		}
	case hub.DaysYearly:
		for month := 1; month <= 12; month++ {
			for day := 1; day <= 31; day++ {
				if between(days, month*100+day) {
					c.yearly[month] |= 1 << day
				}
			}
		}
	case hub.DaysOnce:
		c.once = append(c.once, days)
	}
}

// between reports whether a day lies in a range, which may go over the end.
func between(days hub.Days, day int) bool {
	if days.From <= days.To {
		return days.From <= day && day <= days.To
	}
	return day >= days.From || day <= days.To
}

// in returns the days of a month on which the calendar lets a schedule fire.
func (c *Calendar) in(m monthDays) uint64 {
	byWeekday := days{weekdays: c.weekdays}
	set := byWeekday.byWeekday(m) | c.yearly[m.month]
	before := int(wallTime(m.year, m.month, 1)/(24*60*60)) - 1
	next, _ := slices.BinarySearchFunc(c.once, before+1, func(r hub.Days, day int) int { return cmp.Compare(r.To, day) })
	for _, r := range c.once[next:] {
		if r.From > before+m.length {
			break
		}
		for day := max(r.From-before, 1); day <= min(r.To-before, m.length); day++ {
			set |= 1 << day
		}
	}
	if !c.only {
		set = ^set
	}
	return set & m.all()
}
