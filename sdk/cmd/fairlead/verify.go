package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk/proof"
)

func (a *app) exportCommand() *cobra.Command {
	return verb("export ID", "Write the output of an execution with what proves it, for fairlead verify", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		in, err := client.ExportLog(c.Context(), args[0])
		if err != nil {
			return err
		}
		defer in.Close()
		if _, err := io.Copy(a.out, in); err != nil {
			return fmt.Errorf("writing the export: %w", err)
		}
		return nil
	})
}

// verifyExecution verifies what a hub has stored, here and not at the hub.
func (a *app) verifyExecution() *cobra.Command {
	var pin string
	c := verb("verify ID", "Prove that the output of an execution is whole and what its runners wrote; exit code 1 when it is not", cobra.ExactArgs(1), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		in, err := client.ExportLog(c.Context(), args[0])
		if err != nil {
			return err
		}
		defer in.Close()
		return a.verify(in, pin)
	})
	addPin(c, &pin)
	return c
}

func (a *app) verifyFile() *cobra.Command {
	var pin string
	c := verb("verify FILE", "Prove an export of an execution, without a hub; exit code 1 when it is not proven", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		in, err := os.Open(args[0])
		if err != nil {
			return &exitError{exitUsage, err}
		}
		defer in.Close()
		return a.verify(in, pin)
	})
	addPin(c, &pin)
	return c
}

func addPin(c *cobra.Command, pin *string) {
	c.Flags().StringVar(pin, "ca", "", "SHA-256 of the public key of the hub's CA, in hexadecimal; without it the CA is the one that the export names")
}

func (a *app) verify(in io.Reader, pin string) error {
	report, err := proof.Check(in, strings.ToLower(pin))
	if err != nil {
		return &exitError{exitOther, err}
	}
	if err := a.showProof(report); err != nil {
		return err
	}
	if !report.Pinned {
		a.say("Under the CA %s: compare it with what you know of your hub, or give it as --ca.", strings.Join(report.Authorities, ", "))
	}
	if !report.Proven() {
		return &exitError{exitFailed, fmt.Errorf("the output of execution %d is not proven", report.Number)}
	}
	a.say("The output of execution %d is whole, and what its runners signed.", report.Number)
	return nil
}

// showProof answers with what is proven, attempt by attempt.
func (a *app) showProof(report *proof.Report) error {
	if a.flags.output != "table" {
		return a.encode(report)
	}
	return list(a, report.Attempts, func(t proof.Attempt) string { return t.ID }, []string{"ATTEMPT", "RUNNER", "CHUNKS", "LINES", "VERDICT", "FIRST BAD CHUNK", "WHY"},
		func(t proof.Attempt) []string {
			first := ""
			if t.First != nil {
				first = fmt.Sprintf("%d (lines %d to %d)", t.First.Seq, t.First.From+1, max(t.First.From+1, t.First.To))
			}
			return []string{oneLine(t.ID), oneLine(t.RunnerID), strconv.FormatUint(t.Chunks, 10), strconv.FormatInt(t.Lines, 10), string(t.Verdict), first, oneLine(t.Why)}
		})
}
