// Package rundeck reads and writes Rundeck's file formats: jobs in YAML, which is the
// native format of jobs here, and nodes in YAML, JSON and XML.
//
// Nothing in a file is dropped in silence. A key that Rundeck knows and this hub does
// not act on yet is reported as "not supported yet" with its path, unless its value
// says what is the case anyway; a key that nobody knows is reported with the nearest
// known one; and all of a file's problems are told at once.
//
// Files are untrusted. They become plain values first, within fixed limits of size,
// depth and alias expansion, and never objects of a type that a file names.
package rundeck

import "github.com/fairlead/fairlead/hub"

// Limits of a file. The first keeps reading one under a few hundred MB of memory; a
// larger export is split.
const (
	// MaxFileBytes bounds a job or node file.
	MaxFileBytes = 8 << 20
	// MaxDepth bounds how deep lists and maps may lie in each other.
	MaxDepth = 64
	// MaxValues bounds the keys and values of a file, with aliases expanded.
	MaxValues = 1_000_000
	// MaxExpandedBytes bounds the text of a file, with aliases expanded.
	MaxExpandedBytes = 4 * MaxFileBytes
	// MaxProblems is how many problems of a file are listed.
	MaxProblems = 200
)

// Report is what is to be said about a file.
type Report struct {
	// Jobs is how many jobs the file holds, good or bad.
	Jobs int
	// Errors of the whole file, by path from its root ("[0].sequence.commands[2].exec");
	// at most MaxProblems, of which the last then tells how many more there are.
	Errors []hub.FieldError
	// Warnings tell what was taken without effect.
	Warnings []hub.FieldError
}

// Err returns the errors as one that may be shown, nil if there are none.
func (r *Report) Err() error {
	return hub.Invalid("The file cannot be imported as it is; nothing of it was.", r.Errors)
}

// ParsedJob is one job of a file.
type ParsedJob struct {
	// Index is its position in the file, from 0.
	Index int
	// Name is group/name as far as the file tells it, for messages.
	Name string
	// Job is nil if there are Errors. Its Source is set; ids, project and revision are
	// not.
	Job *hub.Job
	// Errors and Warnings have paths from the job ("sequence.commands[2].exec").
	Errors   []hub.FieldError
	Warnings []hub.FieldError
}
