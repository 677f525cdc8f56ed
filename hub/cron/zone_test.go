package cron_test

import (
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cron"
)

func TestLoadZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT", "America/Port-au-Prince"} {
		if loc := zone(t, name); loc.String() != name {
			t.Errorf("%s is %s", name, loc)
		}
	}
}

// TestLoadZoneRefuses: what means another time on another machine is no time zone.
func TestLoadZoneRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, want string }{
		{"", "time zone is empty"},
		{"Local", "whichever machine"},
		{"local", "whichever machine"},
		{"localtime", "whichever machine"},
		{"posixrules", `no time zone "posixrules"`},
		{"posix/Europe/Berlin", "no time zone"},
		{"right/Europe/Berlin", "no time zone"},
		{"Europe", "no time zone"},
		{"Europe/", "no time zone"},
		{"Europe/Berln", `no time zone "Europe/Berln": give a name of the IANA database`},
		{"PST", "such as Europe/Berlin"},
		{"GMT+2", "no time zone"},
		{"+02:00", "no time zone"},
		{"../Europe/Berlin", "no time zone"},
		{"/etc/localtime", "no time zone"},
		{"/usr/share/zoneinfo/Europe/Berlin", "no time zone"},
		{"zone1970.tab", "no time zone"},
		{"Europe/Berlin\x00", "no time zone"},
		{"Europe/ Berlin", "no time zone"},
		{strings.Repeat("x", 70000), "no time zone"},
	}
	for _, test := range tests {
		_, err := cron.LoadZone(test.name)
		if message := hub.ErrorMessage(err); hub.ErrorCode(err) != hub.CodeInvalid || !strings.Contains(message, test.want) || len(message) > 400 {
			t.Errorf("%.40q: %v", test.name, err)
		}
	}
}
