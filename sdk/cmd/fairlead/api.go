package main

import (
	"bytes"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// apiCommand sends any request.
func (a *app) apiCommand() *cobra.Command {
	var data, contentType string
	c := verb("api METHOD PATH", "Send any request of the REST API and print the answer", cobra.ExactArgs(2), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		path := args[1]
		if !strings.HasPrefix(path, "/") {
			path = "/api/v1/" + path
		}
		var body io.Reader
		if data != "" {
			text := []byte(data)
			if file, ok := strings.CutPrefix(data, "@"); ok {
				if text, err = a.readFile(file); err != nil {
					return err
				}
			}
			body = bytes.NewReader(text)
		} else {
			contentType = ""
		}
		resp, err := client.Do(c.Context(), strings.ToUpper(args[0]), path, contentType, body)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(a.out, resp.Body)
		return err
	})
	c.Flags().StringVar(&data, "data", "", "body: a text, @FILE, or @- for standard input")
	c.Flags().StringVar(&contentType, "content-type", "application/json", "media type of the body")
	return c
}

// writeFile writes an answer to a file, or to standard output for "-".
func (a *app) writeFile(name string, b []byte) error {
	if name == "-" {
		_, err := a.out.Write(b)
		return err
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return &exitError{exitOther, err}
	}
	return nil
}
