package hub

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// LogLimit bounds what the commands of a job print. The zero value bounds nothing.
type LogLimit struct {
	// Text is the limit as written: "100", "100/node", "10MB", "10KB/node".
	Text string
	// Lines or Bytes is the bound, the other 0.
	Lines int64
	Bytes int64
	// PerNode: of each node by itself, not of all together.
	PerNode bool
	// Truncate drops what is more; without, the execution is halted.
	Truncate bool
	// Status of a halted execution as written: LogLimitFailed, LogLimitAborted, or a word
	// of the author's own.
	Status string
	// Quota is how many bytes the organisation lets one execution print, whatever its job
	// says; more halts it, 0 is no limit. It is set when an execution starts.
	Quota int64
}

// Printed is what commands printed to stdout and stderr under a log limit, line breaks among
// the bytes.
type Printed struct{ Lines, Bytes int64 }

// Plus adds.
func (p Printed) Plus(o Printed) Printed { return Printed{p.Lines + o.Lines, p.Bytes + o.Bytes} }

// Statuses of an execution that its log limit halted. Any other text ends it as failed,
// and is shown with the reason.
const (
	LogLimitFailed  = "failed"
	LogLimitAborted = "aborted"
)

// logLimitForm is Rundeck's: a number is lines, one with a unit bytes.
var logLimitForm = regexp.MustCompile(`^(?i)([0-9]+)\s*([gmk]?b|[gmk])?(/node)?$`)

// ParseLogLimit reads a limit: "100" lines, "10MB", each also "/node". A unit is 1,024 of
// the one before. The error says which forms there are.
func ParseLogLimit(text string) (LogLimit, error) {
	parts := logLimitForm.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return LogLimit{}, Errorf(CodeInvalid, `must be lines ("100"), a size ("10MB"; B, KB, MB, GB), or either for each node ("100/node"), not %q`, shorten(text))
	}
	l := LogLimit{Text: strings.TrimSpace(text), PerNode: parts[3] != ""}
	scale := int64(1)
	if unit := strings.ToLower(parts[2]); unit != "" {
		scale = map[byte]int64{'b': 1, 'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}[unit[0]]
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64/scale {
		return LogLimit{}, Errorf(CodeInvalid, "must be at least 1 and fit a log, not %q: leave it out for no limit", shorten(text))
	}
	if parts[2] == "" {
		l.Lines = n
	} else {
		l.Bytes = n * scale
	}
	return l, nil
}

// String tells the limit to people, "" for none.
func (l LogLimit) String() string {
	each := ""
	if l.PerNode {
		each = " for each node"
	}
	switch {
	case l.Lines == 1:
		return "1 line" + each
	case l.Lines > 0:
		return fmt.Sprintf("%d lines%s", l.Lines, each)
	case l.Bytes > 0:
		return fmt.Sprintf("%d bytes%s", l.Bytes, each)
	default:
		return ""
	}
}
