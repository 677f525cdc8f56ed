package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) quota() *cobra.Command {
	noun := a.noun("quota", "How much log may be held and printed", "quotas")
	noun.AddCommand(verb("show", "Show the quota, and how much is held", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		q, err := client.Quota(c.Context())
		if err != nil {
			return err
		}
		return a.showQuota(q)
	}), a.setQuota())
	return noun
}

func (a *app) setQuota() *cobra.Command {
	var all, each string
	c := verb("set", "Change the quota", cobra.NoArgs, nil)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		change := rest.QuotaChange{}
		for _, f := range []struct {
			flag, text string
			to         **int64
		}{{"log-bytes", all, &change.LogBytes}, {"execution-log-bytes", each, &change.ExecutionLogBytes}} {
			if !c.Flags().Changed(f.flag) {
				continue
			}
			n, err := parseSize(f.text)
			if err != nil {
				return usage("--%s: %w", f.flag, err)
			}
			*f.to = &n
		}
		if change.LogBytes == nil && change.ExecutionLogBytes == nil {
			return usage("say --log-bytes or --execution-log-bytes, or both")
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		q, err := client.Quota(cmd.Context())
		if err != nil {
			return err
		}
		if q, err = client.ChangeQuota(cmd.Context(), q.Revision, change); err != nil {
			return err
		}
		return a.showQuota(q)
	}
	c.Flags().StringVar(&all, "log-bytes", "", "of text that all logs may have together, such as 50GB; none: no limit")
	c.Flags().StringVar(&each, "execution-log-bytes", "", "that one execution may print, such as 1GB; none: no limit")
	return c
}

func (a *app) showQuota(q *rest.Quota) error {
	for _, line := range quotaLines(q) {
		a.say("%s", line)
	}
	fields := []field{
		{"All logs", limitText(q.LogBytes)},
		{"One execution", limitText(q.ExecutionLogBytes)},
	}
	if q.CountedAt != nil {
		fields = append(fields, field{"Held", sizeText(q.UsedBytes) + ", counted at " + moment(q.CountedAt)})
	}
	return one(a, q, strconv.FormatInt(q.Revision, 10), fields)
}

// quotaFields tell in the state of the cluster how much is held of how much.
func quotaFields(q *rest.Quota) []field {
	if q.CountedAt == nil {
		return nil
	}
	of := ""
	if q.LogBytes > 0 {
		of = " of " + sizeText(q.LogBytes)
	}
	return []field{{"Logs", sizeText(q.UsedBytes) + of + ", at " + moment(q.CountedAt)}}
}

// quotaLines warn of a quota that is used up, or nearly.
func quotaLines(q *rest.Quota) []string {
	switch {
	case q.Over:
		return []string{"Nothing new starts: logs hold " + sizeText(q.UsedBytes) + ", and the quota is " + sizeText(q.LogBytes) + ". Lower the retention of projects, or raise the quota (fairlead quota set)."}
	case q.Near:
		return []string{"Logs hold " + sizeText(q.UsedBytes) + " of the " + sizeText(q.LogBytes) + " that they may: when they are full nothing new starts."}
	}
	return nil
}

func limitText(n int64) string {
	if n == 0 {
		return "no limit"
	}
	return sizeText(n)
}

// sizes are the units of a log limit, each 1,024 of the one before.
var sizes = [...]string{"B", "KB", "MB", "GB", "TB"}

var sizeForm = regexp.MustCompile(`^([0-9]+) ?([KMGT]?B)?$`)

// parseSize reads "50GB", a number of bytes, or "none".
func parseSize(text string) (int64, error) {
	if strings.EqualFold(text, "none") {
		return 0, nil
	}
	parts := sizeForm.FindStringSubmatch(strings.ToUpper(strings.TrimSpace(text)))
	if parts == nil {
		return 0, fmt.Errorf("%q is not a size such as 50GB (B, KB, MB, GB, TB), nor none", text)
	}
	scale := int64(1)
	for _, unit := range sizes[1:] {
		if parts[2] == "" || parts[2] == "B" {
			break
		}
		scale <<= 10
		if unit == parts[2] {
			break
		}
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || n > math.MaxInt64/scale {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return n * scale, nil
}

// sizeText is a number of bytes in the largest unit that it fills.
func sizeText(n int64) string {
	unit, scale := 0, int64(1)
	for n/scale >= 1<<10 && unit < len(sizes)-1 {
		unit, scale = unit+1, scale<<10
	}
	if n%scale == 0 {
		return fmt.Sprintf("%d %s", n/scale, sizes[unit])
	}
	return fmt.Sprintf("%.1f %s", float64(n)/float64(scale), sizes[unit])
}
