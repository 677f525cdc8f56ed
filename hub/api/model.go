package api

// The API's own types. Lists are {"items", "next"}; next is absent on the last page.

// Me is who the caller is, and what a client needs to know first.
type Me struct {
	ID    string `json:"id" doc:"Id of the user"`
	Name  string `json:"name"`
	Admin bool   `json:"admin"`
	// Method is session or token.
	Method    string `json:"method" enum:"session,token" doc:"What proved it"`
	PublicURL string `json:"publicUrl,omitempty" doc:"Address that people and runners are shown, when one is configured"`
	Version   string `json:"version" doc:"Version of the hub"`
	Member    string `json:"member" doc:"Name of the member that answered"`
	Time      Time   `json:"time" doc:"The hub's clock, for elapsed times"`
}

// SignIn opens a session by user and password, or by a one-time link.
type SignIn struct {
	User     string `json:"user,omitempty" maxLength:"200"`
	Password string `json:"password,omitempty" maxLength:"1000"`
	Link     string `json:"link,omitempty" maxLength:"200" doc:"Secret of a one-time sign-in link"`
}

// Token is an API token without its secret.
type Token struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	CreatedAt  Time   `json:"createdAt"`
	ExpiresAt  *Time  `json:"expiresAt,omitempty"`
	LastUsedAt *Time  `json:"lastUsedAt,omitempty"`
}

// TokenList is a list of tokens.
type TokenList struct {
	Items []Token `json:"items"`
	Next  string  `json:"next,omitempty"`
}

// NewToken asks for an API token.
type NewToken struct {
	Name  string `json:"name" minLength:"1" maxLength:"200"`
	TTLMs int64  `json:"ttlMs,omitempty" minimum:"60000" maximum:"31622400000" doc:"Life in milliseconds; 90 days when absent"`
}

// CreatedToken is an API token with its secret, shown this once.
type CreatedToken struct {
	Token
	Secret string `json:"secret" doc:"What goes into the Authorization header; never shown again"`
}

// Enrolment is what a runner needs before it has a certificate; public.
type Enrolment struct {
	ClusterID string   `json:"clusterId"`
	CAPem     string   `json:"caPem" doc:"CA certificates, PEM; compare with the pin of the token"`
	Gateways  []string `json:"gateways" doc:"host:port of every gateway"`
}

// Project is a set of jobs, nodes and keys.
type Project struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Settings    map[string]string `json:"settings" doc:"Defaults that nodes override, under Rundeck's attribute names"`
	Routes      []Route           `json:"routes" doc:"Which runners serve which nodes; the first match decides"`
	Retention   Retention         `json:"retention" doc:"How long its ended executions stay, by its settings and the hub's"`
	Revision    int64             `json:"revision"`
	CreatedAt   Time              `json:"createdAt"`
	UpdatedAt   Time              `json:"updatedAt"`
}

// Route sends nodes that match a filter to runners that bear all tags.
type Route struct {
	Filter string   `json:"filter" maxLength:"10000" doc:"A node filter; empty matches all"`
	Tags   []string `json:"tags" maxItems:"100"`
}

// ProjectList is a list of projects.
type ProjectList struct {
	Items []Project `json:"items"`
	Next  string    `json:"next,omitempty"`
}

// NewProject asks for a project.
type NewProject struct {
	Name        string            `json:"name" minLength:"1" maxLength:"100" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" patternDescription:"letters, digits, dot, underscore and dash"`
	Description string            `json:"description,omitempty" maxLength:"10000"`
	Settings    map[string]string `json:"settings,omitempty"`
	Routes      []Route           `json:"routes,omitempty" maxItems:"1000"`
}

// ProjectChange changes what is present in it.
type ProjectChange struct {
	Description *string            `json:"description,omitempty" maxLength:"10000"`
	Settings    *map[string]string `json:"settings,omitempty" doc:"All settings, not only changed ones"`
	Routes      *[]Route           `json:"routes,omitempty" maxItems:"1000" doc:"All routes, not only changed ones"`
}

// Node is a machine that steps run on.
type Node struct {
	Name        string            `json:"name"`
	Hostname    string            `json:"hostname"`
	Username    string            `json:"username"`
	Description string            `json:"description"`
	Tags        []string          `json:"tags"`
	Attributes  map[string]string `json:"attributes"`
}

// NodeList is a page of nodes.
type NodeList struct {
	Items []Node `json:"items"`
	Next  string `json:"next,omitempty"`
	Total int    `json:"total" doc:"How many match in all"`
	// Revision of the inventory.
	Revision int64 `json:"revision" doc:"Rises with each import of nodes"`
}

// NodeImport tells what an import of nodes did.
type NodeImport struct {
	Nodes   int `json:"nodes" doc:"How many the project has now"`
	Added   int `json:"added"`
	Removed int `json:"removed"`
	// Revision of the inventory.
	Revision int64 `json:"revision" doc:"Of the inventory now"`
	// Warnings name attributes that people may count on in vain.
	Warnings []FieldProblem `json:"warnings" doc:"What was taken without effect"`
}

// HostKey is an SSH host key that a runner saw.
type HostKey struct {
	Key         string `json:"key" doc:"In the form of authorized_keys"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint" doc:"SHA256:..., as ssh-keygen -l shows it"`
	State       string `json:"state" enum:"accepted,conflict" doc:"A node with a key in conflict is refused until a person accepts one"`
	RunnerID    string `json:"runnerId,omitempty" doc:"Who saw it first"`
	SeenAt      Time   `json:"seenAt"`
}

// AcceptHostKey chooses the one host key of a node.
type AcceptHostKey struct {
	Key string `json:"key" minLength:"1" maxLength:"20000" doc:"As listed"`
}

// HostKeyList is the host keys of a node.
type HostKeyList struct {
	Items []HostKey `json:"items"`
	Next  string    `json:"next,omitempty"`
}

// JobSummary is a job in a list.
type JobSummary struct {
	ID          string `json:"id"`
	UUID        string `json:"uuid" doc:"The identity that job files carry"`
	Project     string `json:"project"`
	Name        string `json:"name"`
	Group       string `json:"group" doc:"e.g. ops/nightly; empty for none"`
	Description string `json:"description"`
	Revision    int64  `json:"revision"`
	UpdatedAt   Time   `json:"updatedAt"`
}

// JobList is a page of jobs.
type JobList struct {
	Items []JobSummary `json:"items"`
	Next  string       `json:"next,omitempty"`
}

// Job is a definition.
type Job struct {
	JobSummary
	LogLevel        string       `json:"logLevel"`
	Timeout         string       `json:"timeout,omitempty" doc:"As written: 120, 6h 30m, ${option.t}"`
	Options         []JobOption  `json:"options"`
	Strategy        string       `json:"strategy" enum:"node-first,sequential"`
	Keepgoing       bool         `json:"keepgoing" doc:"Go on with the next step after a failure"`
	Steps           []JobStep    `json:"steps"`
	Dispatch        JobDispatch  `json:"dispatch"`
	RunnerTags      []string     `json:"runnerTags"`
	RunnerTimeoutMs int64        `json:"runnerTimeoutMs,omitempty"`
	Schedule        *JobSchedule `json:"schedule,omitempty"`
	Calendars       []string     `json:"calendars" doc:"Names of the calendars that its schedule goes by"`
	Disabled        bool         `json:"disabled" doc:"Every run is refused (executionEnabled: false)"`
	AtOnce          int          `json:"atOnce" doc:"How many of its executions may run at once, more wait for their turn; 0: any number"`
	CreatedAt       Time         `json:"createdAt"`
	Source          string       `json:"source" doc:"The definition as a Rundeck YAML document"`
}

// JobSchedule is when a job runs by itself.
type JobSchedule struct {
	Expression string `json:"expression" doc:"Quartz of 6 or 7 fields, or cron of 5"`
	TimeZone   string `json:"timeZone,omitempty" doc:"IANA name; the project's, else UTC, without"`
	Missed     string `json:"missed" enum:"skip,once,all" doc:"What becomes of fires that no member was there for"`
	Enabled    bool   `json:"enabled"`
}

// Schedule is where a job with a schedule stands.
type Schedule struct {
	JobID      string   `json:"jobId"`
	Project    string   `json:"project"`
	Name       string   `json:"name"`
	Group      string   `json:"group"`
	Expression string   `json:"expression"`
	TimeZone   string   `json:"timeZone" doc:"The zone that it is read in: the job's, the project's or UTC"`
	Missed     string   `json:"missed" enum:"skip,once,all"`
	NextFireAt *Time    `json:"nextFireAt,omitempty"`
	LastFireAt *Time    `json:"lastFireAt,omitempty"`
	Paused     bool     `json:"paused" doc:"By a person"`
	Calendars  []string `json:"calendars" doc:"Names of the calendars that it goes by"`
	WhyNot     string   `json:"whyNot,omitempty" doc:"Why it does not fire; empty when it does"`
}

// ScheduleList is a page of schedules.
type ScheduleList struct {
	Items []Schedule `json:"items"`
	Next  string     `json:"next,omitempty"`
}

// Calendar names days on which jobs must not, or may only, run by their schedules.
type Calendar struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Mode        string   `json:"mode" enum:"exclude,only" doc:"exclude: not on the days; only: on no other"`
	Days        []string `json:"days" doc:"2026-12-24, 12-25, SAT, or a range: 12-24..01-01"`
	Jobs        []string `json:"jobs" doc:"group/name of the jobs that go by it"`
	Revision    int64    `json:"revision"`
	CreatedAt   Time     `json:"createdAt"`
	UpdatedAt   Time     `json:"updatedAt"`
}

// CalendarList is a page of calendars.
type CalendarList struct {
	Items []Calendar `json:"items"`
	Next  string     `json:"next,omitempty"`
}

// SetCalendar is what a calendar is to be.
type SetCalendar struct {
	Description string   `json:"description,omitempty" maxLength:"10000"`
	Mode        string   `json:"mode" enum:"exclude,only" doc:"exclude: not on the days; only: on no other"`
	Days        []string `json:"days" doc:"2026-12-24, 12-25, SAT, or a range: 12-24..01-01"`
}

// TakenOut is a time at which a calendar keeps a job from running.
type TakenOut struct {
	At       Time   `json:"at"`
	Calendar string `json:"calendar" doc:"Name of the calendar"`
}

// Fires are the coming and the past fires of a job.
type Fires struct {
	TimeZone string     `json:"timeZone"`
	WhyNot   string     `json:"whyNot,omitempty" doc:"Why nothing comes"`
	Coming   []Time     `json:"coming" doc:"The earliest first"`
	TakenOut []TakenOut `json:"takenOut" doc:"What calendars take out between now and the last that comes; at most 100"`
	Past     []Fire     `json:"past" doc:"The newest first"`
}

// Fire is one time at which a job was due.
type Fire struct {
	At          Time   `json:"at"`
	Status      string `json:"status" enum:"started,missed,failed"`
	ExecutionID string `json:"executionId,omitempty"`
	Reason      string `json:"reason,omitempty" doc:"Why it was missed or failed"`
	RecordedAt  Time   `json:"recordedAt"`
}

// JobFire is a fire with the job that was due.
type JobFire struct {
	Fire
	JobID string `json:"jobId"`
	Name  string `json:"name"`
	Group string `json:"group"`
}

// JobFireList is the last fires of a project that started nothing, the newest first.
type JobFireList struct {
	Items []JobFire `json:"items"`
}

// JobOption is an input of a job.
type JobOption struct {
	Name         string   `json:"name"`
	Label        string   `json:"label,omitempty"`
	Description  string   `json:"description,omitempty"`
	Value        string   `json:"value,omitempty" doc:"Default; never of a secure option"`
	Required     bool     `json:"required"`
	Values       []string `json:"values,omitempty" doc:"To choose from"`
	Enforced     bool     `json:"enforced" doc:"Only values of the list"`
	Regex        string   `json:"regex,omitempty"`
	Secure       bool     `json:"secure"`
	ValueExposed bool     `json:"valueExposed"`
	StoragePath  string   `json:"storagePath,omitempty" doc:"Key that a secure option takes its value from"`
	Multivalued  bool     `json:"multivalued"`
	Delimiter    string   `json:"delimiter,omitempty"`
	Hidden       bool     `json:"hidden"`
}

// JobStep is one step of a workflow.
type JobStep struct {
	Position          int      `json:"position" doc:"From 1"`
	Kind              string   `json:"kind" enum:"exec,script"`
	Label             string   `json:"label" doc:"The description, else the command's or script's first line"`
	Description       string   `json:"description,omitempty"`
	Exec              string   `json:"exec,omitempty"`
	Script            string   `json:"script,omitempty"`
	Args              string   `json:"args,omitempty"`
	Interpreter       string   `json:"interpreter,omitempty"`
	TimeoutMs         int64    `json:"timeoutMs,omitempty"`
	Idempotent        bool     `json:"idempotent"`
	Detached          bool     `json:"detached" doc:"Runs under a supervisor on the node, where that is reached over SSH"`
	Probe             string   `json:"probe,omitempty"`
	ContinueOnUnknown bool     `json:"continueOnUnknown"`
	Retries           int      `json:"retries"`
	RetryDelayMs      int64    `json:"retryDelayMs,omitempty"`
	ErrorHandler      *JobStep `json:"errorHandler,omitempty"`
}

// JobDispatch says on which nodes a job runs.
type JobDispatch struct {
	Nodes             bool   `json:"nodes" doc:"Whether it is sent to nodes; else it runs on the runner's own host"`
	Filter            string `json:"filter,omitempty"`
	FilterExclude     string `json:"filterExclude,omitempty"`
	ExcludePrecedence bool   `json:"excludePrecedence"`
	Threadcount       string `json:"threadcount,omitempty" doc:"As written: a number or an option"`
	Keepgoing         bool   `json:"keepgoing"`
	RankAttribute     string `json:"rankAttribute,omitempty"`
	RankDescending    bool   `json:"rankDescending"`
	SuccessOnEmpty    bool   `json:"successOnEmpty"`
	Editable          bool   `json:"editable" doc:"A run may give its own filter"`
}

// JobImport tells what an import did, job by job, in the order of the file.
type JobImport struct {
	Items []ImportedJob `json:"items"`
	// DryRun: nothing was changed.
	DryRun   bool           `json:"dryRun"`
	Warnings []FieldProblem `json:"warnings" doc:"What was taken without effect"`
}

// ImportedJob is one job of an import.
type ImportedJob struct {
	ID     string `json:"id,omitempty" doc:"Absent in a dry run of a new job"`
	UUID   string `json:"uuid,omitempty"`
	Name   string `json:"name"`
	Group  string `json:"group"`
	Result string `json:"result" enum:"created,updated,unchanged"`
	// Revision is the job's now, Replaced the one that an update took the place of.
	Revision int64 `json:"revision" doc:"Of the job after the import"`
	Replaced int64 `json:"replaced,omitempty" doc:"Revision that an update took the place of; it is kept"`
}

// RunJob asks for an execution of a job.
type RunJob struct {
	Options     map[string]string `json:"options,omitempty" doc:"Values by option name; several values joined by the option's delimiter"`
	NodeFilter  string            `json:"nodeFilter,omitempty" maxLength:"10000" doc:"In place of the job's, where the job allows it"`
	Nodes       []string          `json:"nodes,omitempty" maxItems:"10000" doc:"Of the nodes that the filter gives, these alone: to run again where it failed"`
	Threadcount int               `json:"threadcount,omitempty" minimum:"1" maximum:"10000" doc:"In place of the job's"`
	Keepgoing   *bool             `json:"keepgoing,omitempty" doc:"In place of the job's, for nodes"`
	RunAt       *Time             `json:"runAt,omitempty" doc:"When it is to start, with an offset, within a year; nodes are found then. Now when absent"`
}

// RunCommand asks for an execution of a command or a script.
type RunCommand struct {
	Command     string   `json:"command,omitempty" maxLength:"100000" doc:"A command line; exactly one of command and script"`
	Script      string   `json:"script,omitempty" maxLength:"500000"`
	Args        string   `json:"args,omitempty" maxLength:"10000" doc:"Arguments of the script"`
	Interpreter string   `json:"interpreter,omitempty" maxLength:"1000"`
	NodeFilter  string   `json:"nodeFilter,omitempty" maxLength:"10000" doc:"Which nodes; absent: the runner's own host"`
	Nodes       []string `json:"nodes,omitempty" maxItems:"10000" doc:"Of the nodes that the filter gives, these alone"`
	Threadcount int      `json:"threadcount,omitempty" minimum:"1" maximum:"10000" doc:"Nodes at once; 1 when absent"`
	Keepgoing   bool     `json:"keepgoing,omitempty" doc:"Go on with other nodes after a failure"`
	TimeoutMs   int64    `json:"timeoutMs,omitempty" minimum:"1000" maximum:"31622400000"`
	RunAt       *Time    `json:"runAt,omitempty" doc:"When it is to start, with an offset, within a year; nodes are found then. Now when absent"`
}

// Execution is one run of a job or of an ad-hoc command.
type Execution struct {
	ID      string `json:"id"`
	Number  int64  `json:"number" doc:"Unique in the installation, never used again"`
	Project string `json:"project"`
	Name    string `json:"name" doc:"group/name of the job, or the command's first words"`
	// Job is absent for ad-hoc commands.
	Job    *ExecutionJob `json:"job,omitempty"`
	Status Status        `json:"status"`
	// Outcome is told while the log still settles.
	Outcome     Status      `json:"outcome,omitempty" doc:"Known before status is final, while the log settles"`
	LogComplete bool        `json:"logComplete" doc:"Whether every line is stored"`
	WaitingFor  *WaitingFor `json:"waitingFor,omitempty"`
	CreatedAt   Time        `json:"createdAt"`
	RunAt       *Time       `json:"runAt,omitempty" doc:"When it was asked to start, if not at once"`
	Reason      string      `json:"reason,omitempty" doc:"Why it ended before anything of it started"`
	StartedAt   *Time       `json:"startedAt,omitempty"`
	EndedAt     *Time       `json:"endedAt,omitempty"`
	// Nodes counts by state; states with none are absent.
	Nodes           map[string]int    `json:"nodes" doc:"How many nodes are in which state"`
	URL             string            `json:"url" doc:"Page of this execution"`
	StartedBy       string            `json:"startedBy"`
	CancelledBy     string            `json:"cancelledBy,omitempty"`
	NodeFilter      string            `json:"nodeFilter,omitempty" doc:"Only of a single execution, as is what follows up to steps"`
	NodesNamed      bool              `json:"nodesNamed,omitempty" doc:"Of the nodes that the filter selects, the start named these; to run it again, name them too"`
	Threadcount     int               `json:"threadcount,omitempty"`
	Strategy        string            `json:"strategy,omitempty" enum:"node-first,sequential"`
	Keepgoing       bool              `json:"keepgoing"`
	TimeoutMs       int64             `json:"timeoutMs,omitempty"`
	Options         map[string]string `json:"options,omitempty" doc:"Plain values; only of a single execution"`
	SecureOptions   []string          `json:"secureOptions,omitempty" doc:"Names of secure options that had a value"`
	Steps           []ExecutionStep   `json:"steps,omitempty" doc:"Columns of the matrix; only of a single execution"`
	CancelRequested bool              `json:"cancelRequested"`
	Kept            bool              `json:"kept" doc:"Retention leaves it"`
	Recovered       bool              `json:"recovered,omitempty" doc:"The database had lost it; it is shown as runners had it on their disks"`
	Command         *RunCommand       `json:"command,omitempty" doc:"What an ad-hoc command was, to run it again; only of a single execution"`
}

// ExecutionJob is the job of an execution as it was.
type ExecutionJob struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Group    string `json:"group"`
	Revision int64  `json:"revision"`
}

// ExecutionStep is a column of the matrix.
type ExecutionStep struct {
	Position int    `json:"position" doc:"From 0, as in cells and log lines"`
	Kind     string `json:"kind" enum:"exec,script"`
	Label    string `json:"label"`
	// HandlerOf is the step that this one answers failures of.
	HandlerOf *int `json:"handlerOf,omitempty" doc:"Position of the step that this one is the error handler of"`
}

// WaitingFor says why nothing of an execution moves.
type WaitingFor struct {
	Kind    string `json:"kind" enum:"runner,queue,approval,schedule,recovery"`
	Since   Time   `json:"since"`
	Message string `json:"message"`
}

// ExecutionList is a page of executions, newest first.
type ExecutionList struct {
	Items []Execution `json:"items"`
	Next  string      `json:"next,omitempty"`
}

// CancelExecution asks to end an execution or single nodes of it.
type CancelExecution struct {
	Nodes []string `json:"nodes,omitempty" maxItems:"10000" doc:"Names of nodes; absent: the whole execution"`
}

// ExecutionNode is a row of the matrix.
type ExecutionNode struct {
	Node     string   `json:"node"`
	Position int      `json:"position" doc:"In rank order, from 0"`
	Status   Status   `json:"status" doc:"Folded over its steps"`
	RunnerID string   `json:"runnerId,omitempty" doc:"The runner that has it"`
	Steps    []StepOn `json:"steps" doc:"Its cells; what has none is queued"`

	attemptID string // the newest that has it
}

// StepOn is one step on one node, its newest try.
type StepOn struct {
	Step       int               `json:"step" doc:"Position of the column, from 0"`
	Try        int               `json:"try"`
	Status     Status            `json:"status"`
	Code       *int              `json:"code,omitempty" doc:"Exit status, if it exited"`
	Signal     string            `json:"signal,omitempty"`
	Reason     string            `json:"reason,omitempty" doc:"Short word for an end that is not plain"`
	Message    string            `json:"message,omitempty" doc:"What happened, for people"`
	EndProven  bool              `json:"endProven" doc:"Whether nothing of it can still run"`
	NotStarted bool              `json:"notStarted"`
	Data       map[string]string `json:"data,omitempty"`
	LateStatus Status            `json:"lateStatus,omitempty" doc:"An end that came too late to count"`
	StartedAt  *Time             `json:"startedAt,omitempty"`
	EndedAt    *Time             `json:"endedAt,omitempty"`
}

// ExecutionNodeList is a page of matrix rows.
type ExecutionNodeList struct {
	Items []ExecutionNode `json:"items"`
	Next  string          `json:"next,omitempty"`
	Total int             `json:"total"`
}

// LogLine is one line of output, or a piece of a long one.
type LogLine struct {
	Cursor string `json:"cursor" doc:"Position after this line: give it as cursor to go on behind it"`
	Node   string `json:"node"`
	Step   int    `json:"step" doc:"Position of the step, from 0"`
	Try    int    `json:"try"`
	Stream string `json:"stream" enum:"stdout,stderr,system"`
	Time   Time   `json:"time" doc:"By the runner's clock"`
	Line   int64  `json:"line" doc:"Number of the line within its attempt, from 0"`
	Text   string `json:"text" doc:"Without its newline; invalid UTF-8 replaced"`
	Data   []byte `json:"data,omitempty" doc:"The bytes themselves, when they are not valid UTF-8"`
	// Partial: no newline follows.
	Partial   bool `json:"partial,omitempty" doc:"No newline follows: the line goes on in the next piece of this cell and stream, or ended without one"`
	Masked    bool `json:"masked,omitempty" doc:"A secret was replaced"`
	Truncated bool `json:"truncated,omitempty" doc:"A limit dropped bytes"`
}

// LogEnd closes a followed log, or tells where a page ended.
type LogEnd struct {
	Cursor      string `json:"cursor" doc:"Where to go on"`
	Status      Status `json:"status"`
	Outcome     Status `json:"outcome,omitempty"`
	LogComplete bool   `json:"logComplete"`
	// More: the page was full, lines follow.
	More bool `json:"more" doc:"Whether stored lines follow after cursor"`
}

// LogSearch is one page of what was found in a log.
type LogSearch struct {
	Items []LogMatch `json:"items"`
	Next  string     `json:"next,omitempty" doc:"Give it as cursor for what follows; absent when all that is stored was looked through"`
	// A page ends when it is full, or after some time with whatever was found.
	Reached int64 `json:"reached" doc:"How many lines of the log were looked through so far, on this page and those before"`
	Lines   int64 `json:"lines" doc:"How many lines of the log are stored"`
}

// LogMatch is a line in which something was found.
type LogMatch struct {
	Attempt string    `json:"attempt" doc:"Id of the attempt that the line is of"`
	Before  string    `json:"before" doc:"Position in front of the line"`
	Cursor  string    `json:"cursor" doc:"Position after the line"`
	Node    string    `json:"node"`
	Step    int       `json:"step"`
	Try     int       `json:"try"`
	Stream  string    `json:"stream" enum:"stdout,stderr,system"`
	Time    Time      `json:"time" doc:"By the runner's clock"`
	Line    int64     `json:"line" doc:"Number of the line within its attempt, from 0"`
	Parts   []LogPart `json:"parts" doc:"The text of the line without colours and other terminal sequences, of a long one what stands around the first match"`
	Cut     bool      `json:"cut,omitempty" doc:"The line is longer than its parts"`
	Ahead   []LogLine `json:"ahead,omitempty" doc:"Lines in front of it, without terminal sequences"`
	Behind  []LogLine `json:"behind,omitempty" doc:"Lines behind it, without terminal sequences"`
}

// LogPart is a piece of a line.
type LogPart struct {
	Text  string `json:"text"`
	Match bool   `json:"match,omitempty"`
}

// LogFailure is the node step that failed before all others, and where its output is.
type LogFailure struct {
	Attempt string    `json:"attempt" doc:"Id of the attempt that it is of"`
	Node    string    `json:"node"`
	Step    int       `json:"step" doc:"Position of the step, from 0; an error handler stands behind all steps"`
	Try     int       `json:"try"`
	Status  Status    `json:"status"`
	Code    *int      `json:"code,omitempty" doc:"Exit code, when it exited"`
	Message string    `json:"message,omitempty"`
	EndedAt Time      `json:"endedAt"`
	Before  string    `json:"before,omitempty" doc:"Position in front of the first line that it printed; absent when it printed nothing"`
	Line    int64     `json:"line" doc:"Number of that line within its attempt, from 0"`
	Last    []LogLine `json:"last" doc:"The last lines that it printed, without terminal sequences"`
}

// LogRecord is one line of an NDJSON log: a line, or at the very end the end. A
// stream without its end was cut: go on from the last cursor.
type LogRecord struct {
	*LogLine
	End *LogEnd `json:"end,omitempty"`
}

// LogMessage is one WebSocket message of a log: some lines, or the end.
type LogMessage struct {
	Type  string    `json:"type" enum:"lines,end"`
	Lines []LogLine `json:"lines,omitempty"`
	End   *LogEnd   `json:"end,omitempty"`
}

// Event is one live event: something changed, and this is how it is now. The first
// event of a stream is a hello; a hello after it means that events were lost.
type Event struct {
	Type string `json:"type" enum:"hello,execution,node_steps,runner,fire,calendar"`
	Time Time   `json:"time"`
	// Execution as it is now; of node_steps only ExecutionID is told.
	Execution   *Execution `json:"execution,omitempty"`
	ExecutionID string     `json:"executionId,omitempty" doc:"Of execution and node_steps: the matrix changed"`
	Runner      *Runner    `json:"runner,omitempty"`
	// Fire that was missed or failed, and the job that was due.
	Fire     *Fire       `json:"fire,omitempty" doc:"A fire of a schedule that was missed or failed"`
	Job      *JobSummary `json:"job,omitempty" doc:"Of fire: the job that was due"`
	Calendar string      `json:"calendar,omitempty" doc:"Name of a calendar that was made, changed or deleted"`
	Project  string      `json:"project,omitempty" doc:"Of calendar: the project that it is of"`
}

// Key is a stored secret or public key; its value is never shown.
type Key struct {
	Path      string `json:"path" doc:"e.g. keys/project/web/deploy"`
	Type      string `json:"type" enum:"private-key,public-key,password"`
	Size      int    `json:"size"`
	Revision  int64  `json:"revision"`
	CreatedBy string `json:"createdBy,omitempty"`
	CreatedAt Time   `json:"createdAt"`
	UpdatedAt Time   `json:"updatedAt"`
}

// KeyList is a list of keys.
type KeyList struct {
	Items []Key  `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Runner is an enrolled agent.
type Runner struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Tags     []string `json:"tags"`
	Projects []string `json:"projects" doc:"Names of the projects it serves; empty: all"`
	// State in one word; the fields after it say the rest.
	State                string `json:"state" enum:"connected,draining,disconnected,quarantined,revoked"`
	Connected            bool   `json:"connected"`
	Draining             bool   `json:"draining" doc:"It gets no more work until released"`
	Quarantined          string `json:"quarantined,omitempty" doc:"Why it gets no work until released"`
	Version              string `json:"version,omitempty"`
	OS                   string `json:"os,omitempty"`
	Arch                 string `json:"arch,omitempty"`
	Hostname             string `json:"hostname,omitempty"`
	Slots                int    `json:"slots" doc:"How many attempts it takes at once"`
	Live                 int    `json:"live" doc:"How many it holds now"`
	Revision             int64  `json:"revision"`
	EnrolledAt           Time   `json:"enrolledAt"`
	LastSeenAt           *Time  `json:"lastSeenAt,omitempty"`
	CertificateExpiresAt *Time  `json:"certificateExpiresAt,omitempty"`
}

// RunnerList is a list of runners.
type RunnerList struct {
	Items []Runner `json:"items"`
	Next  string   `json:"next,omitempty"`
}

// RunnerChange changes what is present in it.
type RunnerChange struct {
	Name     *string   `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Tags     *[]string `json:"tags,omitempty" maxItems:"100"`
	Projects *[]string `json:"projects,omitempty" maxItems:"1000" doc:"Names; empty: all"`
}

// RunnerToken is a one-use permission to enrol, without its secret.
type RunnerToken struct {
	ID        string   `json:"id"`
	Projects  []string `json:"projects" doc:"Names; empty: all"`
	Tags      []string `json:"tags"`
	CreatedBy string   `json:"createdBy"`
	CreatedAt Time     `json:"createdAt"`
	ExpiresAt Time     `json:"expiresAt"`
	UsedAt    *Time    `json:"usedAt,omitempty"`
	RunnerID  string   `json:"runnerId,omitempty" doc:"The runner that enrolled with it"`
	State     string   `json:"state" enum:"open,used,expired,revoked"`
}

// RunnerTokenList is a list of enrolment tokens.
type RunnerTokenList struct {
	Items []RunnerToken `json:"items"`
	Next  string        `json:"next,omitempty"`
}

// NewRunnerToken asks for an enrolment token.
type NewRunnerToken struct {
	Projects []string `json:"projects,omitempty" maxItems:"100" doc:"Names of the projects the runner will serve; absent: all"`
	Tags     []string `json:"tags,omitempty" maxItems:"100"`
	TTLMs    int64    `json:"ttlMs,omitempty" minimum:"1000" maximum:"2592000000" doc:"Life in milliseconds; 1 h when absent"`
}

// CreatedRunnerToken is an enrolment token with its secret, shown this once.
type CreatedRunnerToken struct {
	RunnerToken
	Token  string `json:"token" doc:"For fairlead-runner enroll; pins the hub's CA; never shown again"`
	HubURL string `json:"hubUrl,omitempty" doc:"Address for --hub, when a public one is configured"`
}

// Cluster is the installation.
type Cluster struct {
	ID          string `json:"id"`
	Incarnation int64  `json:"incarnation"`
	Tick        int64  `json:"tick" doc:"Of the lease clock, about one a second"`
	Database    string `json:"database" enum:"sqlite,postgres"`
	Time        Time   `json:"time" doc:"Database time"`
	Mode        string `json:"mode" enum:"active-active,active-passive"`
	// Passive: no schedule fires anywhere.
	ExecutionMode string        `json:"executionMode" enum:"active,passive" doc:"Passive: no schedule fires on any member"`
	Members       []Member      `json:"members"`
	Leases        []LeaderLease `json:"leases" doc:"Work that one member does for all"`
	// Archive is there when logs are archived.
	Archive *Archive `json:"archive,omitempty" doc:"Where the logs of ended executions are packed to; none: they stay in the database"`
	// Retention is the last pass over all projects.
	Retention PurgeRun `json:"retention" doc:"What was taken away of executions whose retention is over"`
	// Quota is that of the caller's organisation.
	Quota Quota `json:"quota" doc:"How much log may be held, and is"`
	// Recovery is there while the cluster is held.
	Recovery *Recovery `json:"recovery,omitempty" doc:"While work is held because the database went back in time, or is being moved"`
}

// Archive is where the logs of ended executions are packed to, and what waits for it.
type Archive struct {
	URL          string `json:"url"`
	Waiting      int64  `json:"waiting" doc:"Logs that wait to be archived"`
	WaitingBytes int64  `json:"waitingBytes" doc:"Bytes of text in them"`
	Failing      int64  `json:"failing" doc:"Those of them that failed, and are tried again"`
	OldestAt     *Time  `json:"oldestAt,omitempty" doc:"When the execution ended whose log waits longest"`
	LastError    string `json:"lastError,omitempty" doc:"Why the last try failed; for administrators"`
	LastErrorAt  *Time  `json:"lastErrorAt,omitempty"`
}

// LeaderLease is work that one member does for all.
type LeaderLease struct {
	Name    string `json:"name"`
	Holder  string `json:"holder" doc:"Name of the member, or its id when it has left"`
	Term    int64  `json:"term" doc:"Rises with each holder"`
	Held    bool   `json:"held" doc:"Whether the lease is not over"`
	TakenAt Time   `json:"takenAt"`
}

// ClusterChange is what a person sets for all members.
type ClusterChange struct {
	ExecutionMode string `json:"executionMode" enum:"active,passive"`
}

// MemberChange is what a person sets for a running member; its restart undoes it.
type MemberChange struct {
	Draining      *bool   `json:"draining,omitempty" doc:"Runners and people go elsewhere"`
	ExecutionMode *string `json:"executionMode,omitempty" enum:"active,passive" doc:"Passive: no schedule fires on this member"`
}

// Promotion makes a member the active one.
type Promotion struct {
	Member string `json:"member" minLength:"1" doc:"Name or id"`
}

// Recovery tells why work is held, and what for.
type Recovery struct {
	Kind    string          `json:"kind" enum:"promotion,restore,planned" doc:"promotion: new executions go on; restore: they wait; planned: they are refused"`
	Since   Time            `json:"since"`
	Reason  string          `json:"reason" doc:"What showed it, for people"`
	Awaited []AwaitedRunner `json:"awaited" doc:"Runners that may have had work and have not shown what is on their disks"`
	Held    int             `json:"held" doc:"How many executions wait"`
}

// AwaitedRunner is a runner whose inventory a recovery waits for.
type AwaitedRunner struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	LastSeenAt *Time  `json:"lastSeenAt,omitempty"`
}

// HoldCluster asks to hold all work.
type HoldCluster struct {
	Kind   string `json:"kind" enum:"planned,restored" doc:"planned: the database is about to be moved; restored: a backup was put back"`
	Reason string `json:"reason,omitempty" maxLength:"1000"`
}

// ReleaseCluster asks to end the hold.
type ReleaseCluster struct {
	Rest string `json:"rest" enum:"release,fail" doc:"What becomes of what is still held: it goes on, or it ends as unknown"`
}

// Member is one hub replica.
type Member struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Gateway     string   `json:"gateway"`
	Address     string   `json:"address"`
	Roles       []string `json:"roles"`
	State       string   `json:"state" enum:"active,inactive,dead"`
	StartedAt   Time     `json:"startedAt"`
	HeartbeatAt Time     `json:"heartbeatAt"`
	Sessions    int      `json:"sessions" doc:"Runners that it serves"`
	Draining    bool     `json:"draining"`
	// Active says whether it serves runners and schedules.
	Active        bool   `json:"active" doc:"In an active-passive cluster: whether it is the active one"`
	ExecutionMode string `json:"executionMode" enum:"active,passive"`
	Self          bool   `json:"self" doc:"Whether this member answered"`
}
