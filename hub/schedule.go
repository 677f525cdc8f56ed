package hub

import (
	"fmt"
	"time"
)

// MissedPolicy says what becomes of fires that no member was there for.
type MissedPolicy string

// The policies.
const (
	// MissedSkip records them and runs nothing; the default.
	MissedSkip MissedPolicy = "skip"
	// MissedOnce runs once for all of them.
	MissedOnce MissedPolicy = "once"
	// MissedAll runs once for each, MaxMadeUp at most.
	MissedAll MissedPolicy = "all"
)

// MaxMadeUp bounds how many missed fires of a job are run or recorded one by one: an
// outage of a day must not come back as a day of runs.
const MaxMadeUp = 100

// Settings of a project about its jobs' schedules.
const (
	// SettingTimeZone is the zone of jobs that name none.
	SettingTimeZone = "schedule-time-zone"
	// SettingSchedules is "false" to let no job of the project run by its schedule.
	SettingSchedules = "schedule-enabled"
)

// JobSchedule is when a job runs by itself, as its definition says.
type JobSchedule struct {
	// Expression as hub/cron reads it; "": the job has no schedule.
	Expression string
	// Zone is a name of the IANA database; "": the project's, else UTC.
	Zone string
	// Missed is "" where there is no expression.
	Missed MissedPolicy
	// Disabled keeps the schedule and fires nothing.
	Disabled bool
}

// Schedule is where a job with a schedule stands.
type Schedule struct {
	// Job as it is now, and its project's name and settings.
	Job      *Job
	Project  string
	Settings map[string]string
	// Calendars that it goes by, by name.
	Calendars []*Calendar
	// Planned is set once NextFire was found; until then it is looked for after Since.
	Planned bool
	// NextFire is zero if there is none, or none was looked for yet.
	NextFire time.Time
	// Since is when the schedule came to be as it is: fires before it do not exist.
	Since    time.Time
	LastFire time.Time // zero if it never fired
	// Paused by a person; it outlives changes of the job.
	Paused bool
}

// Off tells why the schedule does not fire, "" if it does.
func (s *Schedule) Off() string {
	switch {
	case s.Job.ExecutionDisabled:
		return "The job is disabled (executionEnabled: false)."
	case s.Job.Schedule.Disabled:
		return "The job's schedule is disabled (scheduleEnabled: false)."
	case s.Paused:
		return "The schedule is paused."
	case s.Settings[SettingSchedules] == "false":
		return fmt.Sprintf("The schedules of project %s are off (setting %s).", s.Project, SettingSchedules)
	default:
		return ""
	}
}

// Zone names the time zone that the schedule is read in.
func (s *Schedule) Zone() string {
	switch {
	case s.Job.Schedule.Zone != "":
		return s.Job.Schedule.Zone
	case s.Settings[SettingTimeZone] != "":
		return s.Settings[SettingTimeZone]
	default:
		return "UTC"
	}
}

// FireStatus is what became of a fire.
type FireStatus string

// What becomes of fires.
const (
	FireStarted FireStatus = "started"
	// FireMissed: no member was there at the time, and it was not made up for.
	FireMissed FireStatus = "missed"
	// FireFailed: no execution could be started.
	FireFailed FireStatus = "failed"
)

// Fire is one time at which a job was due. There is one for each job and time, whatever
// happens, and so one execution.
type Fire struct {
	JobID string
	At    time.Time
	// ExecutionID is set if one was started.
	ExecutionID string
	Status      FireStatus
	// Reason for people, if it was missed or failed.
	Reason     string
	RecordedAt time.Time
}
