package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/runner"
	"github.com/fairlead/fairlead/runner/disk"
	"github.com/fairlead/fairlead/runner/enroll"
)

// statusReport is what status tells.
type statusReport struct {
	Name    string `json:"name,omitempty"`
	ID      string `json:"id,omitempty"`
	Hub     string `json:"hub,omitempty"`
	DataDir string `json:"dataDir"`
	// PID of the process; 0 if none runs.
	PID int `json:"pid"`
	runner.Status
	CertificateNotAfter time.Time `json:"certificateNotAfter,omitzero"`
}

func (p *program) statusCommand() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "status", Short: "Tell whether the runner works", Args: noArgs}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	c.RunE = func(*cobra.Command, []string) error {
		if format != "text" && format != "json" {
			return usageError{fmt.Errorf("--output must be text or json, not %q", format)}
		}
		return p.status(format)
	}
	return c
}

func (p *program) status(format string) error {
	cfg, err := p.load()
	if err != nil {
		return err
	}
	s := statusReport{DataDir: cfg.DataDir}
	i, err := enroll.Load(cfg.DataDir)
	if err != nil {
		return err
	}
	s.Name, s.ID, s.Hub, s.CertificateNotAfter = i.Name(), i.RunnerID(), i.Hub(), i.Certificate().NotAfter
	if s.PID, err = disk.Holder(cfg.DataDir, lockFile); err != nil {
		return err
	}
	if s.PID != 0 {
		data, err := os.ReadFile(filepath.Join(cfg.DataDir, statusFile))
		if err == nil {
			err = json.Unmarshal(data, &s.Status)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("reading the status: %w", err)
		}
	}
	if err := p.printStatus(s, format); err != nil {
		return err
	}
	if !s.Connected {
		return errNotConnected
	}
	return nil
}

var errNotConnected = errors.New("the runner is not connected")

func (p *program) printStatus(s statusReport, format string) error {
	if format == "json" {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	state := "not running; start it with: fairlead-runner run --data-dir " + s.DataDir
	switch {
	case s.PID != 0 && s.Connected:
		state = fmt.Sprintf("connected to %s since %s (process %d)", s.Address, s.Since.Format(time.RFC3339), s.PID)
	case s.PID != 0:
		state = fmt.Sprintf("running (process %d) and not connected: %s", s.PID, s.Error)
	}
	_, err := fmt.Fprintf(p.stdout, "runner       %s (%s)\nhub          %s\nstate        %s\nattempts     %d held, %d working, %d slots\ncertificate  until %s\n",
		s.Name, s.ID, s.Hub, state, s.Attempts, s.Working, s.Slots, s.CertificateNotAfter.Format(time.RFC3339))
	if err == nil && s.Draining != "" {
		_, err = fmt.Fprintf(p.stdout, "draining     %s\n", s.Draining)
	}
	return err
}
