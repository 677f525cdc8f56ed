package api

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fairlead/fairlead/hub"
)

// MetricsHandler serves a registry to a scraper. What cannot be gathered is left out: a
// hub without its database has the more to tell.
func MetricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// scraped guards the metrics on people's listener: they tell who uses the hub how much.
// A scraper on the hub's own machine needs no token, unless people come through a proxy:
// then everybody comes from there.
func (s *server) scraped(w http.ResponseWriter, r *http.Request) {
	if !s.fromOwnMachine(r) {
		if _, err := s.allowed(r, read); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	MetricsHandler(s.Metrics).ServeHTTP(w, r)
}

func (s *server) fromOwnMachine(r *http.Request) bool {
	if s.PublicURL != "" || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return false
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// work are the metrics that are looked up when they are asked for.
type work struct {
	s                             *server
	ready, runners, open, waiting *prometheus.Desc
	ended, held                   *prometheus.Desc
	archive                       archiveDescs
	retention                     retentionDescs
	quota                         quotaDescs
}

func newWork(s *server) *work {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("fairlead_hub_"+name, help, labels, nil)
	}
	return &work{
		s:         s,
		ready:     desc("member_ready", "1 while this member takes requests."),
		runners:   desc("runners_connected", "Runners with a session at this member."),
		open:      desc("attempts_open", "Attempts that are offered, claimed or running; of the installation, so the same at each member."),
		waiting:   desc("assignments_waiting", "Pieces of work that wait for a runner; of the installation, so the same at each member."),
		held:      desc("cluster_held", "1 while work is held because the database went back in time or is being moved, by kind; none while it is not.", "kind"),
		archive:   newArchiveDescs(desc),
		retention: newRetentionDescs(desc),
		quota:     newQuotaDescs(desc),
		ended:     desc("executions_ended_total", "Executions whose end this member recorded, by status.", "status"),
	}
}

// Describe implements prometheus.Collector.
func (w *work) Describe(to chan<- *prometheus.Desc) {
	own := []*prometheus.Desc{w.ready, w.runners, w.open, w.waiting, w.ended, w.held}
	for _, d := range slices.Concat(own, w.archive.all(), w.retention.all(), w.quota.all()) {
		to <- d
	}
}

// scrapeTimeout bounds what a scraper may wait for the database.
const scrapeTimeout = 5 * time.Second

// finals are the states that an execution ends in.
var finals = [...]hub.Status{
	hub.StatusSucceeded, hub.StatusFailed, hub.StatusCancelled, hub.StatusTimedOut, hub.StatusUnknown, hub.StatusMissed,
}

// Collect implements prometheus.Collector.
func (w *work) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64) { to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	ended := w.s.Dispatch.Ended()
	for _, status := range finals { // also those that none has ended in yet: a rate needs a zero
		to <- prometheus.MustNewConstMetric(w.ended, prometheus.CounterValue, float64(ended[status]), string(status))
	}
	if w.s.Cluster.Ready(ctx) == nil {
		gauge(w.ready, 1)
	} else {
		gauge(w.ready, 0)
	}
	if kind := w.s.Cluster.Hold().Kind; kind != "" {
		to <- prometheus.MustNewConstMetric(w.held, prometheus.GaugeValue, 1, string(kind))
	}
	load, err := w.s.Store.Load(ctx, w.s.Cluster.MemberID())
	if err != nil {
		w.s.Log.WarnContext(ctx, "metrics are incomplete", "error", err)
		return
	}
	gauge(w.runners, float64(load.Runners))
	gauge(w.open, float64(load.OpenAttempts))
	gauge(w.waiting, float64(load.ReadyAssignments))
	w.collectArchive(ctx, to)
	w.collectRetention(ctx, to)
	w.collectQuotas(ctx, to)
}
