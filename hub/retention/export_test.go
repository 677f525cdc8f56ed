package retention

import "time"

// CountNow makes the next step begin a count.
func CountNow(p *Purger) { p.nextCount = time.Time{} }
