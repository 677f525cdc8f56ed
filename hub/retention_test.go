package hub_test

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/hub"
)

func TestReadRetention(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		settings map[string]string
		want     hub.Retention
		wrong    string
	}{
		"none":                {nil, hub.Retention{Age: 90 * day}, ""},
		"all":                 {map[string]string{"retention.days": "7", "retention.failedDays": "30", "retention.executions": "100", "retention.bytes": "1048576"}, hub.Retention{Age: 7 * day, FailedAge: 30 * day, PerJob: 100, Bytes: 1 << 20}, ""},
		"for ever":            {map[string]string{"retention.days": "0"}, hub.Retention{}, ""},
		"less than the hub's": {map[string]string{"retention.failedDays": "30"}, hub.Retention{Age: 90 * day, FailedAge: 90 * day}, ""},
		"failures less":       {map[string]string{"retention.days": "30", "retention.failedDays": "7"}, hub.Retention{Age: 30 * day, FailedAge: 30 * day}, "retention.failedDays"},
		"below the last ten":  {map[string]string{"retention.executions": "9"}, hub.Retention{Age: 90 * day}, "retention.executions"},
		"no number":           {map[string]string{"retention.days": "90d"}, hub.Retention{}, "retention.days"},
		"negative":            {map[string]string{"retention.bytes": "-1"}, hub.Retention{Age: 90 * day}, "retention.bytes"},
		"overflow":            {map[string]string{"retention.days": "99999999999999999999"}, hub.Retention{}, "retention.days"},
	} {
		got, wrong := hub.ReadRetention(tt.settings, 90*day)
		if got != tt.want || (tt.wrong == "") != (len(wrong) == 0) || len(wrong) > 0 && wrong[0].Path != tt.wrong {
			t.Errorf("%s: %+v, %v", name, got, wrong)
		}
	}
}
