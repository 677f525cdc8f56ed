package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/fairlead/fairlead/sdk"
	"github.com/fairlead/fairlead/sdk/rest"
)

// calendarFile is a calendar as a file tells it.
type calendarFile struct {
	Name        string   `yaml:"name"`
	Description string   `yaml:"description,omitempty"`
	Mode        string   `yaml:"mode"`
	Days        []string `yaml:"days"`
}

func (a *app) calendars() *cobra.Command {
	noun := a.noun("calendars", "Days on which jobs must not, or may only, run by their schedules", "calendar")
	lists := verb("list", "List calendars", cobra.NoArgs, func(c *cobra.Command, _ []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		all, err := client.Calendars(c.Context(), project)
		if err != nil {
			return err
		}
		return list(a, all, func(c rest.Calendar) string { return c.Name }, []string{"CALENDAR", "MODE", "DAYS", "JOBS", "DESCRIPTION"},
			func(c rest.Calendar) []string {
				return []string{c.Name, string(c.Mode), someOf(c.Days), someOf(c.Jobs), c.Description}
			})
	})
	show := verb("show NAME", "Write a calendar as the file that set reads", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		calendar, err := client.Calendar(c.Context(), project, args[0])
		if err != nil {
			return err
		}
		if a.flags.quiet || a.flags.output != "table" {
			return one(a, calendar, calendar.Name, nil)
		}
		text, err := yaml.Marshal([]calendarFile{{calendar.Name, calendar.Description, string(calendar.Mode), calendar.Days}})
		if err != nil {
			return fmt.Errorf("writing the calendar: %w", err)
		}
		return a.writeFile("-", text)
	})
	set := verb("set FILE", "Make or replace the calendars of a YAML file, - for standard input, in its order", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		return a.setCalendars(c.Context(), args[0])
	})
	remove := verb("delete NAME", "Delete a calendar that no job goes by", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, project, err := a.inProject()
		if err != nil {
			return err
		}
		return client.DeleteCalendar(c.Context(), project, args[0], 0)
	})
	for _, c := range []*cobra.Command{lists, show, set, remove} {
		a.projectFlag(c)
		noun.AddCommand(c)
	}
	return noun
}

// someOf is the beginning of a list, and how long it is.
func someOf(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ",")
	}
	return strings.Join(list[:most], ",") + ",... (" + strconv.Itoa(len(list)) + ")"
}

// setCalendars makes the calendars of a file, up to the first that is refused.
func (a *app) setCalendars(ctx context.Context, name string) error {
	client, project, err := a.inProject()
	if err != nil {
		return err
	}
	file, err := a.readFile(name)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(file)) == 0 {
		return usage("%s is empty; write name, mode and days of a calendar into it", name)
	}
	calendars, err := readCalendars(file)
	if err != nil {
		return usage("%s is no file of calendars: %v", name, err)
	}
	done := []rest.Calendar{}
	for _, c := range calendars {
		revision, err := calendarRevision(ctx, client, project, c.Name)
		if err != nil {
			return err
		}
		in := rest.SetCalendar{Mode: rest.SetCalendarMode(c.Mode), Days: c.Days}
		if c.Description != "" {
			in.Description = &c.Description
		}
		set, err := client.SetCalendar(ctx, project, c.Name, revision, in)
		if err != nil {
			if len(done) > 0 {
				a.say("What stands before it was set: %d calendars.", len(done))
			}
			return fmt.Errorf("calendar %s: %w", c.Name, err)
		}
		done = append(done, *set)
	}
	return list(a, done, func(c rest.Calendar) string { return c.Name }, []string{"CALENDAR", "MODE", "DAYS", "JOBS", "REVISION"},
		func(c rest.Calendar) []string {
			return []string{c.Name, string(c.Mode), someOf(c.Days), someOf(c.Jobs), strconv.FormatInt(c.Revision, 10)}
		})
}

// readCalendars reads one calendar, or a list of them.
func readCalendars(file []byte) (all []calendarFile, err error) {
	var shape any
	if err := yaml.Load(file, &shape); err != nil {
		return nil, err
	}
	if _, many := shape.([]any); many {
		err = yaml.Load(file, &all, yaml.WithKnownFields())
	} else {
		all = make([]calendarFile, 1)
		err = yaml.Load(file, &all[0], yaml.WithKnownFields())
	}
	if err != nil {
		return nil, err
	}
	for i, c := range all {
		if c.Name == "" {
			return nil, fmt.Errorf("calendar %d of it has no name", i+1)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("it holds none; write name, mode and days")
	}
	return all, nil
}

// calendarRevision is the revision of a calendar, 0 for one that is not there yet.
func calendarRevision(ctx context.Context, client *sdk.Client, project, name string) (int64, error) {
	c, err := client.Calendar(ctx, project, name)
	switch {
	case sdk.ErrorCode(err) == sdk.CodeNotFound:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return c.Revision, nil
}
