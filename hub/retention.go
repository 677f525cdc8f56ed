package hub

import (
	"strconv"
	"time"
)

// Settings of a project about how long its executions stay. docs/retention.md tells what
// they mean.
const (
	SettingRetentionDays       = "retention.days"
	SettingRetentionFailedDays = "retention.failedDays"
	SettingRetentionExecutions = "retention.executions"
	SettingRetentionBytes      = "retention.bytes"
)

const (
	// MinRetained is how many of a job's last executions always stay.
	MinRetained = 10
	// MinRetention is how long an ended execution stays in any case: so long runners keep
	// what they could not send, and show what they had when the database lost it.
	MinRetention = 24 * time.Hour
	// maxRetentionDays is a hundred years, which a duration still holds.
	maxRetentionDays = 36500
)

// Retention says which ended executions of a project stay; 0 is no limit.
type Retention struct {
	// Age since the end.
	Age time.Duration
	// FailedAge is that of failures, never less than Age; 0: as Age.
	FailedAge time.Duration
	// PerJob is how many of each job stay, MinRetained at least.
	PerJob int64
	// Bytes of text in the logs of the project.
	Bytes int64
}

// ReadRetention reads the settings of a project; age counts where they say nothing. The
// error names each setting that cannot be read, under its own name.
func ReadRetention(settings map[string]string, age time.Duration) (Retention, []FieldError) {
	const day = 24 * time.Hour
	var wrong []FieldError
	number := func(name string, least, most int64) int64 {
		text := settings[name]
		if text == "" {
			return 0
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n != 0 && n < least || n > most {
			wrong = append(wrong, FieldError{Path: name, Message: "must be a number from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10) + ", or 0 for no limit"})
			return 0
		}
		return n
	}
	r := Retention{Age: age, PerJob: number(SettingRetentionExecutions, MinRetained, 1e9), Bytes: number(SettingRetentionBytes, 1<<20, 1<<60)}
	if settings[SettingRetentionDays] != "" {
		r.Age = time.Duration(number(SettingRetentionDays, 1, maxRetentionDays)) * day
	}
	r.FailedAge = time.Duration(number(SettingRetentionFailedDays, 1, maxRetentionDays)) * day
	if r.FailedAge > 0 && r.FailedAge < r.Age {
		if settings[SettingRetentionDays] != "" {
			wrong = append(wrong, FieldError{Path: SettingRetentionFailedDays, Message: "must not be less than the " + settings[SettingRetentionDays] + " days of other executions"})
		}
		r.FailedAge = r.Age // the hub's own may have become more meanwhile
	}
	return r, wrong
}

// Failure reports whether something went wrong in an execution that ended so: these are
// looked into longest.
func (s Status) Failure() bool {
	return s == StatusFailed || s == StatusTimedOut || s == StatusUnknown
}

// PurgeRun is the last pass over all projects that took away what need not stay.
type PurgeRun struct {
	EndedAt time.Time
	// Executions that it took out of view, and bytes of text in their logs.
	Executions, TextBytes int64
	// Error that something was left for, "" if nothing was.
	Error string
}
