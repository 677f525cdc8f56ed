package hub

import "time"

// Job is a named, versioned definition.
type Job struct {
	ID             string
	OrganisationID string
	ProjectID      string
	// UUID is the identity that files carry from one installation to another.
	UUID        string
	Name        string
	Group       string // "ops/nightly", no slash at either end
	Description string
	// LogLevel is DEBUG, VERBOSE, INFO, WARN or ERROR.
	LogLevel string
	// Timeout as written: "120", "6h 30m", "${option.t}"; "" for none.
	Timeout  string
	Options  []Option
	Workflow Workflow
	Dispatch Dispatch
	// NodesNamed: of the nodes that the dispatch selects, the start named some. It is set
	// when an execution starts, and else false.
	NodesNamed bool `json:",omitempty"`
	Schedule   JobSchedule
	// Calendars name those of the project that its schedule goes by, sorted.
	Calendars []string
	// MultipleExecutions lets it run while it runs, MaxMultiple times at once; 0: any
	// number.
	MultipleExecutions bool
	MaxMultiple        int
	// ExecutionDisabled refuses every run, whoever asks.
	ExecutionDisabled bool
	// LostAfter is how many ticks without its runner make a running step unknown;
	// 0: the installation's default, LostNever: wait for ever.
	LostAfter int64
	// StopAfterHubLoss ends steps when no hub answered for so long; 0: finish.
	StopAfterHubLoss time.Duration
	// RunnerTags override the project's routes; empty: do not.
	RunnerTags []string
	// RunnerTimeout bounds the wait for a runner; 0: wait for ever.
	RunnerTimeout time.Duration
	// LogLimit bounds what its commands print.
	LogLimit LogLimit
	// Source is the definition as a canonical Rundeck YAML document.
	Source    string
	Revision  int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// LostNever as LostAfter of a job waits for its runner for ever.
const LostNever = -1

// FullName returns group/name.
func (j *Job) FullName() string {
	if j.Group == "" {
		return j.Name
	}
	return j.Group + "/" + j.Name
}

// AtOnce is how many executions of the job may run at once; 0: any number.
func (j *Job) AtOnce() int {
	if !j.MultipleExecutions {
		return 1
	}
	return j.MaxMultiple
}

// Option is an input of a job.
type Option struct {
	Name        string
	Label       string
	Description string
	// Default value; never of a secure option.
	Value    string
	Required bool
	// Values to choose from; Enforced refuses all others.
	Values   []string
	Enforced bool
	// Regex that a value must match whole (RE2).
	Regex string
	// Secure values are never stored, shown or logged; unless ValueExposed they serve
	// authentication alone and are not expanded in commands.
	Secure       bool
	ValueExposed bool
	// StoragePath is a key that a secure option takes its value from.
	StoragePath string
	Multivalued bool
	Delimiter   string
	Hidden      bool
}

// Strategy orders steps and nodes.
type Strategy string

// The strategies.
const (
	StrategyNodeFirst  Strategy = "node-first"
	StrategySequential Strategy = "sequential"
)

// Workflow is what a job does.
type Workflow struct {
	Strategy  Strategy
	Keepgoing bool // go on with the next step after a failure
	Steps     []Step
	// LogFilters of every step's output, before the step's own.
	LogFilters []LogFilter
}

// Step is one step of a workflow. Exactly one of Exec and Script is set.
type Step struct {
	Description string
	Exec        string
	Script      *Script
	// Timeout of one try on one node; 0: none but the job's.
	Timeout           time.Duration
	Idempotent        bool
	Probe             string
	ContinueOnUnknown bool
	Retries           int
	RetryDelay        time.Duration
	// Detached runs it under a supervisor on its node, where that is reached over SSH.
	Detached bool
	// ErrorHandler answers a failure of this step on its node; never an unknown.
	ErrorHandler       *Step
	KeepgoingOnSuccess bool // of a handler
	LogFilters         []LogFilter
}

// Script is an inline script.
type Script struct {
	Text string
	// Args as written, expanded and split on the runner.
	Args          string
	Interpreter   string
	ArgsQuoted    bool
	FileExtension string
}

// Dispatch says on which nodes, and how many at once. Without a Filter the job runs
// on the runner's own host.
type Dispatch struct {
	// Nodes is whether the job is sent to nodes at all.
	Nodes         bool
	Filter        string
	FilterExclude string
	// ExcludePrecedence: exclusion wins over inclusion (the default).
	ExcludePrecedence bool
	// Threadcount as written: a number or "${option.n}"; "" for 1.
	Threadcount    string
	Keepgoing      bool // go on with other nodes after a failure
	RankAttribute  string
	RankDescending bool
	SuccessOnEmpty bool
	// Editable lets a run give its own filter.
	Editable bool
}
