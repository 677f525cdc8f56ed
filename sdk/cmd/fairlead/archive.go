package main

import (
	"fmt"

	"github.com/fairlead/fairlead/sdk/rest"
)

// archiveFields tell where the logs of ended executions go and what waits.
func archiveFields(ar *rest.Archive) []field {
	if ar == nil {
		return nil
	}
	waits := "nothing"
	if ar.Waiting > 0 {
		waits = fmt.Sprintf("%d logs, %d bytes, since %s", ar.Waiting, ar.WaitingBytes, moment(ar.OldestAt))
	}
	return []field{{"Archive", ar.URL}, {"Waits for it", waits}}
}

// archiveLines tell what is wrong with the archive.
func archiveLines(ar *rest.Archive) []string {
	if ar == nil || ar.Failing == 0 {
		return nil
	}
	line := fmt.Sprintf("%d logs could not be archived, last at %s; they stay in the database and are tried again.", ar.Failing, moment(ar.LastErrorAt))
	if ar.LastError != nil {
		line += "\n" + *ar.LastError
	}
	return []string{line}
}
