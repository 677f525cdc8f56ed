package hub

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
func (w *Workflow) Captures() bool {
	captures := func(filters []LogFilter) bool {
		for _, f := range filters {
			if f.Captures() {
				return true
			}
		}
		return false
	}
	if captures(w.LogFilters) {
		return true
	}
	for i := range w.Steps {
		step := &w.Steps[i]
		if captures(step.LogFilters) || step.ErrorHandler != nil && captures(step.ErrorHandler.LogFilters) {
			return true
		}
	}
	return false
}
