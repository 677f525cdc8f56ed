package hub

import "slices"

// LogFilter is something that the output of a job's steps goes through at the runner,
// before it is stored, with its settings under Rundeck's names.
type LogFilter struct {
	Type   string
	Config map[string]string `json:",omitempty"`
}

// The types of log filters, as Rundeck names them.
const (
	FilterKeyValue      = "key-value-data"
	FilterKeyValueLines = "key-value-data-multilines"
	FilterMaskPasswords = "mask-passwords"
	FilterMaskRegex     = "mask-log-output-regex"
	FilterQuiet         = "quiet-output"
	FilterHighlight     = "highlight-output"
	FilterDatatype      = "render-datatype"
)

// LogFilterTypes lists all types.
func LogFilterTypes() []string {
	return []string{FilterKeyValue, FilterKeyValueLines, FilterMaskPasswords, FilterMaskRegex, FilterQuiet, FilterHighlight, FilterDatatype}
}

// Captures reports whether the filter captures values for later steps.
func (f LogFilter) Captures() bool { return f.Type == FilterKeyValue || f.Type == FilterKeyValueLines }

// Captures reports whether any step may capture values for later ones.
func (w *Workflow) Captures() bool { return w.hasFilter(LogFilter.Captures) }

// Filtered reports whether the output of any step goes through a filter.
func (w *Workflow) Filtered() bool {
	return w.hasFilter(func(LogFilter) bool { return true })
}

func (w *Workflow) hasFilter(is func(LogFilter) bool) bool {
	if slices.ContainsFunc(w.LogFilters, is) {
		return true
	}
	return slices.ContainsFunc(w.Steps, func(step Step) bool {
		return slices.ContainsFunc(step.LogFilters, is) ||
			step.ErrorHandler != nil && slices.ContainsFunc(step.ErrorHandler.LogFilters, is)
	})
}
