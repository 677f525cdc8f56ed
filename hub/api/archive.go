package api

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// archive tells what waits to be archived; nil without an archive. Errors name jobs of all
// projects, so they are for administrators alone.
func (s *server) archive(ctx context.Context) (*Archive, error) {
	name := s.Packer.Archive()
	if name == "" {
		return nil, nil
	}
	b, err := s.Packer.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	out := &Archive{URL: name, Waiting: b.Logs, WaitingBytes: b.TextBytes, Failing: b.Failing, OldestAt: timePtr(b.Oldest), LastErrorAt: timePtr(b.ErrorAt)}
	if principal(ctx).Admin {
		out.LastError = b.Error
	}
	return out, nil
}

// archiveDescs are the metrics of the archive; without one there are none.
type archiveDescs struct{ waiting, bytes, failing, oldest, packed, failures *prometheus.Desc }

func newArchiveDescs(desc func(name, help string, labels ...string) *prometheus.Desc) archiveDescs {
	return archiveDescs{
		waiting:  desc("archive_waiting_logs", "Logs of ended executions that wait to be archived; of the installation, so the same at each member."),
		bytes:    desc("archive_waiting_text_bytes", "Bytes of text in the logs that wait to be archived; of the installation."),
		failing:  desc("archive_failing_logs", "Logs that failed to be archived and are tried again; of the installation."),
		oldest:   desc("archive_oldest_seconds", "How long ago the execution ended whose log waits longest; 0 when none waits."),
		packed:   desc("archive_packed_total", "Logs that this member archived."),
		failures: desc("archive_failures_total", "Tries of this member to archive a log that failed."),
	}
}

func (a archiveDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{a.waiting, a.bytes, a.failing, a.oldest, a.packed, a.failures}
}

func (w *work) collectArchive(ctx context.Context, to chan<- prometheus.Metric) {
	if w.s.Packer.Archive() == "" {
		return
	}
	value := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
		to <- prometheus.MustNewConstMetric(d, kind, v)
	}
	packed, failures := w.s.Packer.Counts()
	value(w.archive.packed, prometheus.CounterValue, float64(packed))
	value(w.archive.failures, prometheus.CounterValue, float64(failures))
	b, err := w.s.Packer.Backlog(ctx)
	if err != nil {
		w.s.Log.WarnContext(ctx, "metrics are incomplete", "error", err)
		return
	}
	value(w.archive.waiting, prometheus.GaugeValue, float64(b.Logs))
	value(w.archive.bytes, prometheus.GaugeValue, float64(b.TextBytes))
	value(w.archive.failing, prometheus.GaugeValue, float64(b.Failing))
	oldest := 0.0
	if !b.Oldest.IsZero() {
		oldest = w.s.Store.Now().Sub(b.Oldest).Seconds()
	}
	value(w.archive.oldest, prometheus.GaugeValue, oldest)
}
