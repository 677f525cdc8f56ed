package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/fairlead/fairlead/runner/disk"
)

const sessionFile = "session"

// Session is what the runner presents in Hello.
type Session struct {
	// Epoch last confirmed; 0 before the first session.
	Epoch       uint64 `json:"epoch"`
	Incarnation uint64 `json:"incarnation"`
	// Showing: a hub asked for everything on disk, and has not got it all.
	Showing bool `json:"showing,omitempty"`
	// Marks are the newest database mark and the newest sixtieth.
	Newest   Mark `json:"newest"`
	Sixtieth Mark `json:"sixtieth"`
}

// Mark proves to a later database what an earlier one had committed.
type Mark struct {
	Tick  uint64 `json:"tick,omitempty"`
	Nonce []byte `json:"nonce,omitempty"`
	MAC   []byte `json:"mac,omitempty"`
}

// Learn takes a newer mark.
func (s *Session) Learn(m Mark) {
	if m.Tick == 0 {
		return
	}
	s.Newest = m
	if m.Tick%60 == 0 {
		s.Sixtieth = m
	}
}

// LoadSession reads the session file; a missing one is the zero Session.
func LoadSession(fs disk.FS) (Session, error) {
	var s Session
	data, err := fs.ReadFile(sessionFile)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the session file: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading the session file: %w", err)
	}
	return s, nil
}

// SaveSession replaces the session file and returns when the disk has it.
func SaveSession(fs disk.FS, s Session) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding the session: %w", err)
	}
	err = disk.WriteFile(fs, sessionFile, data)
	if errors.Is(err, syscall.ENOSPC) && fs.Remove(reserveFile) == nil {
		// Without a session the hub takes no output, and what waits here would fill the disk
		// for ever.
		err = disk.WriteFile(fs, sessionFile, data)
	}
	if err != nil {
		return fmt.Errorf("saving the session: %w", err)
	}
	return nil
}
