package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

const (
	hugeLines = 10_000_000
	openAt    = 9_000_000
	openLines = 500 // what a page of the web front end shows
	lineBytes = 100
)

// huge are the measurements of one run.
type huge struct{ finished, archived, bare, open, search time.Duration }

// gigabyte measures a step of ten million lines until its log lies in the archive and
// nowhere else, and then how it is read there. What is read is compared with what was
// printed, byte for byte.
func (b *bench) gigabyte() error {
	step, err := b.self()
	if err != nil {
		return err
	}
	objects := filepath.Join(b.dir, "objects")
	if err := os.Mkdir(objects, 0o700); err != nil {
		return fmt.Errorf("making a directory for the archive: %w", err)
	}
	r, err := b.newRig("gigabyte", true, nil, localNode, "FAIRLEAD_HUB_ARCHIVE_URL=file://"+objects)
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.hub.ImportJobs(b.ctx, "p", job("print", fmt.Sprintf("%s -loggen %d", step, hugeLines), "name: here", 1)); err != nil {
		return err
	}
	printed := sha256.New()
	generate(printed, hugeLines)
	var all []huge
	for range b.runs {
		one, err := b.hugeRun(r, step, printed)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	b.hugeRows(r, all)
	return nil
}

func (b *bench) hugeRows(r *rig, all []huge) {
	of := func(pick func(*huge) time.Duration) (each []time.Duration) {
		for i := range all {
			each = append(each, pick(&all[i]))
		}
		return each
	}
	mid := func(pick func(*huge) time.Duration) time.Duration { return quantile(of(pick), 0.5) }
	finished, archived, bare := mid(func(h *huge) time.Duration { return h.finished }), mid(func(h *huge) time.Duration { return h.archived }), mid(func(h *huge) time.Duration { return h.bare })
	rate := func(d time.Duration) float64 { return hugeLines * lineBytes / 1e6 / d.Seconds() }
	ratio := rate(archived) / rate(bare)
	b.add("10,000,000 lines (1 GB) of one step, stored and archived", "0.25 of a bare stream",
		fmt.Sprintf("stored in %.1f s, archived in %.1f s: %.0f MB/s = %.2f", finished.Seconds(), archived.Seconds(), rate(archived), ratio),
		fmt.Sprintf("bare gRPC stream, mutual TLS, fsync per MiB: %.0f MB/s", rate(bare)), ratio >= 0.25)
	open, search := quantile(of(func(h *huge) time.Duration { return h.open }), 1), mid(func(h *huge) time.Duration { return h.search })
	b.add("opened at its line 9,000,000, archived", "300 ms", ms(open), fmt.Sprintf("the slowest of %d, the index not read before", len(all)), open <= 300*time.Millisecond)
	b.add("searched for a word on one line, archived", "5 s", fmt.Sprintf("%.2f s", search.Seconds()), fmt.Sprintf("%.0f MB/s", rate(search)), search <= 5*time.Second)
	hub, runner := peakRSS(r.hub.Process), peakRSS(r.runner.Process)
	b.add("resident meanwhile, hub and runner", "250 MB each", fmt.Sprintf("%.0f and %.0f MB", hub, runner), "peak of the process, reading and searching too", hub < 250 && runner < 250)
}

func (b *bench) hugeRun(r *rig, step string, printed hash.Hash) (one huge, err error) {
	start := time.Now()
	var e lab.Execution
	// The hub tells of the end by itself, as long as it does: asking again and again costs it.
	if err := r.hub.Do(b.ctx, http.MethodPost, "/projects/p/jobs/print/executions?wait=60s", map[string]any{}, &e); err != nil {
		return one, err
	}
	if e, err = r.hub.Wait(b.ctx, e.ID, 5*time.Minute); err != nil {
		return one, err
	}
	if e.Status != "succeeded" || !e.LogComplete {
		return one, fmt.Errorf("execution %d ended %s, complete %v", e.Number, e.Status, e.LogComplete)
	}
	one.finished = time.Since(start)
	if err := b.onlyArchived(r); err != nil {
		return one, err
	}
	one.archived = time.Since(start)
	if one.open, err = b.openAtLine(r, e.ID); err != nil {
		return one, err
	}
	if one.search, err = b.searchRare(r, e.ID); err != nil {
		return one, err
	}
	if err := b.sameText(r, e.ID, printed); err != nil {
		return one, err
	}
	one.bare, err = b.bareStream(step, hugeLines)
	return one, err
}

// onlyArchived waits until no output is in the database any more: rows go only once an
// object has become the log.
func (b *bench) onlyArchived(r *rig) error {
	var failed error
	err := b.await("all output is archived", func() bool {
		var rows bool
		rows, failed = r.pg.OutputRows(b.ctx)
		return failed != nil || !rows
	})
	return errors.Join(err, failed)
}

// get asks the API for part of a log; the caller closes the answer.
func (b *bench) get(hub *lab.Hub, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, hub.URL+"/api/v1"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+hub.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("the hub answers %s of %s", res.Status, path), res.Body.Close())
	}
	return res.Body, nil
}

// openAtLine reads a page from a line on.
func (b *bench) openAtLine(r *rig, id string) (time.Duration, error) {
	start := time.Now()
	text, err := r.hub.Log(b.ctx, id, fmt.Sprintf("format=ndjson&line=%d&lines=%d", openAt, openLines))
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	if n := strings.Count(text, "\n"); n != openLines+1 {
		return 0, fmt.Errorf("the page at line %d has %d lines", openAt, n)
	}
	var line struct{ Text string }
	for pieces := json.NewDecoder(strings.NewReader(text)); len(line.Text) != lineBytes-1; {
		if err := pieces.Decode(&line); err != nil {
			return 0, fmt.Errorf("looking for a whole line: %w", err)
		}
	}
	return took, near(line.Text, openAt)
}

// near wants a line to be at its place, or a little before: a program that is held up in
// the middle of a line shows it in two pieces, and each is counted.
func near(line string, at int) error {
	number, _, _ := strings.Cut(line, " ")
	if n, err := strconv.Atoi(number); err != nil || n > at+2 || n < at-100 {
		return fmt.Errorf("at line %d stands %q", at, line)
	}
	return nil
}

// searchRare looks through a whole log for the word that one line has.
func (b *bench) searchRare(r *rig, id string) (time.Duration, error) {
	start := time.Now()
	type match struct{ Parts []struct{ Text string } }
	var found []match
	for cursor := ""; ; {
		var page struct {
			Items []match
			Next  string
		}
		path := "/executions/" + id + "/log/search?q=" + rareWord + "&cursor=" + url.QueryEscape(cursor)
		if err := r.hub.Do(b.ctx, http.MethodGet, path, nil, &page); err != nil {
			return 0, err
		}
		found = append(found, page.Items...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	took := time.Since(start)
	if len(found) != 1 || len(found[0].Parts) != 3 || found[0].Parts[1].Text != rareWord {
		return 0, fmt.Errorf("the search for a word on one line found %v", found)
	}
	return took, near(found[0].Parts[0].Text, hugeLines-hugeLines/10)
}

// sameText wants the log to be what was printed.
func (b *bench) sameText(r *rig, id string, printed hash.Hash) error {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
	defer cancel()
	body, err := b.get(r.hub, "/executions/"+id+"/log?format=text")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	defer context.AfterFunc(ctx, func() { _ = body.Close() })()
	read := sha256.New()
	if _, err := io.Copy(read, bufio.NewReaderSize(body, 1<<20)); err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if string(read.Sum(nil)) != string(printed.Sum(nil)) {
		return errors.New("the log is not what was printed")
	}
	return nil
}
