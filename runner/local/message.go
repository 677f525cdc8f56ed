package local

import (
	"os"
	"time"

	"github.com/fairlead/fairlead/runner/logfilter"
	"github.com/fairlead/fairlead/runner/stepdir"
)

// request is a command for a shim. It comes over a socket, never over a disk: it holds
// secrets.
type request struct {
	Dir  string   `json:"dir"`
	Step string   `json:"step"`
	Argv []string `json:"argv"`
	// Direct is Argv without its shell, where that makes no difference; tried first.
	Direct []string `json:"direct,omitempty"`
	// Text is handed to the command as its open file 3; empty: it has none.
	Text string   `json:"text,omitempty"`
	Env  []string `json:"env"`
	// WorkDir is where the command starts.
	WorkDir string `json:"workDir"`
	// Script is written to ScriptPath, whose directory is made for it; with ScriptLink
	// it is kept in memory and linked to.
	Script     []byte      `json:"script,omitempty"`
	ScriptPath string      `json:"scriptPath,omitempty"`
	ScriptMode os.FileMode `json:"scriptMode,omitempty"`
	ScriptLink bool        `json:"scriptLink,omitempty"`
	Masks      [][]byte    `json:"masks,omitempty"`
	// Filters are what its output goes through behind the masks, at LogLevel.
	Filters  []logfilter.Definition `json:"filters,omitempty"`
	LogLevel string                 `json:"logLevel,omitempty"`
	Timeout  time.Duration          `json:"timeout,omitempty"`
	Grace    time.Duration          `json:"grace,omitempty"`
}

// toShim is a message to a shim; one field is set.
type toShim struct {
	Run *request `json:"run,omitempty"`
	stepdir.Control
}
