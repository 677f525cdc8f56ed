package cron_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cron"
)

// naiveField is a field with its meaning as a test of one wall time, written without a
// look at the package: no sets, no search.
type naiveField struct {
	text  string
	match func(wall time.Time) bool
}

// list draws one to three items of a field.
func list(r *rapid.T, name string, item func(name string) naiveField) naiveField {
	var texts []string
	var items []naiveField
	for i := range rapid.IntRange(1, 3).Draw(r, name+" items") {
		f := item(fmt.Sprint(name, " ", i))
		texts, items = append(texts, f.text), append(items, f)
	}
	return naiveField{strings.Join(texts, ","), func(wall time.Time) bool {
		return slices.ContainsFunc(items, func(f naiveField) bool { return f.match(wall) })
	}}
}

// span draws *, a value, a range or a step of values from low to high.
func span(r *rapid.T, name string, low, high int, of func(time.Time) int) naiveField {
	cycle := high - low + 1
	from := rapid.IntRange(low, high).Draw(r, name+" from")
	to := rapid.IntRange(low, high).Draw(r, name+" to")
	step := rapid.IntRange(1, cycle).Draw(r, name+" step")
	within := func(from, to, step int) func(time.Time) bool {
		return func(wall time.Time) bool {
			passed := (of(wall) - from + cycle) % cycle
			return passed <= (to-from+cycle)%cycle && passed%step == 0
		}
	}
	switch rapid.IntRange(0, 6).Draw(r, name+" form") {
	case 0:
		return naiveField{"*", within(low, high, 1)}
	case 1:
		return naiveField{fmt.Sprintf("*/%d", step), within(low, high, step)}
	case 2:
		return naiveField{fmt.Sprintf("%d/%d", from, step), within(from, high, step)}
	case 3:
		return naiveField{fmt.Sprintf("%d-%d/%d", from, to, step), within(from, to, step)}
	case 4:
		return naiveField{fmt.Sprintf("%d-%d", from, to), within(from, to, 1)}
	default:
		return naiveField{fmt.Sprint(from), within(from, from, 1)}
	}
}

func spans(r *rapid.T, name string, low, high int, of func(time.Time) int) naiveField {
	return list(r, name, func(name string) naiveField { return span(r, name, low, high, of) })
}

// date draws an item of Quartz's day of the month.
func date(r *rapid.T, name string) naiveField {
	n := rapid.IntRange(0, 30).Draw(r, name+" number")

	switch rapid.IntRange(0, 7).Draw(r, name+" kind") {
	case 0:
		return naiveField{"L", func(wall time.Time) bool { return wall.AddDate(0, 0, 1).Day() == 1 }}
	case 1:
		return naiveField{fmt.Sprintf("L-%d", n), func(wall time.Time) bool {
			return wall.AddDate(0, 0, n).Month() == wall.Month() && wall.AddDate(0, 0, n+1).Month() != wall.Month()
		}}
	case 2:
		return naiveField{"LW", func(wall time.Time) bool { return nearestWorkday(wall, lengthOf(wall)) }}
	case 3:
		return naiveField{fmt.Sprintf("L-%dW", n), func(wall time.Time) bool { return nearestWorkday(wall, lengthOf(wall)-n) }}
	case 4:
		return naiveField{fmt.Sprintf("%dW", n+1), func(wall time.Time) bool { return nearestWorkday(wall, n+1) }}
	default:
		return span(r, name, 1, 31, time.Time.Day)
	}
}

func lengthOf(wall time.Time) int {
	return time.Date(wall.Year(), wall.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// nearestWorkday reports whether no working day of the month is nearer to a day.
func nearestWorkday(wall time.Time, to int) bool {
	if to < 1 || to > lengthOf(wall) {
		return false
	}
	best, distance := 0, 31
	for day := 1; day <= lengthOf(wall); day++ {
		weekday := time.Date(wall.Year(), wall.Month(), day, 0, 0, 0, 0, time.UTC).Weekday()
		if d := max(day-to, to-day); weekday != time.Saturday && weekday != time.Sunday && d < distance {
			best, distance = day, d
		}
	}
	return wall.Day() == best
}

// weekday draws an item of Quartz's day of the week.
func weekday(r *rapid.T, name string) naiveField {
	n := rapid.IntRange(1, 7).Draw(r, name+" number")
	same := func(wall time.Time) bool { return int(wall.Weekday())+1 == n }
	switch rapid.IntRange(0, 5).Draw(r, name+" kind") {
	case 0:
		return naiveField{"L", func(wall time.Time) bool { return wall.Weekday() == time.Saturday }}
	case 1:
		return naiveField{fmt.Sprintf("%dL", n), func(wall time.Time) bool { return same(wall) && wall.AddDate(0, 0, 7).Month() != wall.Month() }}
	case 2:
		nth := rapid.IntRange(1, 5).Draw(r, name+" nth")
		return naiveField{fmt.Sprintf("%d#%d", n, nth), func(wall time.Time) bool { return same(wall) && (wall.Day()+6)/7 == nth }}
	case 3:
		return naiveField{wall2006(n).Format("Mon"), same}
	default:
		return span(r, name, 1, 7, func(wall time.Time) int { return int(wall.Weekday()) + 1 })
	}
}

// wall2006 is a day whose weekday has a Quartz number: 1 January 2006 was a Sunday.
func wall2006(weekday int) time.Time { return time.Date(2006, 1, weekday, 0, 0, 0, 0, time.UTC) }

// naive is a whole expression.
type naive struct {
	text     string
	match    func(wall time.Time) bool
	interval bool
}

func month(r *rapid.T) naiveField {
	return spans(r, "month", 1, 12, func(wall time.Time) int { return int(wall.Month()) })
}

// expression draws the day fields of a Quartz expression around given ones.
func expression(r *rapid.T, second, minute, hour, month naiveField, years string) naive {
	var day naiveField
	var days string
	if rapid.Bool().Draw(r, "by date") {
		day = list(r, "date", func(name string) naiveField { return date(r, name) })
		days = day.text + " " + month.text + " ?"
	} else {
		day = list(r, "weekday", func(name string) naiveField { return weekday(r, name) })
		days = "? " + month.text + " " + day.text
	}
	clock := strings.Join([]string{second.text, minute.text, hour.text}, " ")
	return naive{
		text: strings.TrimSpace(clock + " " + days + " " + years), interval: strings.ContainsAny(clock, "*/"),
		match: func(wall time.Time) bool {
			return second.match(wall) && minute.match(wall) && hour.match(wall) && month.match(wall) && day.match(wall)
		},
	}
}

// compare wants the same fires; it formats them only where they differ, for many.
func compare(r *rapid.T, want, got []time.Time, of ...any) {
	r.Helper()
	if !slices.EqualFunc(want, got, time.Time.Equal) {
		r.Fatalf("%v: %s", of, cmp.Diff(format(want, time.RFC3339), format(got, time.RFC3339)))
	}
}

func fixed(text string) naiveField {
	return naiveField{text, func(time.Time) bool { return true }}
}

// TestDaysProperty: over years of days, exactly those fire that a look at each day by
// itself selects.
func TestDaysProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		n := expression(r, fixed("0"), fixed("0"), fixed("12"), month(r), "2023-2028")
		loc := zone(r, rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns", "Africa/Casablanca"}).Draw(r, "zone"))
		var want []time.Time
		for day := time.Date(2023, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() < 2029; day = day.AddDate(0, 0, 1) {
			if n.match(day) {
				year, month, date := day.Date()
				want = append(want, time.Date(year, month, date, 12, 0, 0, 0, loc))
			}
		}
		fires := parse(r, n.text).NextN(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), loc, len(want)+1)
		compare(r, want, fires, n.text, loc)
	})
}

// TestCronDaysProperty is the same for cron's rule of two day fields.
func TestCronDaysProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		date := spans(r, "date", 1, 31, time.Time.Day)
		weekday := spans(r, "weekday", 0, 6, func(wall time.Time) int { return int(wall.Weekday()) })
		month := month(r)
		both := strings.HasPrefix(date.text, "*") || strings.HasPrefix(weekday.text, "*")
		text := strings.Join([]string{"0 12", date.text, month.text, weekday.text}, " ")
		var want []time.Time
		for day := time.Date(2023, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() < 2029; day = day.AddDate(0, 0, 1) {
			matches := date.match(day) || weekday.match(day)
			if both {
				matches = date.match(day) && weekday.match(day)
			}
			if month.match(day) && matches {
				want = append(want, day)
			}
		}
		fires := parse(r, text).NextN(time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC, len(want))
		compare(r, want, fires, text)
	})
}

// grid is how far the times that a clock test looks at lie apart; seconds are drawn
// from its multiples.
const grid = 30 * time.Second

// TestClockProperty: around changes of the clock, exactly those times fire that a walk
// over all of them finds.
func TestClockProperty(t *testing.T) {
	t.Parallel()
	changes := []struct{ zone, day string }{
		{"UTC", "2027-03-28"},
		{"Asia/Kolkata", "2027-03-28"},
		{"Europe/Berlin", "2027-03-28"},
		{"Europe/Berlin", "2027-10-31"},
		{"America/New_York", "2027-03-14"},
		{"America/New_York", "2027-11-07"},
		{"Australia/Lord_Howe", "2027-10-03"},
		{"Australia/Lord_Howe", "2027-04-04"},
		{"Africa/Cairo", "2027-04-30"},
		{"Africa/Cairo", "2027-10-28"},
		{"America/Havana", "2027-03-14"},
		{"America/Havana", "2027-11-07"},
		{"America/Sao_Paulo", "2018-11-04"},
		{"America/Sao_Paulo", "2019-02-17"},
		{"Asia/Beirut", "2027-03-28"},
		{"Asia/Beirut", "2027-10-31"},
		{"Europe/Dublin", "2027-10-31"},
		{"Africa/Casablanca", "2027-02-07"},
		{"Antarctica/Troll", "2027-03-28"},
		{"Antarctica/Troll", "2027-10-31"},
		{"Pacific/Apia", "2011-12-30"},
		{"America/Caracas", "2016-05-01"},
		{"Asia/Pyongyang", "2018-05-05"},
	}
	rapid.Check(t, func(r *rapid.T) {
		change := rapid.SampledFrom(changes).Draw(r, "change")
		loc := zone(t, change.zone)
		second := rapid.SampledFrom([]naiveField{
			{"0", func(wall time.Time) bool { return wall.Second() == 0 }},
			{"30", func(wall time.Time) bool { return wall.Second() == 30 }},
			fixed("0,30"), fixed("0/30"),
		}).Draw(r, "second")
		n := expression(r, second, spans(r, "minute", 0, 59, time.Time.Minute), spans(r, "hour", 0, 23, time.Time.Hour), fixed("*"), "")
		middle := at(t, loc, change.day+"T12:00:00")
		from, to := middle.Add(-30*time.Hour), middle.Add(20*time.Hour)
		want := walk(n, from, to)
		s := parse(r, n.text)
		var got []time.Time
		for fire, ok := s.Next(from, loc); ok && !fire.After(to); fire, ok = s.Next(fire, loc) {
			got = append(got, fire)
		}
		compare(r, want, got, n.text, change.zone)
		// And from any moment, not only from fire to fire.
		after := from.Add(time.Duration(rapid.Int64Range(0, int64(to.Sub(from))).Draw(r, "after")))
		next := slices.IndexFunc(want, after.Before)
		if fire, _ := s.Next(after, loc); next >= 0 && !fire.Equal(want[next]) {
			r.Fatalf("%s after %s: %s, want %s", n.text, after, fire, want[next])
		}
	})
}

// walk finds the fires after from up to to by looking at each moment and at each time
// that a clock shows, or would have shown.
func walk(n naive, from, to time.Time) []time.Time {
	onWall := func(at time.Time) time.Time {
		_, offset := at.Zone()
		return at.UTC().Add(time.Duration(offset) * time.Second)
	}
	var fires []time.Time
	seen := map[int64]bool{}
	add := func(fire time.Time) {
		if fire.After(from) && (len(fires) == 0 || !fires[len(fires)-1].Equal(fire)) {
			fires = append(fires, fire)
		}
	}
	// Begin early, so that what repeats at from has been seen.
	before := onWall(from.Add(-6 * time.Hour))
	for at := from.Add(-6*time.Hour + grid); !at.After(to); at = at.Add(grid) {
		wall := onWall(at)
		skipped := wall.Sub(before) - grid
		for lost := before.Add(grid); lost.Before(wall); lost = lost.Add(grid) {
			if n.match(lost) && (!n.interval || !n.match(lost.Add(skipped))) {
				add(at)
			}
		}
		if n.match(wall) && (n.interval || !seen[wall.Unix()]) {
			add(at)
		}
		seen[wall.Unix()], before = true, wall
	}
	return fires
}

// TestCalendarProperty: with calendars fire those that fire without them on a day that
// each calendar allows.
func TestCalendarProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		n := expression(r, fixed("0"), fixed("0"), fixed("12"), month(r), "2023-2028")
		var calendars []*cron.Calendar
		var naives []naiveField
		for i := range rapid.IntRange(1, 2).Draw(r, "calendars") {
			c, match := calendar(r, fmt.Sprint("calendar ", i))
			compiled, err := cron.NewCalendar(c)
			if err != nil {
				r.Fatal(err)
			}
			calendars = append(calendars, compiled)
			naives = append(naives, naiveField{fmt.Sprint(c.Mode, " ", c.Days), match})
		}
		var want []time.Time
		for day := time.Date(2023, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() < 2029; day = day.AddDate(0, 0, 1) {
			if n.match(day) && !slices.ContainsFunc(naives, func(c naiveField) bool { return !c.match(day) }) {
				want = append(want, day)
			}
		}
		fires := parse(r, n.text).NextN(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC, len(want)+1, calendars...)
		compare(r, want, fires, n.text, naives)
	})
}

func calendar(r *rapid.T, name string) (*hub.Calendar, func(time.Time) bool) {
	c := &hub.Calendar{Name: "c", Mode: rapid.SampledFrom([]hub.CalendarMode{hub.CalendarExclude, hub.CalendarOnly}).Draw(r, name+" mode")}
	days := list(r, name, func(name string) naiveField {
		from := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 2200).Draw(r, name+" from"))
		to := from.AddDate(0, 0, rapid.IntRange(0, 400).Draw(r, name+" length"))
		layout := rapid.SampledFrom([]string{"2006-01-02", "01-02", "Mon"}).Draw(r, name+" layout")
		text := from.Format(layout)
		if rapid.Bool().Draw(r, name+" range") {
			text += ".." + to.Format(layout)
		} else {
			to = from
		}
		return naiveField{text, func(wall time.Time) bool { return inDays(layout, from, to, wall) }}
	})
	c.Days = strings.Split(days.text, ",")
	return c, func(wall time.Time) bool { return days.match(wall) == (c.Mode == hub.CalendarOnly) }
}

// inDays compares what a layout shows of the days: dates sort as texts, weekdays are
// counted from the first to the last.
func inDays(layout string, from, to, wall time.Time) bool {
	first, last, day := from.Format(layout), to.Format(layout), wall.Format(layout)
	switch {
	case layout == "Mon":
		for ; from.Format(layout) != last; from = from.AddDate(0, 0, 1) {
			if from.Format(layout) == day {
				return true
			}
		}
		return day == last
	case first <= last:
		return first <= day && day <= last
	default:
		return first <= day || day <= last
	}
}
