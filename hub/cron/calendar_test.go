package cron_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cron"
)

func TestCalendars(t *testing.T) {
	t.Parallel()
	exclude := func(days ...string) hub.Calendar { return hub.Calendar{Mode: hub.CalendarExclude, Days: days} }
	only := func(days ...string) hub.Calendar { return hub.Calendar{Mode: hub.CalendarOnly, Days: days} }
	tests := []struct {
		name, zone, text, after string
		calendars               []hub.Calendar
		want                    []string
	}{
		{
			"dates", "Europe/Berlin", "0 0 12 * * ?", "2026-12-22T13:00:00",
			[]hub.Calendar{exclude("2026-12-24", "2026-12-26")},
			[]string{"2026-12-23 12:00", "2026-12-25 12:00", "2026-12-27 12:00"},
		},
		{
			"ranges that overlap", "Europe/Berlin", "0 0 12 * * ?", "2026-12-22T13:00:00",
			[]hub.Calendar{exclude("2026-12-30..2027-01-03", "2026-12-24..2026-12-31", "2026-12-27")},
			[]string{"2026-12-23 12:00", "2027-01-04 12:00"},
		},
		{
			"every year, over its end", "Europe/Berlin", "0 0 12 * * ?", "2026-12-22T13:00:00",
			[]hub.Calendar{exclude("12-24..01-01"), exclude("02-01..12-22")},
			[]string{"2026-12-23 12:00", "2027-01-02 12:00"},
		},
		{
			"the leap day", "UTC", "0 0 0 L 2 ?", "2026-01-01T00:00:00",
			[]hub.Calendar{only("02-29")},
			[]string{"2028-02-29 00:00", "2032-02-29 00:00"},
		},
		{
			"weekends", "Europe/Berlin", "0 12 * * *", "2026-11-20T10:00:00",
			[]hub.Calendar{exclude("sat..sun")},
			[]string{"2026-11-20 12:00", "2026-11-23 12:00"},
		},
		{
			"first shift only", "UTC", "0 0 0/12 * * ?", "2026-11-20T10:00:00",
			[]hub.Calendar{only("FRI..MON"), exclude("2026-11-21..2026-11-22")},
			[]string{"2026-11-20 12:00", "2026-11-23 00:00", "2026-11-23 12:00", "2026-11-27 00:00"},
		},
		{
			"only days on which nothing is due", "UTC", "0 0 12 ? * MON", "2026-11-20T10:00:00",
			[]hub.Calendar{only("TUE..SUN")},
			nil,
		},
		{
			"no day at all", "UTC", "* * * * * ?", "2026-11-20T10:00:00",
			[]hub.Calendar{exclude("1970-01-01..2199-12-31")},
			nil,
		},
		{
			"until the last day", "UTC", "0 0 12 * * ?", "2026-11-20T10:00:00",
			[]hub.Calendar{exclude("1970-01-01..2199-12-30")},
			[]string{"2199-12-31 12:00"},
		},
		{ // Both begin on the 24th somewhere else.
			"the date of the schedule's zone", "Pacific/Auckland", "0 0 1,23 * * ?", "2026-12-23T12:00:00",
			[]hub.Calendar{exclude("12-24")},
			[]string{"2026-12-23 23:00", "2026-12-25 01:00"},
		},
		{ // Midnight of the 30th is skipped, the 29th is excluded.
			"a made-up fire belongs to its day", "Africa/Cairo", "0 0 0 * * ?", "2027-04-28T12:00:00",
			[]hub.Calendar{exclude("2027-04-29")},
			[]string{"2027-04-30 01:00", "2027-05-01 00:00"},
		},
		{
			"no fire is made up for an excluded day", "Africa/Cairo", "0 0 0 * * ?", "2027-04-28T12:00:00",
			[]hub.Calendar{exclude("2027-04-30")},
			[]string{"2027-04-29 00:00", "2027-05-01 00:00"},
		},
		{ // 30 December 2011 did not happen; what was due then runs on the 31st.
			"the day as scheduled counts", "Pacific/Apia", "0 0 12 * * ?", "2011-12-28T13:00:00",
			[]hub.Calendar{only("2011-12-30")},
			[]string{"2011-12-31 00:00"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var calendars []*cron.Calendar
			for _, c := range test.calendars {
				c.Name = "c"
				calendar, err := cron.NewCalendar(&c)
				if err != nil {
					t.Fatal(err)
				}
				calendars = append(calendars, calendar)
			}
			loc := zone(t, test.zone)
			n := max(len(test.want), 1)
			fires := parse(t, test.text).NextN(at(t, loc, test.after), loc, n, calendars...)
			if diff := cmp.Diff(test.want, format(fires, "2006-01-02 15:04")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewCalendarRefusesWhatIsInvalid(t *testing.T) {
	t.Parallel()
	if _, err := cron.NewCalendar(&hub.Calendar{Name: "c", Mode: "sometimes", Days: []string{"SAT"}}); hub.ErrorCode(err) != hub.CodeInvalid {
		t.Error(err)
	}
}
