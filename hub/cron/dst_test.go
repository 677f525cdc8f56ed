package cron_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestClockChanges is the page docs/schedules.md on clocks that change: a fixed time
// runs once whatever happens, an interval goes on by the time that really passes.
func TestClockChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone, text, after string
		want                    []string
	}{
		// 02:00 +01 becomes 03:00 +02.
		{"skipped time", "Europe/Berlin", "0 30 2 * * ?", "2027-03-27T00:00:00", []string{"27 02:30 +0100", "28 03:00 +0200", "29 02:30 +0200"}},
		{"first skipped second", "Europe/Berlin", "0 0 2 * * ?", "2027-03-28T00:00:00", []string{"28 03:00 +0200", "29 02:00 +0200"}},
		{"last skipped second", "Europe/Berlin", "59 59 2 * * ?", "2027-03-28T00:00:00", []string{"28 03:00 +0200"}},
		{"many skipped times run once", "Europe/Berlin", "0 0,10,20 2,3 * * ?", "2027-03-28T00:00:00", []string{"28 03:00 +0200", "28 03:10 +0200", "28 03:20 +0200", "29 02:00 +0200"}},
		{"skipped hour of a range", "Europe/Berlin", "0 30 1-3 * * ?", "2027-03-28T00:00:00", []string{"28 01:30 +0100", "28 03:00 +0200", "28 03:30 +0200"}},
		{"skipped time on another day's rule", "Europe/Berlin", "0 30 2 ? * MON-SAT", "2027-03-27T00:00:00", []string{"27 02:30 +0100", "29 02:30 +0200"}},
		{"skipped time in cron", "Europe/Berlin", "30 2 * * *", "2027-03-28T00:00:00", []string{"28 03:00 +0200", "29 02:30 +0200"}},
		{"every hour goes on", "Europe/Berlin", "0 30 * * * ?", "2027-03-28T01:00:00", []string{"28 01:30 +0100", "28 03:30 +0200", "28 04:30 +0200"}},
		{"every quarter goes on", "Europe/Berlin", "0 5/15 * * * ?", "2027-03-28T01:40:00", []string{"28 01:50 +0100", "28 03:05 +0200"}},
		{"every second hour is made up for", "Europe/Berlin", "0 0 0/2 * * ?", "2027-03-28T00:00:00", []string{"28 03:00 +0200", "28 04:00 +0200"}},
		{"interval within the hour is made up for", "Europe/Berlin", "0 0/20 2 * * ?", "2027-03-27T02:30:00", []string{"27 02:40 +0100", "28 03:00 +0200", "29 02:00 +0200"}},

		// 03:00 +02 becomes 02:00 +01.
		{"repeated time", "Europe/Berlin", "0 30 2 * * ?", "2027-10-30T00:00:00", []string{"30 02:30 +0200", "31 02:30 +0200", "01 02:30 +0100"}},
		{"repeated range", "Europe/Berlin", "0 0 1-3 * * ?", "2027-10-31T00:30:00", []string{"31 01:00 +0200", "31 02:00 +0200", "31 03:00 +0100"}},
		{"repeated half hour of a range", "Europe/Berlin", "0 30 1-3 * * ?", "2027-10-31T00:00:00", []string{"31 01:30 +0200", "31 02:30 +0200", "31 03:30 +0100"}},
		{"every second hour in autumn", "Europe/Berlin", "0 0 0/2 * * ?", "2027-10-30T23:00:00", []string{"31 00:00 +0200", "31 02:00 +0200", "31 02:00 +0100", "31 04:00 +0100"}},
		{"repeated time in cron", "Europe/Berlin", "30 2 * * *", "2027-10-31T00:00:00", []string{"31 02:30 +0200", "01 02:30 +0100"}},
		{"repeated hour", "Europe/Berlin", "0 0 * * * ?", "2027-10-31T00:30:00", []string{"31 01:00 +0200", "31 02:00 +0200", "31 02:00 +0100", "31 03:00 +0100"}},
		{"repeated steps", "Europe/Berlin", "0 0/30 2 * * ?", "2027-10-31T00:30:00", []string{"31 02:00 +0200", "31 02:30 +0200", "31 02:00 +0100", "31 02:30 +0100", "01 02:00 +0100"}},
		{"every hour in cron", "Europe/Berlin", "0 * * * *", "2027-10-31T01:30:00", []string{"31 02:00 +0200", "31 02:00 +0100", "31 03:00 +0100"}},

		{"skipped in New York", "America/New_York", "0 15 2 * * ?", "2027-03-14T00:00:00", []string{"14 03:00 -0400", "15 02:15 -0400"}},
		{"repeated in New York", "America/New_York", "0 15 1 * * ?", "2027-11-07T00:00:00", []string{"07 01:15 -0400", "08 01:15 -0500"}},
		{"hourly in New York", "America/New_York", "0 15 * * * ?", "2027-11-07T00:30:00", []string{"07 01:15 -0400", "07 01:15 -0500", "07 02:15 -0500"}},

		// Half an hour: 02:00 +10:30 becomes 02:30 +11, 02:00 +11 becomes 01:30 +10:30.
		{"half an hour skipped", "Australia/Lord_Howe", "0 15 2 * * ?", "2027-10-03T00:00:00", []string{"03 02:30 +1100", "04 02:15 +1100"}},
		{"after half an hour", "Australia/Lord_Howe", "0 45 2 * * ?", "2027-10-03T00:00:00", []string{"03 02:45 +1100"}},
		{"hourly over half an hour", "Australia/Lord_Howe", "0 15 * * * ?", "2027-10-03T01:00:00", []string{"03 01:15 +1030", "03 02:30 +1100", "03 03:15 +1100"}},
		{"half-hourly over half an hour", "Australia/Lord_Howe", "0 0/30 * * * ?", "2027-10-03T01:20:00", []string{"03 01:30 +1030", "03 02:30 +1100", "03 03:00 +1100"}},
		{"half an hour repeated", "Australia/Lord_Howe", "0 45 1 * * ?", "2027-04-04T00:00:00", []string{"04 01:45 +1100", "05 01:45 +1030"}},
		{"hourly over the repeat", "Australia/Lord_Howe", "0 45 * * * ?", "2027-04-04T01:00:00", []string{"04 01:45 +1100", "04 01:45 +1030", "04 02:45 +1030"}},
		{"not in the repeat", "Australia/Lord_Howe", "0 15 * * * ?", "2027-04-04T01:00:00", []string{"04 01:15 +1100", "04 02:15 +1030"}},

		// Changes at midnight.
		{"midnight skipped in Cairo", "Africa/Cairo", "0 0 0 * * ?", "2027-04-29T12:00:00", []string{"30 01:00 +0300", "01 00:00 +0300"}},
		{"last hour repeated in Cairo", "Africa/Cairo", "0 30 23 * * ?", "2027-10-28T12:00:00", []string{"28 23:30 +0300", "29 23:30 +0200"}},
		{"midnight after it", "Africa/Cairo", "0 0 0 * * ?", "2027-10-28T12:00:00", []string{"29 00:00 +0200"}},
		{"midnight skipped in Havana", "America/Havana", "0 30 0 * * ?", "2027-03-13T12:00:00", []string{"14 01:00 -0400", "15 00:30 -0400"}},
		{"midnight repeated in Havana", "America/Havana", "0 0 0 * * ?", "2027-11-06T12:00:00", []string{"07 00:00 -0400", "08 00:00 -0500"}},
		{"hourly in Havana", "America/Havana", "0 0 * * * ?", "2027-11-06T22:30:00", []string{"06 23:00 -0400", "07 00:00 -0400", "07 00:00 -0500", "07 01:00 -0500"}},
		{"midnight skipped in Beirut", "Asia/Beirut", "0 0 0 L-3 3 ?", "2027-03-01T00:00:00", []string{"28 01:00 +0300"}},
		{"midnight repeated in Beirut", "Asia/Beirut", "0 0 0 * * ?", "2027-10-30T12:00:00", []string{"31 00:00 +0200", "01 00:00 +0200"}},
		{"midnight skipped in São Paulo", "America/Sao_Paulo", "0 0 0 4 11 ?", "2018-11-01T00:00:00", []string{"04 01:00 -0200", "04 00:00 -0300"}},
		{"last hour repeated in São Paulo", "America/Sao_Paulo", "0 0 23 * * ?", "2019-02-16T12:00:00", []string{"16 23:00 -0200", "17 23:00 -0300"}},

		// 30 December 2011 did not happen in Samoa.
		{"a day skipped", "Pacific/Apia", "0 0 12 * * ?", "2011-12-28T18:00:00", []string{"29 12:00 -1000", "31 00:00 +1400", "31 12:00 +1400"}},
		{"hourly over the date line", "Pacific/Apia", "0 0 * * * ?", "2011-12-29T22:30:00", []string{"29 23:00 -1000", "31 00:00 +1400", "31 01:00 +1400"}},
		{"another day than the skipped one", "Pacific/Apia", "0 0 12 ? * THU,SAT", "2011-12-28T18:00:00", []string{"29 12:00 -1000", "31 12:00 +1400"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			loc := zone(t, test.zone)
			fires := parse(t, test.text).NextN(at(t, loc, test.after), loc, len(test.want))
			if diff := cmp.Diff(test.want, format(fires, "02 15:04 -0700")); diff != "" {
				t.Errorf("%s in %s: %s", test.text, test.zone, diff)
			}
		})
	}
}

// TestNextFromWithinAChange: the answer hangs on the moment alone, also where the
// clock shows it twice.
func TestNextFromWithinAChange(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	autumn := time.Date(2027, 10, 31, 1, 0, 0, 0, time.UTC) // 02:00 +01, for the second time
	spring := time.Date(2027, 3, 28, 1, 0, 0, 0, time.UTC)  // 03:00 +02, an hour early
	tests := []struct {
		text  string
		after time.Time
		want  string
	}{
		{"0 30 2 * * ?", autumn.Add(-30*time.Minute - 1), "2027-10-31 02:30:00 +0200"},
		{"0 30 2 * * ?", autumn.Add(-30 * time.Minute), "2027-11-01 02:30:00 +0100"},
		{"0 30 2 * * ?", autumn.Add(time.Minute), "2027-11-01 02:30:00 +0100"},
		{"0 10/50 2 31 10 ?", autumn.Add(-30 * time.Minute), "2027-10-31 02:10:00 +0100"}, // and not next year's
		{"0 0/30 * * * ?", autumn.Add(-time.Second), "2027-10-31 02:00:00 +0100"},
		{"0 0/30 * * * ?", autumn.Add(time.Minute), "2027-10-31 02:30:00 +0100"},
		{"0 50 2 * * ?", spring.Add(-1), "2027-03-28 03:00:00 +0200"},
		{"0 50 2 * * ?", spring, "2027-03-29 02:50:00 +0200"},
		{"* * * * * ?", spring.Add(-time.Second), "2027-03-28 03:00:00 +0200"},
		{"* * * * * ?", autumn.Add(-time.Second), "2027-10-31 02:00:00 +0100"},
	}
	for _, test := range tests {
		fire, ok := parse(t, test.text).Next(test.after, loc)
		if got := fire.Format("2006-01-02 15:04:05 -0700"); !ok || got != test.want {
			t.Errorf("%s after %s: %s, want %s", test.text, test.after, got, test.want)
		}
	}
}
