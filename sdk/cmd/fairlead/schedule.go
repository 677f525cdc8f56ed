package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

func (a *app) schedules() *cobra.Command {
	noun := a.noun("schedules", "When jobs run by themselves", "schedule")
	lists := verb("list", "List schedules: of one project, or of all", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		all, err := client.Schedules(c.Context(), first(a.flags.project, a.getenv("FAIRLEAD_PROJECT")))
		if err != nil {
			return err
		}
		return list(a, all, func(s rest.Schedule) string { return s.JobID }, []string{"PROJECT", "JOB", "EXPRESSION", "ZONE", "NEXT", "LAST", "WHY NOT"},
			func(s rest.Schedule) []string {
				return []string{s.Project, fullName(s.Group, s.Name), s.Expression, s.TimeZone, moment(s.NextFireAt), moment(s.LastFireAt), text(s.WhyNot)}
			})
	})
	pause := a.scheduleSwitch("pause JOB", "Stop the schedule of a job; it outlives imports of the job", (*sdk.Client).PauseSchedule)
	resume := a.scheduleSwitch("resume JOB", "Let the schedule of a job go on from now", (*sdk.Client).ResumeSchedule)
	for _, c := range []*cobra.Command{lists, a.nextFires(), pause, resume} {
		a.projectFlag(c)
		noun.AddCommand(c)
	}
	return noun
}

// fireRow is a fire in a table, coming or past.
type fireRow struct {
	at                  time.Time
	state, what, reason string
}

func (a *app) nextFires() *cobra.Command {
	var count int
	c := verb("next JOB", "The next fires of a job, and what became of the last", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		f, err := client.Fires(c.Context(), project, args[0], count)
		if err != nil {
			return err
		}
		if why := text(f.WhyNot); why != "" {
			a.say("%s", why)
		}
		if a.flags.output != "table" {
			return a.encode(f)
		}
		return list(a, fireRows(f), func(r fireRow) string { return r.at.UTC().Format(time.RFC3339) }, []string{"TIME", "STATE", "EXECUTION", "REASON"},
			func(r fireRow) []string { return []string{moment(&r.at), r.state, r.what, r.reason} })
	})
	c.Flags().IntVar(&count, "count", 10, "how many coming and past fires at most")
	return c
}

// fireRows are all fires in the order of time.
func fireRows(f *rest.Fires) []fireRow {
	var rows []fireRow
	for _, p := range slices.Backward(f.Past) {
		rows = append(rows, fireRow{p.At, string(p.Status), text(p.ExecutionID), text(p.Reason)})
	}
	coming := len(rows)
	for _, at := range f.Coming {
		rows = append(rows, fireRow{at: at, state: "coming"})
	}
	for _, t := range f.TakenOut {
		rows = append(rows, fireRow{at: t.At, state: "taken out", reason: "Calendar " + t.Calendar + "."})
	}
	slices.SortStableFunc(rows[coming:], func(a, b fireRow) int { return a.at.Compare(b.at) })
	return rows
}

func (a *app) scheduleSwitch(use, short string, do func(*sdk.Client, context.Context, string, string) (*rest.Schedule, error)) *cobra.Command {
	return verb(use, short, cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		s, err := do(client, c.Context(), project, args[0])
		if err != nil {
			return err
		}
		return one(a, s, s.JobID, []field{
			{"Job", fullName(s.Group, s.Name)},
			{"Expression", s.Expression},
			{"Time zone", s.TimeZone},
			{"Next", moment(s.NextFireAt)},
			{"Last", moment(s.LastFireAt)},
			{"Why not", text(s.WhyNot)},
		})
	})
}
