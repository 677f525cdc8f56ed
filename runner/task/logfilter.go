package task

import (
	runnerv1 "github.com/fairlead/fairlead/proto/runner/v1"
	"github.com/fairlead/fairlead/runner/logfilter"
)

// filterDefinitions are the filters of a step: the job's, then its own.
func filterDefinitions(spec *runnerv1.Spec, step *runnerv1.Step) []logfilter.Definition {
	var out []logfilter.Definition
	for _, list := range [][]*runnerv1.LogFilter{spec.GetLogFilters(), step.GetLogFilters()} {
		for _, f := range list {
			out = append(out, logfilter.Definition{Type: f.GetType(), Config: f.GetConfig()})
		}
	}
	return out
}

// compileFilters makes the filters of all steps. A step whose filters are wrong gets
// none: checkFilters refuses it before it prints anything.
func compileFilters(spec *runnerv1.Spec) []*logfilter.Chain {
	out := make([]*logfilter.Chain, len(spec.GetSteps()))
	for i, step := range spec.GetSteps() {
		if c, err := logfilter.New(filterDefinitions(spec, step), spec.GetLogLevel()); err == nil {
			out[i] = c
		}
	}
	return out
}

// checkFilters refuses a command whose output cannot be filtered as the job asks.
func checkFilters(cmd *Command) error {
	if len(cmd.Filters) == 0 {
		return nil
	}
	_, err := logfilter.New(cmd.Filters, cmd.LogLevel)
	return err
}
