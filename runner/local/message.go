package local

import (
	"encoding/json"
	"net"
	"os"
	"sync"
	"time"
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
	Script     []byte        `json:"script,omitempty"`
	ScriptPath string        `json:"scriptPath,omitempty"`
	ScriptMode os.FileMode   `json:"scriptMode,omitempty"`
	ScriptLink bool          `json:"scriptLink,omitempty"`
	Masks      [][]byte      `json:"masks,omitempty"`
	Timeout    time.Duration `json:"timeout,omitempty"`
	Grace      time.Duration `json:"grace,omitempty"`
}

// toShim is a message to a shim; one field is set.
type toShim struct {
	Run      *request `json:"run,omitempty"`
	Stop     *stop    `json:"stop,omitempty"`
	Released *uint64  `json:"released,omitempty"`
}

type stop struct {
	Cause string        `json:"cause"`
	Grace time.Duration `json:"grace"`
}

// fromShim is a message from a shim; one field is set.
type fromShim struct {
	Out  *uint64 `json:"out,omitempty"`
	Exit *ended  `json:"exit,omitempty"`
}

// link is one end of the socket between runner and shim.
type link struct {
	net.Conn
	dec *json.Decoder

	mu  sync.Mutex
	enc *json.Encoder
}

func newLink(c net.Conn) *link {
	return &link{Conn: c, dec: json.NewDecoder(c), enc: json.NewEncoder(c)}
}

func (l *link) send(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enc.Encode(v)
}
