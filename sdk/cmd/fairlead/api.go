package main

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/fairlead/fairlead/sdk"
)

// apiFlags of fairlead api.
type apiFlags struct {
	data, contentType, ifMatch string
	headers                    []string
}

// apiCommand sends any request.
func (a *app) apiCommand() *cobra.Command {
	var f apiFlags
	c := verb("api METHOD PATH", "Send any request of the REST API and print the answer", cobra.ExactArgs(2), func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		return a.request(c.Context(), client, strings.ToUpper(args[0]), args[1], f)
	})
	c.Long = "Sends a request, such as: fairlead api PATCH runners/r1 --data '{\"tags\":[\"dc2\"]}'\n\n" +
		"PATH is below /api/v1/ unless it begins with a slash. A POST bears an Idempotency-Key of its\n" +
		"own, so that it may be repeated when no hub answers. A PATCH or DELETE needs the ETag of what\n" +
		"it is based on: without --if-match, that of the same path is read first, and so what is there\n" +
		"now is changed; --if-match ETAG changes nothing that was changed since, --if-match '*' asks no\n" +
		"questions. An answer is printed as it comes; -o json or yaml makes JSON readable."
	c.Flags().StringVar(&f.data, "data", "", "body: a text, @FILE, or @- for standard input")
	c.Flags().StringVar(&f.contentType, "content-type", "application/json", "media type of the body")
	c.Flags().StringVar(&f.ifMatch, "if-match", "", "ETag of what a PATCH or DELETE is based on, * for whatever is there")
	c.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "a header, 'NAME: VALUE'")
	return c
}

// request sends a request and prints the answer.
func (a *app) request(ctx context.Context, client *sdk.Client, method, path string, f apiFlags) error {
	if !strings.HasPrefix(path, "/") {
		path = "/api/v1/" + path
	}
	header, err := f.header()
	if err != nil {
		return err
	}
	var body io.Reader
	if f.data != "" {
		text := []byte(f.data)
		if file, ok := strings.CutPrefix(f.data, "@"); ok {
			if text, err = a.readFile(file); err != nil {
				return err
			}
		}
		body = bytes.NewReader(text)
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", f.contentType)
		}
	}
	switch {
	case method == http.MethodPost && header.Get("Idempotency-Key") == "":
		header.Set("Idempotency-Key", uuid.NewString())
	case (method == http.MethodPatch || method == http.MethodDelete) && header.Get("If-Match") == "":
		if tag := currentTag(ctx, client, path); tag != "" {
			header.Set("If-Match", tag)
		}
	}
	resp, err := client.Do(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return a.answer(resp)
}

// header is what -H and --if-match say.
func (f apiFlags) header() (http.Header, error) {
	header := http.Header{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usage("%q is not a header; it looks like 'NAME: VALUE'", h)
		}
		header.Add(name, strings.TrimSpace(value))
	}
	if f.ifMatch != "" {
		header.Set("If-Match", f.ifMatch)
	}
	return header, nil
}

// currentTag is the ETag of what is at path now, "" if it has none: then the request
// goes without, and the hub says what it lacks.
func currentTag(ctx context.Context, client *sdk.Client, path string) string {
	path, _, _ = strings.Cut(path, "?")
	resp, err := client.Do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return ""
	}
	_ = resp.Body.Close() // only its header was of use
	return resp.Header.Get("ETag")
}

// answer prints an answer: as it comes, a stream too, or JSON as -o says.
func (a *app) answer(resp *http.Response) error {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if a.flags.output == "table" || err != nil || media != "application/json" {
		_, err := io.Copy(a.out, resp.Body)
		return err
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return a.print(b)
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
