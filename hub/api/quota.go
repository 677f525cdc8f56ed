package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Quota is how much log may be held and printed, and how much is held.
type Quota struct {
	LogBytes          int64 `json:"logBytes" doc:"Bytes of text that all logs may have together: over it nothing starts; 0: no limit"`
	ExecutionLogBytes int64 `json:"executionLogBytes" doc:"Bytes that the commands of one execution may print: over it they are halted; 0: no limit"`
	UsedBytes         int64 `json:"usedBytes" doc:"Bytes of text that all logs had when they were counted"`
	CountedAt         *Time `json:"countedAt,omitempty" doc:"When that was; none before the first count"`
	Over              bool  `json:"over" doc:"Nothing starts"`
	Near              bool  `json:"near" doc:"90 % of logBytes are reached"`
	Revision          int64 `json:"revision"`
}

// QuotaChange is a partial change; what is absent stays.
type QuotaChange struct {
	LogBytes          *int64 `json:"logBytes,omitempty" doc:"At least 1048576, or 0 for no limit"`
	ExecutionLogBytes *int64 `json:"executionLogBytes,omitempty" doc:"At least 1048576, or 0 for no limit"`
}

func (s *server) quotaRoutes() {
	register(s, op{method: http.MethodGet, path: "/quota", id: "get-quota", summary: "How much log may be held, and is", right: read}, s.getQuota)
	register(s, op{method: http.MethodPatch, path: "/quota", id: "change-quota", summary: "Say how much log may be held and printed", right: admin}, s.changeQuota)
}

func toQuota(q *hub.Quota) Quota {
	return Quota{
		LogBytes: q.LogBytes, ExecutionLogBytes: q.ExecutionLogBytes, UsedBytes: q.UsedBytes, CountedAt: timePtr(q.CountedAt),
		Over: q.Over(), Near: q.Near(), Revision: q.Revision,
	}
}

func (s *server) getQuota(ctx context.Context, _ *empty) (*tagged[Quota], error) {
	q, err := s.Store.Quota(ctx, principal(ctx).OrganisationID)
	if err != nil {
		return nil, err
	}
	return &tagged[Quota]{ETag: etag(q.Revision), Body: toQuota(q)}, nil
}

func (s *server) changeQuota(ctx context.Context, in *struct {
	IfMatchHeader
	Body QuotaChange
},
) (*tagged[Quota], error) {
	q, err := s.Store.Quota(ctx, principal(ctx).OrganisationID)
	if err != nil {
		return nil, err
	}
	if err := in.check(q.Revision, "quota", "logs"); err != nil {
		return nil, err
	}
	if n := in.Body.LogBytes; n != nil {
		q.LogBytes = *n
	}
	if n := in.Body.ExecutionLogBytes; n != nil {
		q.ExecutionLogBytes = *n
	}
	if err := hub.Invalid("The quota cannot be that.", q.Check()); err != nil {
		return nil, err
	}
	var changed hub.Quota
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		changed = *q // another try must see the revision that was read
		if err := st.SetQuota(ctx, &changed); err != nil {
			return err
		}
		return s.audit(ctx, st, "quota.change", fmt.Sprintf("logBytes=%d executionLogBytes=%d", q.LogBytes, q.ExecutionLogBytes))
	})
	if err != nil {
		return nil, err
	}
	return &tagged[Quota]{ETag: etag(changed.Revision), Body: toQuota(&changed)}, nil
}

// quotaDescs are the metrics of quotas.
type quotaDescs struct{ limit, used, counted *prometheus.Desc }

func newQuotaDescs(desc func(name, help string, labels ...string) *prometheus.Desc) quotaDescs {
	return quotaDescs{
		limit:   desc("quota_log_bytes", "Bytes of text that the logs of an organisation may have together; 0: no limit. Of the installation, so the same at each member.", "organisation"),
		used:    desc("quota_log_used_bytes", "Bytes of text that they had when they were counted; of the installation.", "organisation"),
		counted: desc("quota_log_counted_timestamp_seconds", "When that was, in seconds since 1970; of the installation. 0 before the first count.", "organisation"),
	}
}

func (d quotaDescs) all() []*prometheus.Desc { return []*prometheus.Desc{d.limit, d.used, d.counted} }

func (w *work) collectQuotas(ctx context.Context, to chan<- prometheus.Metric) {
	list, err := w.s.Store.Quotas(ctx)
	if err != nil {
		w.s.Log.WarnContext(ctx, "metrics are incomplete", "error", err)
		return
	}
	for _, q := range list {
		value := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, q.OrganisationID)
		}
		value(w.quota.limit, float64(q.LogBytes))
		value(w.quota.used, float64(q.UsedBytes))
		counted := 0.0
		if !q.CountedAt.IsZero() {
			counted = float64(q.CountedAt.Unix())
		}
		value(w.quota.counted, counted)
	}
}
