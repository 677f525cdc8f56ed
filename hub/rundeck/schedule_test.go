package rundeck_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
