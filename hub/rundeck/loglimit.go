package rundeck

import (
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// maxStatus bounds the author's own word for how a halted execution ended.
const maxStatus = 100

// readLogLimit reads loglimit and what is to happen at it. Rundeck writes the other two
// keys also into jobs that have no limit.
func readLogLimit(f fields) hub.LogLimit {
	truncate := f.oneOf("loglimitAction", "halt", "truncate") == "truncate"
	status := f.line("loglimitStatus")
	if len(status) > maxStatus {
		f.wrong("loglimitStatus", "has more than %d bytes", maxStatus)
	}
	text := f.line("loglimit")
	if text == "" {
		return hub.LogLimit{}
	}
	l, err := hub.ParseLogLimit(text)
	if err != nil {
		f.wrong("loglimit", "%s", hub.ErrorMessage(err))
		return hub.LogLimit{}
	}
	l.Truncate = truncate
	if truncate {
		return l // it ends nothing, so there is no status
	}
	l.Status = hub.LogLimitFailed
	for _, known := range []string{hub.LogLimitFailed, hub.LogLimitAborted} {
		if strings.EqualFold(status, known) {
			l.Status, status = known, ""
		}
	}
	if status != "" {
		l.Status = status
		f.warnf("loglimitStatus", "%q is shown with the reason of the steps that the limit ends; the execution's own status is then failed", brief(status))
	}
	return l
}

// logLimit adds a limit with what happens at it.
func (t table) logLimit(l *hub.LogLimit) {
	if l.Text == "" {
		return
	}
	t["loglimit"] = textNode(l.Text)
	if l.Truncate {
		t.text("loglimitAction", "truncate")
		return
	}
	t.text("loglimitAction", "halt")
	t.text("loglimitStatus", l.Status)
}
