package api

import (
	"maps"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cron"
	"github.com/fairlead/fairlead/hub/rundeck"
)

// keyPathSuffix ends the names of settings that name a key.
const keyPathSuffix = "-storage-path"

// checkSettings refuses settings of a project, in place of those before, that its schedules,
// retention or steps could not go by.
func (s *server) checkSettings(settings, before map[string]string) error {
	var wrong []hub.FieldError
	if zone := settings[hub.SettingTimeZone]; zone != "" {
		if _, err := cron.LoadZone(zone); err != nil {
			wrong = append(wrong, hub.FieldError{Path: "body.settings." + hub.SettingTimeZone, Message: hub.ErrorMessage(err)})
		}
	}
	switch settings[hub.SettingSchedules] {
	case "", "true", "false":
	default:
		wrong = append(wrong, hub.FieldError{Path: "body.settings." + hub.SettingSchedules, Message: "must be true or false"})
	}
	_, unread := s.Purger.Of(&hub.Project{Settings: settings})
	for _, w := range unread {
		wrong = append(wrong, hub.FieldError{Path: "body.settings." + w.Path, Message: w.Message})
	}
	wrong = append(wrong, unknownRetention(settings, before)...)
	wrong = append(wrong, wrongKeyPaths(settings, before)...)
	return hub.Invalid("The project's settings hold a value that its schedules, its retention or its steps cannot go by.", wrong)
}

// unknownRetention are settings that look like the retention's and are none: with a slip in
// its name a setting is kept, and nothing ever goes by it. What was there before stays.
func unknownRetention(settings, before map[string]string) (wrong []hub.FieldError) {
	known := []string{hub.SettingRetentionDays, hub.SettingRetentionFailedDays, hub.SettingRetentionExecutions, hub.SettingRetentionBytes}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if _, old := before[name]; !old && strings.HasPrefix(name, "retention.") && !slices.Contains(known, name) {
			wrong = append(wrong, hub.FieldError{Path: "body.settings." + name, Message: "is not known; there are " + strings.Join(known, ", ")})
		}
	}
	return wrong
}

// wrongKeyPaths tells which settings name what can be no key's path. One that was there
// before stays: an older hub took it, and it must not be in the way of who wants to stop
// the project's schedules.
func wrongKeyPaths(settings, before map[string]string) []hub.FieldError {
	var wrong []hub.FieldError
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		path := settings[name]
		if !strings.HasSuffix(name, keyPathSuffix) || path == before[name] {
			continue
		}
		if why := rundeck.NoKey(path); why != "" {
			wrong = append(wrong, hub.FieldError{Path: "body.settings." + name, Message: why})
		}
	}
	return wrong
}
