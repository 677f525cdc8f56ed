package cron_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cron"
)

// TestParseErrors: an error names each field, what it holds and what it may hold.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text  string
		wants []string
	}{
		{"", []string{"0 fields", "6 or 7", "cron's 5"}},
		{"@daily", []string{`"@daily" has 1 fields`}},
		{"* * * *", []string{"4 fields"}},
		{"0 0 12 * * ? 2027 x", []string{"8 fields"}},
		{strings.Repeat("1,", 600) + "1 * * * *", []string{"bytes, at most 1024"}},
		{"0 0 12 13 * FRI", []string{`"0 0 12 13 * FRI"`, `day-of-month "13" and weekday "FRI" are both set`, `write "?"`}},
		{"0 0 12 * * *", []string{`day-of-month "*" and weekday "*" are both set`}},
		{"0 0 12 ? * ?", []string{`day-of-month and weekday are both "?"`}},
		{"60 0 12 * * ?", []string{`second "60" holds "60": allowed are 0 to 59`}},
		{"0 60 12 * * ?", []string{`minute "60" holds "60": allowed are 0 to 59`}},
		{"0 0 24 * * ?", []string{`hour "24" holds "24": allowed are 0 to 23`}},
		{"0 0 12 0 * ?", []string{`day-of-month "0" holds "0": allowed are 1 to 31`}},
		{"0 0 12 32 * ?", []string{`day-of-month "32" holds "32"`, "L-3, LW, 15W"}},
		{"0 0 12 * 13 ?", []string{`month "13" holds "13": allowed are 1 to 12, JAN to DEC`}},
		{"0 0 12 * JANUARY ?", []string{`month "JANUARY" holds "JANUARY"`}},
		{"0 0 12 ? * 0", []string{`weekday "0" holds "0": allowed are 1 (SUN) to 7 (SAT)`}},
		{"0 0 12 ? * 8", []string{`weekday "8" holds "8"`}},
		{"0 0 12 ? * FRI-XXX", []string{`weekday "FRI-XXX" holds "FRI-XXX"`}},
		{"0 0 12 * * ? 1969", []string{`year "1969" holds "1969": allowed are 1970 to 2199`}},
		{"0 0 12 * * ? 2200", []string{`year "2200" holds "2200"`}},
		{"0 0 12 * * ? 2030-2028", []string{`year "2030-2028" has the range "2030-2028", which ends before it begins`}},
		{"0 0/0 12 * * ?", []string{`minute "0/0" has the step "0": it must be from 1 to 60`}},
		{"0 0 0/25 * * ?", []string{`hour "0/25" has the step "25": it must be from 1 to 24`}},
		{"0 0/ 12 * * ?", []string{`minute "0/" has the step ""`}},
		{"0 1,,2 12 * * ?", []string{`minute "1,,2" holds ""`}},
		{"0 1, 12 * * ?", []string{`minute "1," holds ""`}},
		{"0 -5 12 * * ?", []string{`minute "-5" holds "-5"`}},
		{"0 5- 12 * * ?", []string{`minute "5-" holds "5-"`}},
		{"0 1-2-3 12 * * ?", []string{`minute "1-2-3"`}},
		{"0 +5 12 * * ?", []string{`minute "+5"`}},
		{"0 99999999999999999999 12 * * ?", []string{"minute", "allowed are 0 to 59"}},
		{"0 ? 12 * * ?", []string{`minute "?"`}},
		{"0 L 12 * * ?", []string{`minute "L"`}},
		{"0 0 12 ?,5 * ?", []string{`day-of-month "?,5" holds "?"`}},
		{"0 0 12 32W * ?", []string{`W follows a day from 1 to 31`}},
		{"0 0 12 1-5W * ?", []string{`W follows a day`}},
		{"0 0 12 W * ?", []string{`W follows a day`}},
		{"0 0 12 L-31 * ?", []string{`L stands alone or before a number from 0 to 30`}},
		{"0 0 12 LX * ?", []string{`L stands alone`}},
		{"0 0 12 L3 * ?", []string{`L stands alone`}},
		{"0 0 12 ? * 6#6", []string{`a number from 1 to 5 follows the #`}},
		{"0 0 12 ? * 6#", []string{`a number from 1 to 5 follows the #`}},
		{"0 0 12 ? * 9#1", []string{`weekday "9#1" holds "9#1": allowed are`}},
		{"0 0 12 ? * 9L", []string{`weekday "9L" holds "9L": allowed are`}},
		{"0 12 L * *", []string{`day-of-month "L" holds "L", which is Quartz's: write 6 fields`}},
		{"0 12 15W * *", []string{"which is Quartz's"}},
		{"0 12 ? * *", []string{"which is Quartz's"}},
		{"0 12 * * 5L", []string{`weekday "5L" holds "5L", which is Quartz's`}},
		{"0 12 * * FRI#1", []string{"which is Quartz's"}},
		{"0 12 * * 8", []string{`weekday "8" holds "8": allowed are 0 (SUN) to 6 (SAT), 7 (SUN)`}},
		{"0 12 * * */8", []string{"from 1 to 7"}},
		{"61 25 * * 9", []string{`minute "61"`, `hour "25"`, `weekday "9"`}}, // all at once
	}
	for _, test := range tests {
		_, err := cron.Parse(test.text)
		if hub.ErrorCode(err) != hub.CodeInvalid {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		for _, want := range test.wants {
			if message := hub.ErrorMessage(err); !strings.Contains(message, want) {
				t.Errorf("%q: %s\nwant %q", test.text, message, want)
			}
		}
	}
}

func TestParseErrorPaths(t *testing.T) {
	t.Parallel()
	_, err := cron.Parse("60 60 24 32 13 FOO 1")
	want := []string{"second", "minute", "hour", "day-of-month", "month", "weekday", "year", "day-of-month"}
	if diff := cmp.Diff(want, paths(t, err)); diff != "" {
		t.Error(diff)
	}
}

func paths(t *testing.T, err error) []string {
	t.Helper()
	e, ok := errors.AsType[*hub.Error](err)
	if !ok {
		t.Fatalf("not of the hub: %v", err)
	}
	var paths []string
	for _, f := range e.Fields {
		paths = append(paths, f.Path)
	}
	return paths
}

// TestFromParts has the forms of Rundeck's documentation, and what its files hold.
func TestFromParts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		parts cron.Parts
		text  string
		next  string // after Sunday 2026-11-22 10:00
	}{
		{cron.Parts{Hour: "05", Minute: "01", Seconds: "0", Month: "APR,MAR,MAY", Year: "*", Weekday: "FRI,MON,TUE"}, "0 01 05 ? APR,MAR,MAY FRI,MON,TUE *", "2027-03-01T05:01:00"},
		{cron.Parts{Hour: "06,07,08", Minute: "00", Weekday: "*", Month: "*"}, "0 00 06,07,08 ? * * *", "2026-11-23T06:00:00"},
		{cron.Parts{Hour: "06,07,08", Minute: "00", Seconds: "02", Weekday: "*", Month: "*", Year: "2028"}, "02 00 06,07,08 ? * * 2028", "2028-01-01T06:00:02"},
		{cron.Parts{Hour: "0", Minute: "0", Seconds: "0", Month: "*", Year: "*", DayOfMonth: "1"}, "0 0 0 1 * ? *", "2026-12-01T00:00:00"},
		{cron.Parts{Hour: "0/6", DayOfMonth: "1/4", Weekday: "*"}, "0 0 0/6 1/4 * ? *", "2026-11-25T00:00:00"},
		{cron.Parts{Hour: "9", DayOfMonth: "*", Weekday: " mon-fri "}, "0 0 9 ? * mon-fri *", "2026-11-23T09:00:00"},
		{cron.Parts{Hour: "9", DayOfMonth: "?", Weekday: "2-6"}, "0 0 9 ? * 2-6 *", "2026-11-23T09:00:00"},
		{cron.Parts{Hour: "9", DayOfMonth: "LW", Weekday: "?"}, "0 0 9 LW * ? *", "2026-11-30T09:00:00"},
		{cron.Parts{}, "0 0 0 ? * * *", "2026-11-23T00:00:00"},
	}
	for _, test := range tests {
		s, err := cron.FromParts(test.parts)
		if err != nil {
			t.Errorf("%+v: %v", test.parts, err)
			continue
		}
		fire, _ := s.Next(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), time.UTC)
		if got := fire.Format("2006-01-02T15:04:05"); got != test.next || s.String() != test.text {
			t.Errorf("%+v is %q, next %s; want %q, %s", test.parts, s, got, test.text, test.next)
		}
		if again := parse(t, s.String()); again.String() != s.String() {
			t.Errorf("%q is read back as %q", s, again)
		}
	}
}

// TestFromPartsErrors: the paths are those of a job file.
func TestFromPartsErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		parts cron.Parts
		want  []string
	}{
		{cron.Parts{Seconds: "60", Minute: "60", Hour: "24", Month: "13", Year: "1", Weekday: "9"}, []string{"time.seconds", "time.minute", "time.hour", "month", "weekday.day", "year"}},
		{cron.Parts{DayOfMonth: "13", Weekday: "FRI"}, []string{"dayofmonth.day"}},
		{cron.Parts{Weekday: "MON, TUE"}, []string{"weekday.day"}},
		{cron.Parts{Hour: "1 2"}, []string{"time.hour"}},
		{cron.Parts{Hour: strings.Repeat("1,", 600) + "1"}, nil}, // too long altogether
	}
	for _, test := range tests {
		_, err := cron.FromParts(test.parts)
		if diff := cmp.Diff(test.want, paths(t, err)); diff != "" {
			t.Errorf("%+v: %s", test.parts, diff)
		}
	}
}

// FuzzParse: no text ends in a panic or takes long, and what is read tells a later
// fire and the same text again.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"0 0 12 ? * MON-FRI *", "0 0 12 LW * ?", "0 0 12 L-3W,15W,1/7 2 ? 2028/4", "0 0 12 ? * 2,6#3,FRIL,L", "*/15 22-2 * JAN-MAR 7",
		"0 0 0 29 2 ? 2100-2103", "0 0 12 13 * FRI", "/ / / / /", "0 0 0 31 2 ?", "* * * * * ?", "0 0 0 ? * ſun", "1-2-3 L#W ?,? -- 99999",
	} {
		f.Add(text, int64(1795341600))
	}
	loc := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		s, err := cron.Parse(text)
		if err != nil {
			if hub.ErrorCode(err) != hub.CodeInvalid {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if again := parse(t, s.String()); again.String() != s.String() {
			t.Errorf("%q is read back as %q", s, again)
		}
		after := time.Unix(seconds, 0)
		begun := time.Now()
		fires := s.NextN(after, loc, 3)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%q took %s", s, took)
		}
		for _, fire := range fires {
			if !fire.After(after) || fire.Year() > cron.MaxYear || fire.Nanosecond() != 0 {
				t.Errorf("%q after %s: %s", s, after, fire)
			}
			after = fire
		}
	})
}

// BenchmarkNext has the cheapest search and the dearest: those that find nothing.
func BenchmarkNext(b *testing.B) {
	loc := zone(b, "Europe/Berlin")
	after := time.Date(2026, 11, 22, 10, 0, 0, 0, loc)
	c := &hub.Calendar{Name: "c", Mode: hub.CalendarExclude, Days: []string{"MON"}}
	for day := after; len(c.Days) < hub.MaxCalendarDays; day = day.AddDate(0, 0, 2) {
		c.Days = append(c.Days, day.Format(time.DateOnly))
	}
	full, err := cron.NewCalendar(c)
	if err != nil {
		b.Fatal(err)
	}
	benchmarks := []struct {
		name, text string
		calendars  []*cron.Calendar
	}{
		{"every second", "* * * * * ?", nil},
		{"every quarter", "0 0/15 * * * ?", nil},
		{"weekdays", "0 0 12 ? * MON-FRI", nil},
		{"leap day", "0 0 0 29 2 ?", nil},
		{"far year", "0 0 12 31W 12 ? 2199", nil},
		{"never, of years", "0 0 12 1 1 ? 2025", nil},
		{"never, of days", "0 0 0 30 2 ?", nil},
		{"never, of many days", "0 0 0 L-29,L-30W,30,31W FEB ?", nil},
		{"never, by a calendar", "0 0 12 ? * MON", []*cron.Calendar{full}},
	}
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			s := parse(b, bench.text)
			b.ReportAllocs()
			for b.Loop() {
				s.Next(after, loc, bench.calendars...)
			}
		})
	}
}
