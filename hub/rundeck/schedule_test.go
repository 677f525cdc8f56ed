package rundeck_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/rundeck"
)

// What a file says of schedules is read, and its canonical form says the same.
func TestSchedules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, lines string
		want        hub.JobSchedule
	}{
		{"none", "  schedules: []\n", hub.JobSchedule{}},
		{"crontab", "  schedule: {crontab: '0 30  2 ? * MON-FRI *'}\n", hub.JobSchedule{Expression: "0 30 2 ? * MON-FRI *", Missed: hub.MissedSkip}},
		{"cron of five fields", "  schedule:\n    crontab: '*/5 * * * *'\n  missed: All\n", hub.JobSchedule{Expression: "*/5 * * * *", Missed: hub.MissedAll}},
		{
			"parts of an export",
			"  schedule:\n    month: '*'\n    time:\n      hour: 06\n      minute: '00'\n      seconds: '0'\n    weekday:\n      day: MON\n    year: '*'\n  timeZone: Europe/Berlin\n  missed: once\n",
			hub.JobSchedule{Expression: "0 00 06 ? * MON *", Zone: "Europe/Berlin", Missed: hub.MissedOnce},
		},
		{
			"day of the month, switched off",
			"  schedule: {time: {hour: 1}, dayofmonth: {day: 1}, month: JAN}\n  scheduleEnabled: false\n",
			hub.JobSchedule{Expression: "0 0 1 1 JAN ? *", Missed: hub.MissedSkip, Disabled: true},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			jobs, report := rundeck.ParseJobs(job(test.lines))
			if report.Err() != nil {
				t.Fatal(report.Errors)
			}
			if diff := cmp.Diff(test.want, jobs[0].Job.Schedule); diff != "" {
				t.Error(diff)
			}
			again, report := rundeck.ParseJobs([]byte(jobs[0].Job.Source))
			if report.Err() != nil {
				t.Fatalf("%+v\n%s", report.Errors, jobs[0].Job.Source)
			}
			if diff := cmp.Diff(jobs[0].Job, again[0].Job); diff != "" {
				t.Errorf("%s\n%s", diff, jobs[0].Job.Source)
			}
		})
	}
}

// What a file says of running several times at once, and of calendars.
func TestMultipleExecutions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, lines string
		atOnce      int
		calendars   []string
		warning     string
	}{
		{"nothing", "", 1, nil, ""},
		{"as Rundeck writes it", "  multipleExecutions: false\n", 1, nil, ""},
		{"any number", "  multipleExecutions: true\n", 0, nil, ""},
		{"a maximum", "  multipleExecutions: true\n  maxMultipleExecutions: '3'\n", 3, nil, ""},
		{"Rundeck's no maximum", "  multipleExecutions: true\n  maxMultipleExecutions: 0\n", 0, nil, ""},
		{"a maximum of one", "  maxMultipleExecutions: 3\n", 1, nil, "[0].maxMultipleExecutions"},
		{"calendars", "  schedule: {crontab: 0 0 12 * * ?}\n  calendars: [b, a, b]\n", 1, []string{"a", "b"}, ""},
		{"calendars by comma", "  schedule: {crontab: 0 0 12 * * ?}\n  calendars: b, a\n", 1, []string{"a", "b"}, ""},
		{"calendars of nothing", "  calendars: [a]\n", 1, []string{"a"}, "[0].calendars"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			jobs, report := rundeck.ParseJobs(job(test.lines))
			if report.Err() != nil {
				t.Fatal(report.Errors)
			}
			warned := ""
			for _, w := range report.Warnings {
				warned = w.Path
			}
			j := jobs[0].Job
			if j.AtOnce() != test.atOnce || warned != test.warning || !cmp.Equal(j.Calendars, test.calendars, cmpopts.EquateEmpty()) {
				t.Errorf("at once %d, calendars %v, warning %q", j.AtOnce(), j.Calendars, warned)
			}
			again, report := rundeck.ParseJobs([]byte(j.Source))
			if report.Err() != nil {
				t.Fatalf("%+v\n%s", report.Errors, j.Source)
			}
			if diff := cmp.Diff(j, again[0].Job); diff != "" {
				t.Errorf("%s\n%s", diff, j.Source)
			}
		})
	}
}

func TestDisabledJob(t *testing.T) {
	t.Parallel()
	jobs, report := rundeck.ParseJobs(job("  executionEnabled: false\n  missed: once\n"))
	if report.Err() != nil || len(report.Warnings) != 1 || report.Warnings[0].Path != "[0].missed" {
		t.Fatalf("errors %v, warnings %v", report.Errors, report.Warnings)
	}
	if !jobs[0].Job.ExecutionDisabled || !strings.Contains(jobs[0].Job.Source, "executionEnabled: false\n") {
		t.Errorf("%+v\n%s", jobs[0].Job, jobs[0].Job.Source)
	}
}
