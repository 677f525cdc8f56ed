package hub

import "time"

// Cell is one try of one step on one node, by position in the attempt's spec.
type Cell struct {
	Node, Step, Try int
}

// RecordKind is the kind of a journal record.
type RecordKind string

// The kinds, in the order a quiet attempt has them.
const (
	RecordGranted RecordKind = "granted"
	RecordStarted RecordKind = "started"
	RecordEnded   RecordKind = "ended"
	RecordStopped RecordKind = "stopped"
	RecordClosed  RecordKind = "closed"
)

// StepRecord is one journal record of an attempt as the gateway decoded it.
type StepRecord struct {
	N    int64
	Kind RecordKind
	// Hash is the chain's value after this record.
	Hash [32]byte
	Time time.Time // by the runner's clock
	Cell Cell      // of started and ended
	// Status of ended.
	Status     Status
	Code       int
	Exited     bool
	Signal     string
	Reason     string
	Message    string
	EndProven  bool
	NotStarted bool
	Data       map[string]string
	NewHostKey string
	Printed    Printed
	Total      int64 // of closed
}

// NodeStep is one step on one node, in one try: a row that appears with its first
// record. Node and step are named, not numbered, since assignments cut differently.
type NodeStep struct {
	ExecutionID string
	AttemptID   string
	// Node and Step are positions in the execution's nodes and workflow.
	Node, Step, Try int
	Status          Status
	Code            int
	Exited          bool
	Signal          string
	Reason          string
	Message         string
	EndProven       bool
	NotStarted      bool
	Data            map[string]string
	Printed         Printed
	// LateStatus is an end that came after the attempt was settled: kept, shown,
	// changing nothing.
	LateStatus Status
	StartedAt  time.Time
	EndedAt    time.Time
}
