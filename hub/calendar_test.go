package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead/fairlead/hub"
)

func TestParseDays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want hub.Days
	}{
		{"1970-01-01", hub.Days{Kind: hub.DaysOnce, From: 0, To: 0}},
		{"2024-02-29", hub.Days{Kind: hub.DaysOnce, From: 19782, To: 19782}},
		{" 2026-12-31 .. 2027-01-01 ", hub.Days{Kind: hub.DaysOnce, From: 20818, To: 20819}},
		{"12-25", hub.Days{Kind: hub.DaysYearly, From: 1225, To: 1225}},
		{"02-29", hub.Days{Kind: hub.DaysYearly, From: 229, To: 229}},
		{"12-24..01-01", hub.Days{Kind: hub.DaysYearly, From: 1224, To: 101}},
		{"SUN", hub.Days{Kind: hub.DaysWeekly, From: 0, To: 0}},
		{"sat..Sun", hub.Days{Kind: hub.DaysWeekly, From: 6, To: 0}},
	}
	for _, test := range tests {
		got, err := hub.ParseDays(test.text)
		if err != nil || got != test.want {
			t.Errorf("%q: %+v, %v; want %+v", test.text, got, err, test.want)
		}
	}
}

func TestParseDaysRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "..", "SAT..", "..SAT", "2026-02-29", "2026-13-01", "02-30", "1969-12-31", "2200-01-01", "2026-1-1", "1-1",
		"SATURDAY", "SAT-SUN", "SAT..12-25", "12-25..2026-12-26", "2026-12-24..2026-12-23", "SAT..SUN..MON", "2026-12-24T00:00:00Z", strings.Repeat("9", 100000),
	} {
		if days, err := hub.ParseDays(text); hub.ErrorCode(err) != hub.CodeInvalid || len(hub.ErrorMessage(err)) > 500 {
			t.Errorf("%.40q: %+v, %v", text, days, err)
		}
	}
}

func TestCalendarValidate(t *testing.T) {
	t.Parallel()
	good := hub.Calendar{Name: "Feiertage-2027_DE.1", Mode: hub.CalendarOnly, Days: slices.Repeat([]string{"12-25"}, hub.MaxCalendarDays)}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	tests := []struct {
		calendar hub.Calendar
		want     []string
	}{
		{hub.Calendar{}, []string{"name", "mode", "days"}},
		{hub.Calendar{Name: "-a", Mode: "Exclude", Days: []string{"SAT", "x", "12-25", "12-32"}}, []string{"name", "mode", "days[1]", "days[3]"}},
		{hub.Calendar{Name: "a b", Mode: hub.CalendarExclude, Days: []string{"SAT"}}, []string{"name"}},
		{hub.Calendar{Name: strings.Repeat("a", hub.MaxCalendarName+1), Mode: hub.CalendarExclude, Days: []string{"SAT"}}, []string{"name"}},
		{hub.Calendar{Name: "a", Mode: hub.CalendarExclude, Days: slices.Repeat([]string{"SAT"}, hub.MaxCalendarDays+1)}, []string{"days"}},
	}
	for _, test := range tests {
		err := test.calendar.Validate()
		e, ok := errors.AsType[*hub.Error](err)
		if !ok || e.Code != hub.CodeInvalid {
			t.Errorf("%+v: %v", test.calendar, err)
			continue
		}
		var paths []string
		for _, f := range e.Fields {
			paths = append(paths, f.Path)
			if strings.TrimSpace(f.Message) == "" {
				t.Errorf("%s says nothing", f.Path)
			}
		}
		if diff := cmp.Diff(test.want, paths); diff != "" {
			t.Errorf("%s: %s", fmt.Sprintf("%.100v", test.calendar), diff)
		}
	}
}
