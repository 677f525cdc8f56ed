package cron_test

import (
	"strings"
	"testing"
	"time"

	"github.com/reugn/go-quartz/quartz"
	"pgregory.net/rapid"
)

// TestAgainstGoQuartz compares with another evaluator where that one is right: with
// many times on every day, or one time on chosen days. Of many times on chosen days it
// puts some on the day after. Nor is it right for a bare L as weekday, days that a
// month may lack (31, 6#5), W from its day on, ranges over the end, weekdays of
// chosen months or years, and clocks that change.
func TestAgainstGoQuartz(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string, texts ...string) string { return rapid.SampledFrom(texts).Draw(r, name) }
		var text string
		switch draw("kind", "times", "dates", "weekdays") {
		case "times":
			text = strings.Join([]string{
				draw("second", "0", "59", "*", "*/7", "10,20,50", "5-9", "30/11"),
				draw("minute", "0", "59", "*", "0/15", "3,33", "50-59", "10-40/10"),
				draw("hour", "0", "23", "*", "*/5", "6,18", "8-17", "9-17/4"),
				draw("days", "* * ?", "? * *"),
			}, " ")
		case "dates":
			text = "7 30 12 " + draw("date", "*", "1", "28", "1,15", "7-20", "*/9", "3/5", "L", "L-1", "L-7") +
				" " + draw("month", "*", "1", "JAN", "2,11", "MAR-JUN", "*/5", "12") + " ? " + draw("year", "", "*", "2031", "2031-2033", "2032/4", "2031,2035")
		case "weekdays":
			text = "7 30 12 ? * " + draw("weekday", "*", "1", "SUN", "2-6", "MON-FRI", "1,7", "TUE,THU", "*/3", "2/2", "6L", "FRIL", "1#1", "WED#2", "6#4")
		}
		compareWithGoQuartz(r, strings.TrimSpace(text), zone(r, draw("zone", "UTC", "Asia/Kolkata", "America/Phoenix")))
	})
}

func compareWithGoQuartz(r *rapid.T, text string, loc *time.Location) {
	trigger, err := quartz.NewCronTriggerWithLoc(text, loc)
	if err != nil {
		r.Fatal(text, err)
	}
	after := time.Unix(rapid.Int64Range(1767225600, 1893456000).Draw(r, "after"), 0).In(loc)
	s := parse(r, text)
	for range 20 {
		got, ok := s.Next(after, loc)
		if !ok {
			return // where nothing is left, the other looks for ever
		}
		want, err := trigger.NextFireTime(after.UnixNano())
		if err != nil {
			r.Fatalf("%s after %s: %s, the other says %v", text, after, got, err)
		}
		if got.UnixNano() != want {
			r.Fatalf("%s after %s: %s, the other says %s", text, after, got, time.Unix(0, want).In(loc))
		}
		after = got
	}
}
