package schedule

// Lead is the work of one term, for tests of a leader that does not know its end.
var Lead = (*Scheduler).lead
