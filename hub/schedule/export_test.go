package schedule

import "time"

// Lead is the work of one term, for tests of a leader that does not know its end.
var Lead = (*Scheduler).lead

// Settle is how long a clock may take that is behind at the beginning of a term.
func Settle(s *Scheduler, d time.Duration) { s.settle = d }
