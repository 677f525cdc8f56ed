package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/cluster"
	"github.com/fairlead/fairlead/hub/config"
	"github.com/fairlead/fairlead/hub/output"
	"github.com/fairlead/fairlead/hub/store"
)

// archive packs logs, and takes away executions whose retention is over, whenever this
// member leads that, until ctx ends.
func (s *server) archive(ctx context.Context) error {
	return s.cluster.Lead(ctx, cluster.Leads{
		Lease: hub.LeaseArchive, May: func() bool { return s.cluster.Active(ctx) == nil }, Work: s.packer.Lead,
	})
}

func (p *program) archiveCommand() *cobra.Command {
	c := group(&cobra.Command{Use: "archive", Short: "Where the logs of ended executions lie, from the hub's own machine"})
	status := &cobra.Command{
		Use: "status", Short: "Tell what is archived where, what waits, and why", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.archive(c, archiveRequest{Do: "status"}) },
	}
	retry := &cobra.Command{
		Use: "retry", Short: "Try now what failed, instead of at its time", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.archive(c, archiveRequest{Do: "retry"}) },
	}
	verify := &cobra.Command{
		Use: "verify [EXECUTION]", Short: "Read all archived logs, or those of one execution, and name what was changed", Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r := archiveRequest{Do: "verify"}
			if len(args) > 0 {
				r.Execution = args[0]
			}
			return p.archive(c, r)
		},
	}
	var to string
	move := &cobra.Command{
		Use: "move --to URL", Short: "Bring all archived logs to one of the archives that are configured", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if to == "" {
				return usageError{errors.New("say with --to URL which archive the logs are to be in")}
			}
			return p.archive(c, archiveRequest{Do: "move", To: to})
		},
	}
	move.Flags().StringVar(&to, "to", "", "archive.url or archive.other.url")
	c.AddCommand(status, retry, verify, move)
	return c
}

// archiveRequest is what `fairlead-hub archive` asks for.
type archiveRequest struct {
	// Do is status, retry, verify or move.
	Do        string `json:"do"`
	Execution string `json:"execution,omitempty"`
	To        string `json:"to,omitempty"`
}

// archiveLine is one line of its answer, which comes while the work is done; the last has
// Done, or an Error.
type archiveLine struct {
	Line  string   `json:"line,omitempty"`
	Done  bool     `json:"done,omitempty"`
	Code  hub.Code `json:"code,omitempty"`
	Error string   `json:"error,omitempty"`
}

// doArchive does what an archive command asks, telling lines.
func doArchive(ctx context.Context, st *store.Store, p *output.Packer, r archiveRequest, tell func(format string, args ...any)) error {
	switch r.Do {
	case "status":
		return archiveStatus(ctx, p, st.Now(), tell)
	case "retry":
		n, err := p.Retry(ctx)
		if err == nil {
			tell("%d logs that failed are tried again now.", n)
		}
		return err
	case "verify":
		return archiveVerify(ctx, st, p, r.Execution, tell)
	case "move":
		return archiveMove(ctx, p, r.To, tell)
	default:
		return hub.Errorf(hub.CodeInvalid, "The request %q is not known.", r.Do)
	}
}

func archiveStatus(ctx context.Context, p *output.Packer, now time.Time, tell func(format string, args ...any)) error {
	totals, err := p.Totals(ctx)
	if err != nil {
		return err
	}
	name := p.Archive()
	if name == "" {
		name = "none; logs stay in the database"
	}
	tell("Archive: %s", name)
	for _, t := range totals {
		tell("%d logs, %d bytes, in %s", t.Logs, t.Bytes, t.Archive)
	}
	if p.Archive() == "" {
		return nil
	}
	b, err := p.Backlog(ctx)
	if err != nil {
		return err
	}
	if b.Logs == 0 {
		tell("No log waits to be archived.")
		return nil
	}
	tell("%d logs wait, %d bytes of text; the oldest since %s (%s)", b.Logs, b.TextBytes, b.Oldest.Format(time.RFC3339), now.Sub(b.Oldest).Round(time.Second))
	if b.Failing > 0 {
		tell("%d of them failed, last at %s: %s", b.Failing, b.ErrorAt.Format(time.RFC3339), b.Error)
	}
	return nil
}

func archiveVerify(ctx context.Context, st *store.Store, p *output.Packer, execution string, tell func(format string, args ...any)) error {
	id := ""
	if execution != "" {
		row, err := st.ExecutionRow(ctx, hub.DefaultOrganisationID, execution)
		if err != nil {
			return err
		}
		id = row.ID
	}
	bad := 0
	checked, err := p.Verify(ctx, id, func(a *store.LogArchive, why error) {
		bad++
		tell("attempt %s of execution %s in %s as %s: %v", a.AttemptID, a.ExecutionID, a.Archive, a.Path, why)
	})
	if err != nil {
		return err
	}
	if bad > 0 {
		return hub.Errorf(hub.CodeInternal, "%d of %d archived logs could not be read as they were archived; each is told above. Restore from a copy what is gone or was changed; put right an archive that is not known or does not answer, and verify again.", bad, checked)
	}
	tell("%d archived logs are as they were archived.", checked)
	return nil
}

func archiveMove(ctx context.Context, p *output.Packer, to string, tell func(format string, args ...any)) error {
	moved, failed := 0, 0
	err := p.Move(ctx, to, func(m output.Moved) {
		if m.Err != nil {
			failed++
			tell("attempt %s stays in %s as %s: %v", m.AttemptID, m.Archive, m.Path, m.Err)
			return
		}
		if moved++; m.Left != nil {
			tell("attempt %s is moved, but its old object may still be in %s as %s: %v", m.AttemptID, m.Archive, m.Path, m.Left)
		}
		if moved%1000 == 0 {
			tell("%d logs moved so far", moved)
		}
	})
	if err != nil {
		return err
	}
	if failed > 0 {
		return hub.Errorf(hub.CodeUnavailable, "%d logs were moved and %d were not; they stay readable where they are. Do it again when what is told above is mended.", moved, failed)
	}
	tell("%d logs moved; nothing is left elsewhere.", moved)
	return nil
}

// archive does an archive command by the hub that runs in the data directory, or on the
// database itself when none does.
func (p *program) archive(c *cobra.Command, r archiveRequest) error {
	cfg, _, err := p.load(c)
	if err != nil {
		return err
	}
	tell := func(format string, args ...any) { _, _ = fmt.Fprintf(p.env.stdout, format+"\n", args...) }
	err = askArchive(c.Context(), cfg.DataDir, r, tell)
	if errors.Is(err, errNoHub) {
		err = p.archiveAlone(c.Context(), cfg, r, tell)
	}
	return err
}

// archiveAlone works without a hub, which starts by itself what is to be tried again.
func (p *program) archiveAlone(ctx context.Context, cfg *config.Config, r archiveRequest, tell func(format string, args ...any)) error {
	st, unlock, err := p.openAlone(ctx, cfg)
	if err != nil {
		return err
	}
	defer unlock()
	archives, path, _ := cfg.Archive.Open()
	packer := output.NewPacker(st, output.PackerConfig{Archives: archives, Path: path}, p.logger(cfg))
	return errors.Join(doArchive(ctx, st, packer, r, tell), st.Close())
}

// serveArchive answers archive commands line by line: to verify or move takes its time.
func (s *server) serveArchive(w http.ResponseWriter, r *http.Request) {
	var req archiveRequest
	to := json.NewEncoder(w)
	say := func(l archiveLine) {
		_ = to.Encode(l) // the client is gone if this fails, and then the request's context ends
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&req)
	if err == nil {
		err = doArchive(r.Context(), s.st, s.packer, req, func(format string, args ...any) { say(archiveLine{Line: fmt.Sprintf(format, args...)}) })
	}
	if err != nil {
		s.log.WarnContext(r.Context(), "local command failed", "command", "archive "+req.Do, "error", err)
		say(archiveLine{Code: hub.ErrorCode(err), Error: hub.ErrorMessage(err)})
		return
	}
	say(archiveLine{Done: true})
}

// askArchive sends an archive command to the hub that runs in dir, and tells the lines of its
// answer as they come.
func askArchive(ctx context.Context, dir string, r archiveRequest, tell func(format string, args ...any)) error {
	if _, err := os.Stat(filepath.Join(dir, adminSocket)); err != nil {
		return errNoHub
	}
	client := adminClient(dir)
	defer client.CloseIdleConnections()
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hub/archive", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return errors.Join(errNoHub, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	for lines := json.NewDecoder(resp.Body); ; {
		var l archiveLine
		if err := lines.Decode(&l); err != nil {
			return fmt.Errorf("the hub broke off its answer: %w", err)
		}
		switch {
		case l.Error != "":
			return &hub.Error{Code: l.Code, Message: l.Error}
		case l.Done:
			return nil
		}
		tell("%s", l.Line)
	}
}
