package cron

import (
	"strings"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// LoadZone returns the time zone of a name of the IANA database, "Europe/Berlin" or
// "UTC". "", "Local" and names that only some machines have are errors: a schedule
// must mean the same time on every member.
func LoadZone(name string) (*time.Location, error) {
	unknown := hub.Errorf(hub.CodeInvalid, "There is no time zone %q: give a name of the IANA database, such as Europe/Berlin, America/New_York or UTC.", brief(name))
	switch {
	case name == "":
		return nil, hub.Errorf(hub.CodeInvalid, "The time zone is empty: give a name of the IANA database, such as Europe/Berlin, America/New_York or UTC.")
	case strings.EqualFold(name, "local") || strings.EqualFold(name, "localtime"):
		return nil, hub.Errorf(hub.CodeInvalid, "The time zone %q is that of whichever machine looks: give a name of the IANA database, such as Europe/Berlin, America/New_York or UTC.", name)
	case len(name) > maxZoneName || strings.Trim(name, zoneLetters) != "":
		return nil, unknown
	case strings.HasPrefix(name, "posix") || strings.HasPrefix(name, "right/"):
		// Copies that some systems install: posixrules is the machine's default, and
		// right/ counts leap seconds, which shifts every time by them.
		return nil, unknown
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		unknown.Cause = err
		return nil, unknown
	}
	return loc, nil
}

const (
	maxZoneName = 64
	zoneLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/"
)
