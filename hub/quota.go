package hub

import (
	"fmt"
	"time"
)

const (
	// MinQuota is the least quota, in bytes: less would only lock people out.
	MinQuota = 1 << 20
	// MaxQuota is the largest, in bytes.
	MaxQuota = 1 << 60
	// nearQuota is the part of a quota, in percent, from which people are warned.
	nearQuota = 90
)

// Quota is how much log an organisation may hold and print, in bytes of text; 0 is no limit.
type Quota struct {
	OrganisationID string
	// LogBytes bounds all logs together: over it nothing starts.
	LogBytes int64
	// ExecutionLogBytes bounds what one execution prints: over it the execution is halted.
	ExecutionLogBytes int64
	// Revision rises with each change by a person.
	Revision int64
	// UsedBytes is what all logs had at CountedAt; zero: nobody has counted yet.
	UsedBytes int64
	CountedAt time.Time
}

// Over reports whether the organisation holds as much log as it may.
func (q *Quota) Over() bool { return q.LogBytes > 0 && q.UsedBytes >= q.LogBytes }

// Near reports whether it soon will, or does.
func (q *Quota) Near() bool {
	return q.LogBytes > 0 && float64(q.UsedBytes) >= float64(q.LogBytes)*nearQuota/100
}

// Admit refuses what would start while the organisation is over its quota.
func (q *Quota) Admit() error {
	if !q.Over() {
		return nil
	}
	return Errorf(CodeQuotaExceeded,
		"Nothing new starts: logs hold %s, and the quota is %s. Let executions go earlier by the retention of their projects, or have an administrator raise the quota, on the page Cluster or by fairlead quota set --log-bytes.",
		bytesText(q.UsedBytes), bytesText(q.LogBytes))
}

// Check says of each limit that cannot be one what is wrong with it.
func (q *Quota) Check() []FieldError {
	var wrong []FieldError
	for _, limit := range []struct {
		path  string
		bytes int64
	}{{"logBytes", q.LogBytes}, {"executionLogBytes", q.ExecutionLogBytes}} {
		if limit.bytes != 0 && (limit.bytes < MinQuota || limit.bytes > MaxQuota) {
			wrong = append(wrong, FieldError{Path: limit.path, Message: fmt.Sprintf("must be from %s to %s, or 0 for no limit", bytesText(MinQuota), bytesText(MaxQuota))})
		}
	}
	return wrong
}

// bytesText tells a number of bytes to people, in the units of a log limit.
func bytesText(n int64) string {
	unit, name := int64(1), "bytes"
	for _, larger := range []string{"KB", "MB", "GB", "TB"} {
		if n/unit < 1<<10 {
			break
		}
		unit, name = unit<<10, larger
	}
	if n%unit == 0 {
		return fmt.Sprintf("%d %s", n/unit, name)
	}
	return fmt.Sprintf("%.1f %s", float64(n)/float64(unit), name)
}
