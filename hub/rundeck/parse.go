package rundeck

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// ParseJobs reads a job file: a YAML list of jobs, or one job. A job with errors has no
// Job; the report repeats everything with paths from the file's root. Callers import
// nothing unless Report.Err is nil, or say which jobs they left out.
func ParseJobs(data []byte) ([]ParsedJob, *Report) {
	report := &Report{}
	root, err := readYAML(data)
	if err != nil {
		report.Errors = []hub.FieldError{{Message: err.Error()}}
		return nil, report
	}
	items, ok := jobItems(root)
	if !ok {
		report.Errors = []hub.FieldError{{Message: "the file must be a list of jobs, not " + root.shape.String()}}
		return nil, report
	}
	if len(items) == 0 {
		report.Errors = []hub.FieldError{{Message: "the file holds no jobs"}}
		return nil, report
	}
	report.Jobs = len(items)
	jobs := make([]ParsedJob, len(items))
	first := newSeen()
	more := 0
	for i, item := range items {
		p := &problems{}
		jobs[i] = parseJob(p, item, i)
		if jobs[i].Job != nil {
			first.check(p, &jobs[i])
		}
		more += report.add(&jobs[i], p, root.shape == list)
	}
	if more > 0 {
		report.Errors = append(report.Errors[:MaxProblems-1], hub.FieldError{Message: fmt.Sprintf("and %d more errors", more+1)})
	}
	return jobs, report
}

func jobItems(root *value) ([]*value, bool) {
	switch root.shape {
	case list:
		return root.items, true
	case object:
		return []*value{root}, true
	default:
		return nil, false
	}
}

// parseJob reads one job and writes its canonical source.
func parseJob(p *problems, item *value, index int) ParsedJob {
	parsed := ParsedJob{Index: index}
	job, ok := readJob(p, item)
	if !ok {
		return parsed
	}
	parsed.Name = job.FullName()
	if len(p.errors) > 0 {
		return parsed
	}
	source, err := FormatJobs([]*hub.Job{job})
	if err != nil {
		p.errorf("", "the job cannot be written back: %s", err.Error())
		return parsed
	}
	job.Source = string(source)
	parsed.Job = job
	return parsed
}

// add moves the problems of a job into it and into the report, and returns how many
// errors found no place there.
func (r *Report) add(job *ParsedJob, p *problems, inList bool) int {
	job.Errors, job.Warnings = p.errors, p.warnings
	if len(p.errors) > 0 {
		job.Job = nil
	}
	if p.more > 0 {
		job.Errors = append(job.Errors, hub.FieldError{Message: fmt.Sprintf("and %d more errors", p.more)})
	}
	prefix := ""
	if inList {
		prefix = fmt.Sprintf("[%d]", job.Index)
	}
	for _, w := range p.warnings {
		if len(r.Warnings) < MaxProblems {
			r.Warnings = append(r.Warnings, hub.FieldError{Path: rooted(prefix, w.Path), Message: w.Message})
		}
	}
	more := p.more
	for _, e := range p.errors {
		if len(r.Errors) >= MaxProblems {
			more++
			continue
		}
		r.Errors = append(r.Errors, hub.FieldError{Path: rooted(prefix, e.Path), Message: e.Message})
	}
	return more
}

func rooted(prefix, path string) string {
	if prefix == "" || path == "" {
		return prefix + path
	}
	return prefix + "." + path
}

// seen finds jobs that stand in a file twice: the second would overwrite the first.
type seen struct {
	uuids, names map[string]int
}

func newSeen() seen { return seen{uuids: map[string]int{}, names: map[string]int{}} }

func (s seen) check(p *problems, job *ParsedJob) {
	if uuid := job.Job.UUID; uuid != "" {
		if first, twice := s.uuids[uuid]; twice {
			p.errorf("uuid", "job %d of the file has the same uuid: give each its own", first+1)
		}
		s.uuids[uuid] = job.Index
	}
	if first, twice := s.names[job.Name]; twice {
		p.errorf("name", "job %d of the file has the same group and name: give each its own", first+1)
	}
	s.names[job.Name] = job.Index
}

// nodeFileError wraps why a node file cannot be read.
func nodeFileError(err error) error {
	var e *fileError
	if !errors.As(err, &e) {
		return fmt.Errorf("read the node file: %w", err)
	}
	message := e.Error()
	return hub.Errorf(hub.CodeInvalid, "The node file cannot be read: %s.", strings.TrimSuffix(message, "."))
}
