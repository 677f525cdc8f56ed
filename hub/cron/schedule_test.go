package cron_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of these tests, on any machine

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub/cron"
)

// noon is how most times of the tables below end.
const noon = "T12:00:00"

// fataler is a test, a benchmark or a round of rapid.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func zone(t fataler, name string) *time.Location {
	t.Helper()
	loc, err := cron.LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t fataler, text string) *cron.Schedule {
	t.Helper()
	s, err := cron.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at reads a wall time that its zone shows once.
func at(t fataler, loc *time.Location, text string) time.Time {
	t.Helper()
	when, err := time.ParseInLocation("2006-01-02T15:04:05", text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// format writes fires with as much of them as a layout shows.
func format(fires []time.Time, layout string) []string {
	var texts []string
	for _, fire := range fires {
		texts = append(texts, fire.Format(layout))
	}
	return texts
}

// TestKnownAnswers has answers from Quartz's documentation and the calendar, after a
// Sunday in Berlin.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	tests := []struct {
		text string
		want []string // noon where no time is told
		end  bool     // nothing comes after
	}{
		{text: "0 0 12 ? * MON-FRI *", want: []string{"2026-11-23", "2026-11-24"}},
		{text: "0 0 12 ? * MON-FRI", want: []string{"2026-11-23", "2026-11-24"}},
		{text: "0 0 12 ? * 2-6 *", want: []string{"2026-11-23", "2026-11-24"}},
		{text: "0 0 12 ? * 1 *", want: []string{"2026-11-22", "2026-11-29"}},
		{text: "0 0 12 L * ?", want: []string{"2026-11-30", "2026-12-31"}},
		{text: "0 0 12 LW * ?", want: []string{"2026-11-30", "2026-12-31", "2027-01-29"}},
		{text: "0 0 12 15W * ? 2027", want: []string{"2027-01-15", "2027-02-15", "2027-03-15", "2027-04-15", "2027-05-14"}},
		{text: "0 0 12 1W * ? 2027", want: []string{"2027-01-01", "2027-02-01", "2027-03-01", "2027-04-01", "2027-05-03"}},
		{text: "0 0 12 ? * 6#3", want: []string{"2026-12-18", "2027-01-15"}},
		{text: "0 0 12 ? * FRI#3", want: []string{"2026-12-18", "2027-01-15"}},
		{text: "0 0 12 ? * 2#5", want: []string{"2026-11-30", "2027-03-29"}},
		{text: "0 0 12 ? * 6L", want: []string{"2026-11-27", "2026-12-25"}},
		{text: "0 0 12 ? * FRIL", want: []string{"2026-11-27", "2026-12-25"}},
		{text: "0 0 12 ? * L", want: []string{"2026-11-28", "2026-12-05"}},
		{text: "0 0 12 L-3 * ?", want: []string{"2026-11-27", "2026-12-28"}},
		{text: "0 0/15 * * * ?", want: []string{"2026-11-22T10:15:00", "2026-11-22T10:30:00"}},
		{text: "0 0 12 1 1 ? 2028", want: []string{"2028-01-01"}, end: true},
		{text: "0 0 12 1 1 ? 2028/2", want: []string{"2028-01-01", "2030-01-01"}},
		{text: "0 0 12 ? JAN,JUN SUN#1", want: []string{"2027-01-03", "2027-06-06"}},
		{text: "0 0 22-2 * * ?", want: []string{"2026-11-22T22:00:00", "2026-11-22T23:00:00", "2026-11-23T00:00:00"}},
		{text: "0 0 12 ? * FRI-MON", want: []string{"2026-11-22", "2026-11-23", "2026-11-27"}},
		{text: "0 0 0 29 2 ?", want: []string{"2028-02-29T00:00:00", "2032-02-29T00:00:00"}},
		{text: "0 0 12 1,15 * ?", want: []string{"2026-12-01", "2026-12-15"}},
		{text: "0 0 12 1 1 ? 2025", end: true},

		// Rundeck's documentation.
		{text: "0 30 */6 ? Jan Mon *", want: []string{"2027-01-04T00:30:00", "2027-01-04T06:30:00"}},
		{text: "02 00 06,07,08 ? * * 2010", end: true},
		{text: "02 00 06,07,08 ? * * 2027", want: []string{"2027-01-01T06:00:02", "2027-01-01T07:00:02", "2027-01-01T08:00:02", "2027-01-02T06:00:02"}},

		// What else Quartz takes.
		{text: "0 0 12 L-3W * ?", want: []string{"2026-11-27", "2026-12-28", "2027-01-28"}},
		{text: "0 0 12 31W * ?", want: []string{"2026-12-31", "2027-01-29", "2027-03-31"}},
		{text: "0 0 12 L-30 * ?", want: []string{"2026-12-01", "2027-01-01", "2027-03-01"}},
		{text: "0 0 12 1,L * ?", want: []string{"2026-11-30", "2026-12-01"}},
		{text: "0 0 12 ? * 2,6#3", want: []string{"2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14", "2026-12-18"}},
		{text: "0 0 12 ? NOV-JAN 1#1", want: []string{"2026-12-06", "2027-01-03", "2027-11-07"}},
		{text: "0 0 12 28-2 * ?", want: []string{"2026-11-28", "2026-11-29", "2026-11-30", "2026-12-01", "2026-12-02", "2026-12-28"}},
		{text: "0 0 12 ? * 2/2", want: []string{"2026-11-23", "2026-11-25", "2026-11-27", "2026-11-30"}},
		{text: "0 0 22-2/2 * * ?", want: []string{"2026-11-22T22:00:00", "2026-11-23T00:00:00", "2026-11-23T02:00:00", "2026-11-23T22:00:00"}},
		{text: "0 0 12 1 7/6 ?", want: []string{"2027-07-01", "2028-07-01"}},
		{text: "/20 59 23 31 12 ? 2199", want: []string{"2199-12-31T23:59:00", "2199-12-31T23:59:20", "2199-12-31T23:59:40"}, end: true},
		{text: "0 0 12 30 2 ?", end: true},

		// cron's five fields.
		{text: "0 12 * * *", want: []string{"2026-11-22", "2026-11-23"}},
		{text: " 0\t12  * *  mon-fri ", want: []string{"2026-11-23", "2026-11-24"}},
		{text: "0 12 * * 0", want: []string{"2026-11-22", "2026-11-29"}},
		{text: "0 12 * * 7", want: []string{"2026-11-22", "2026-11-29"}},
		{text: "0 12 * * 5-7", want: []string{"2026-11-22", "2026-11-27", "2026-11-28"}},
		{text: "0 12 * * 0-7", want: []string{"2026-11-22", "2026-11-23"}},
		{text: "0 12 * * 7-2", want: []string{"2026-11-22", "2026-11-23", "2026-11-24", "2026-11-29"}},
		{text: "0 12 * * 7/2", want: []string{"2026-11-22", "2026-11-29"}},
		{text: "0 12 * * 1", want: []string{"2026-11-23", "2026-11-30"}},
		{text: "0 12 * * */2", want: []string{"2026-11-22", "2026-11-24", "2026-11-26", "2026-11-28", "2026-11-29"}},
		{text: "0 12 1 * 5", want: []string{"2026-11-27", "2026-12-01", "2026-12-04"}}, // either day
		{text: "0 12 */2 * 5", want: []string{"2026-11-27", "2026-12-11"}},             // both
		{text: "0 12 1-7 * *", want: []string{"2026-12-01", "2026-12-02"}},             // both
		{text: "*/15 * * * *", want: []string{"2026-11-22T10:15:00", "2026-11-22T10:30:00"}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			want := slices.Clone(test.want)
			for i := range want {
				if !strings.Contains(want[i], "T") {
					want[i] += noon
				}
			}
			n := len(want)
			if test.end {
				n++
			}
			fires := parse(t, test.text).NextN(at(t, loc, "2026-11-22T10:00:00"), loc, n)
			if diff := cmp.Diff(want, format(fires, "2006-01-02T15:04:05")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNextIsLater: what is due at this moment, or within this second, was due.
func TestNextIsLater(t *testing.T) {
	t.Parallel()
	s := parse(t, "* * * * * ?")
	from := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, after := range []time.Time{from, from.Add(1), from.Add(time.Second - 1)} {
		if fire, ok := s.Next(after, time.UTC); !ok || !fire.Equal(from.Add(time.Second)) {
			t.Errorf("after %s comes %s", after, fire)
		}
	}
}

// TestNextFarAway: times that no one means are answered like others.
func TestNextFarAway(t *testing.T) {
	t.Parallel()
	s := parse(t, "0 0 0 * * ?")
	for _, name := range []string{"UTC", "Europe/Berlin", "Pacific/Apia", "Asia/Manila"} {
		loc := zone(t, name)
		fire, ok := s.Next(time.Time{}, loc)
		if want := time.Date(1970, 1, 1, 0, 0, 0, 0, loc); !ok || !fire.Equal(want) {
			t.Errorf("%s: the first fire of all is %s, want %s", name, fire, want)
		}
		for _, after := range []time.Time{time.Date(2199, 12, 31, 0, 0, 0, 0, loc), time.Date(9999, 1, 1, 0, 0, 0, 0, loc), time.Unix(1<<62, 0)} {
			if fire, ok := s.Next(after, loc); ok {
				t.Errorf("%s: after %s comes %s", name, after, fire)
			}
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" 0 30\t*/6 ? Jan Mon * ": "0 30 */6 ? Jan Mon *",
		"5 4 * * sun":             "5 4 * * sun",
	} {
		if got := parse(t, text).String(); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
