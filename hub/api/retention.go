package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/retention"
	"github.com/fairlead/fairlead/hub/store"
)

// Retention is how long the ended executions of a project stay; 0 is no limit.
type Retention struct {
	Days       float64 `json:"days" doc:"Since the end"`
	FailedDays float64 `json:"failedDays" doc:"The same for failures; 0: as all others"`
	Executions int64   `json:"executions" doc:"How many of each job stay"`
	Bytes      int64   `json:"bytes" doc:"Bytes of text in the logs of the project"`
}

// RetentionPlan is what the next pass would take away of a project.
type RetentionPlan struct {
	Retention

	Ended         int64 `json:"ended" doc:"Ended executions there are"`
	Kept          int64 `json:"kept" doc:"Those of them that a person keeps"`
	Removes       int64 `json:"removes" doc:"Executions that go with the next pass"`
	RemovesBytes  int64 `json:"removesBytes" doc:"Bytes of text in their logs"`
	RemovesFromAt *Time `json:"removesFromAt,omitempty" doc:"When the first of them ended"`
	RemovesToAt   *Time `json:"removesToAt,omitempty" doc:"When the last of them ended"`
}

// PurgeRun is the last pass that took away executions whose retention is over.
type PurgeRun struct {
	EndedAt    *Time `json:"endedAt,omitempty" doc:"None before the first one"`
	Executions int64 `json:"executions" doc:"That it took away"`
	Bytes      int64 `json:"bytes" doc:"Of text in their logs"`
	Deleting   int64 `json:"deleting" doc:"Executions that nobody sees any more and that are not deleted yet"`
	// LastError may name what belongs to any project.
	LastError string `json:"lastError,omitempty" doc:"What it could not do, and tries again; for administrators"`
}

func (s *server) retentionRoutes() {
	register(s, op{method: http.MethodPost, path: "/executions/{id}/keep", id: "keep-execution", summary: "Keep an execution for ever", right: run}, func(ctx context.Context, in *ExecutionPath) (*body[Execution], error) {
		return s.setKept(ctx, in.ID, true)
	})
	register(s, op{method: http.MethodDelete, path: "/executions/{id}/keep", id: "unkeep-execution", summary: "Keep an execution only as long as others", right: run, status: http.StatusOK}, func(ctx context.Context, in *ExecutionPath) (*body[Execution], error) {
		return s.setKept(ctx, in.ID, false)
	})
	register(s, op{method: http.MethodGet, path: "/projects/{project}/retention", id: "get-retention", summary: "What the retention of a project would take away now", right: read}, s.retentionPlan)
}

func (s *server) setKept(ctx context.Context, id string, kept bool) (*body[Execution], error) {
	e, project, err := s.executionByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if e.Kept != kept {
		action := "execution.keep"
		if !kept {
			action = "execution.unkeep"
		}
		err := s.Store.InTx(ctx, func(st *store.Store) error {
			if err := st.SetKept(ctx, e.ID, kept); err != nil {
				return err
			}
			return s.audit(ctx, st, action, strconv.FormatInt(e.Number, 10))
		})
		if err != nil {
			return nil, err
		}
		e.Kept = kept
	}
	out, err := s.single(ctx, e, project)
	if err != nil {
		return nil, err
	}
	return &body[Execution]{out}, nil
}

func toRetention(r hub.Retention) Retention {
	const day = 24 * time.Hour
	return Retention{Days: float64(r.Age) / float64(day), FailedDays: float64(r.FailedAge) / float64(day), Executions: r.PerJob, Bytes: r.Bytes}
}

func (s *server) retentionPlan(ctx context.Context, in *ProjectPath) (*body[RetentionPlan], error) {
	p, err := s.project(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	var plan retention.Plan
	if plan, err = s.Purger.Plan(ctx, p); err != nil {
		return nil, err
	}
	return &body[RetentionPlan]{RetentionPlan{
		Retention: toRetention(plan.Retention), Ended: plan.Ended, Kept: plan.Kept, Removes: plan.Executions, RemovesBytes: plan.TextBytes,
		RemovesFromAt: timePtr(plan.From), RemovesToAt: timePtr(plan.To),
	}}, nil
}

// lastPurge tells of the last pass; errors name what lies where, so they are for
// administrators alone.
func (s *server) lastPurge(ctx context.Context) (PurgeRun, error) {
	run, err := s.Store.LastPurge(ctx)
	if err != nil {
		return PurgeRun{}, err
	}
	out := PurgeRun{EndedAt: timePtr(run.EndedAt), Executions: run.Executions, Bytes: run.TextBytes}
	if principal(ctx).Admin {
		out.LastError = run.Error
	}
	out.Deleting, _, err = s.Store.PurgeBacklog(ctx)
	return out, err
}

// retentionDescs are the metrics of retention.
type retentionDescs struct{ executions, bytes, failures, deleting, oldest, last *prometheus.Desc }

func newRetentionDescs(desc func(name, help string, labels ...string) *prometheus.Desc) retentionDescs {
	return retentionDescs{
		executions: desc("retention_purged_total", "Executions that this member took away because their retention was over."),
		bytes:      desc("retention_purged_text_bytes_total", "Bytes of text in the logs of executions that this member took away."),
		failures:   desc("retention_failures_total", "What this member could not take away and tries again."),
		deleting:   desc("retention_deleting", "Executions that nobody sees any more and that are not deleted yet; of the installation, so the same at each member."),
		oldest:     desc("retention_deleting_oldest_seconds", "How long the first of these waits to be deleted; 0 when none does."),
		last:       desc("retention_last_pass_timestamp_seconds", "When the last pass over all executions ended, in seconds since 1970; of the installation. 0 before the first."),
	}
}

func (d retentionDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.executions, d.bytes, d.failures, d.deleting, d.oldest, d.last}
}

func (w *work) collectRetention(ctx context.Context, to chan<- prometheus.Metric) {
	value := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
		to <- prometheus.MustNewConstMetric(d, kind, v)
	}
	executions, bytes, failures := w.s.Purger.Counts()
	value(w.retention.executions, prometheus.CounterValue, float64(executions))
	value(w.retention.bytes, prometheus.CounterValue, float64(bytes))
	value(w.retention.failures, prometheus.CounterValue, float64(failures))
	n, since, err := w.s.Store.PurgeBacklog(ctx)
	if err != nil {
		w.s.Log.WarnContext(ctx, "metrics are incomplete", "error", err)
		return
	}
	value(w.retention.deleting, prometheus.GaugeValue, float64(n))
	oldest := 0.0
	if n > 0 {
		oldest = w.s.Store.Now().Sub(since).Seconds()
	}
	value(w.retention.oldest, prometheus.GaugeValue, oldest)
	run, err := w.s.Store.LastPurge(ctx)
	if err != nil {
		w.s.Log.WarnContext(ctx, "metrics are incomplete", "error", err)
		return
	}
	last := 0.0
	if !run.EndedAt.IsZero() {
		last = float64(run.EndedAt.Unix())
	}
	value(w.retention.last, prometheus.GaugeValue, last)
}
