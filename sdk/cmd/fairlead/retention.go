package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) keepCommand() *cobra.Command {
	var undo bool
	c := verb("keep ID", "Keep an execution for ever, whatever the retention of its project", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		e, err := client.Keep(c.Context(), args[0], !undo)
		if err != nil {
			return err
		}
		return a.show(e)
	})
	c.Flags().BoolVar(&undo, "undo", false, "keep it only as long as others")
	return c
}

func (a *app) retentionCommand() *cobra.Command {
	return verb("retention NAME", "Tell how long executions stay, and which would go now; nothing is removed", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		p, err := client.Retention(c.Context(), args[0])
		if err != nil {
			return err
		}
		goes := "none"
		if p.Removes > 0 {
			goes = fmt.Sprintf("%d, with %d bytes of log, ended %s to %s", p.Removes, p.RemovesBytes, moment(p.RemovesFromAt), moment(p.RemovesToAt))
		}
		return one(a, p, args[0], []field{
			{"Executions stay", stay(p.Days, p.FailedDays, p.Executions, p.Bytes)},
			{"Ended executions", strconv.FormatInt(p.Ended, 10)},
			{"Kept by a person", strconv.FormatInt(p.Kept, 10)},
			{"Would go now", goes},
		})
	})
}

// stay tells in words how long executions stay.
func stay(days, failedDays float64, executions, bytes int64) string {
	var words []string
	if days > 0 {
		words = append(words, fmt.Sprintf("%g days", days))
	}
	if failedDays > 0 {
		words = append(words, fmt.Sprintf("%g days if they failed", failedDays))
	}
	if executions > 0 {
		words = append(words, fmt.Sprintf("%d of each job", executions))
	}
	if bytes > 0 {
		words = append(words, fmt.Sprintf("%d bytes of log in all", bytes))
	}
	if len(words) == 0 {
		return "for ever"
	}
	return strings.Join(words, ", ")
}

// purgeFields tell what the last pass took away.
func purgeFields(r *rest.PurgeRun) []field {
	if r.EndedAt == nil {
		return nil
	}
	return []field{{"Retention", fmt.Sprintf("%d executions, %d bytes of log, at %s", r.Executions, r.Bytes, moment(r.EndedAt))}}
}

// purgeLines tell what could not be taken away.
func purgeLines(r *rest.PurgeRun) []string {
	if r.LastError == nil {
		return nil
	}
	if r.Deleting == 0 {
		return []string{"The last pass of the retention failed; it is tried again.\n" + *r.LastError}
	}
	return []string{fmt.Sprintf("%d executions whose retention is over are not deleted yet; it is tried again.\n%s", r.Deleting, *r.LastError)}
}
