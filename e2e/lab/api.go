package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// API speaks to a hub as an outside program would: plain HTTP and JSON, by the names
// that are fixed for automation, and nothing of our own client.
type API struct {
	URL, Token string
	// Cookie of a session, in place of a token.
	Cookie string
	// Client for a hub whose certificate only it trusts; nil: http.DefaultClient.
	Client *http.Client
}

// Execution is what the lab reads of an execution.
type Execution struct {
	ID          string         `json:"id"`
	Number      int64          `json:"number"`
	Status      string         `json:"status"`
	Outcome     string         `json:"outcome"`
	LogComplete bool           `json:"logComplete"`
	Nodes       map[string]int `json:"nodes"`
	WaitingFor  *struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	} `json:"waitingFor"`
}

// NodeStep is one cell of an execution's matrix; steps count from 1.
type NodeStep struct {
	Node      string
	Step, Try int
	Status    string
	Reason    string
	Message   string
	Late      string
}

// RunnerInfo is what the lab reads of a runner.
type RunnerInfo struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Connected   bool   `json:"connected"`
	Quarantined string `json:"quarantined"`
}

// Error is an answer of the hub that is not a success.
type Error struct {
	Status int
	Body   string
}

func (e *Error) Error() string { return fmt.Sprintf("hub answers %d: %s", e.Status, e.Body) }

// Do sends body (JSON unless it is a string or bytes) and decodes the answer into out.
func (a *API) Do(ctx context.Context, method, path string, body, out any) error {
	kind, reader := "application/json", io.Reader(nil)
	switch b := body.(type) {
	case nil:
	case string:
		kind, reader = "application/yaml", strings.NewReader(b)
	case []byte:
		kind, reader = "application/octet-stream", bytes.NewReader(b)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the body of %s: %w", path, err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.URL+"/api/v1"+path, reader)
	if err != nil {
		return err
	}
	req.Header = a.header()
	req.Header.Set("Content-Type", kind)
	if method == http.MethodPut {
		req.Header.Set("If-Match", "*") // whatever is there
	}
	res, err := a.client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", path, err)
	}
	if res.StatusCode >= 300 {
		return &Error{res.StatusCode, string(text)}
	}
	switch o := out.(type) {
	case nil:
		return nil
	case *string:
		*o = string(text)
		return nil
	default:
		return json.Unmarshal(text, out)
	}
}

func (a *API) client() *http.Client {
	if a.Client == nil {
		return http.DefaultClient
	}
	return a.Client
}

// header says who asks.
func (a *API) header() http.Header {
	if a.Cookie != "" {
		return http.Header{"Cookie": {a.Cookie}, "Origin": {a.URL}} // as a browser does
	}
	return http.Header{"Authorization": {"Bearer " + a.Token}}
}

// SignIn takes a sign-in link's secret to the hub and returns an API that speaks as the
// session that it makes.
func (a *API) SignIn(ctx context.Context, link string) (*API, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/api/v1/sessions", strings.NewReader(`{"link": "`+link+`"}`))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusCreated || len(res.Cookies()) == 0 {
		text, _ := io.ReadAll(res.Body)
		return nil, &Error{res.StatusCode, string(text)}
	}
	return &API{URL: a.URL, Client: a.Client, Cookie: res.Cookies()[0].Name + "=" + res.Cookies()[0].Value}, nil
}

// CreateProject makes a project.
func (a *API) CreateProject(ctx context.Context, name string, settings map[string]string) error {
	body := map[string]any{"name": name}
	if settings != nil {
		body["settings"] = settings
	}
	return a.Do(ctx, http.MethodPost, "/projects", body, nil)
}

// ImportNodes replaces a project's nodes by those of a YAML file.
func (a *API) ImportNodes(ctx context.Context, project, yaml string) error {
	return a.Do(ctx, http.MethodPut, "/projects/"+project+"/nodes", yaml, nil)
}

// ImportJobs imports a YAML file of jobs.
func (a *API) ImportJobs(ctx context.Context, project, yaml string) error {
	return a.Do(ctx, http.MethodPost, "/projects/"+project+"/jobs/import", yaml, nil)
}

// SetKey stores a key under keys/...
func (a *API) SetKey(ctx context.Context, path, kind string, value []byte) error {
	return a.Do(ctx, http.MethodPut, "/keys/"+strings.TrimPrefix(path, "keys/")+"?type="+kind, value, nil)
}

// Run starts a job.
func (a *API) Run(ctx context.Context, project, job string, options map[string]string) (Execution, error) {
	var e Execution
	body := map[string]any{}
	if options != nil {
		body["options"] = options
	}
	return e, a.Do(ctx, http.MethodPost, "/projects/"+project+"/jobs/"+url.PathEscape(job)+"/executions", body, &e)
}

// Execution reads one execution.
func (a *API) Execution(ctx context.Context, id string) (Execution, error) {
	var e Execution
	return e, a.Do(ctx, http.MethodGet, "/executions/"+id, nil, &e)
}

// Wait polls an execution until it is final, also while the hub is away.
func (a *API) Wait(ctx context.Context, id string, limit time.Duration) (Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var e Execution
	err := Poll(ctx, 20*time.Millisecond, func() error {
		now, err := a.Execution(ctx, id)
		if err != nil {
			return err // also when time is over in the middle of a call: what was read before stands
		}
		e = now
		switch e.Status {
		case "succeeded", "failed", "cancelled", "timed_out", "unknown", "missed":
			return nil
		}
		return fmt.Errorf("execution %d is %s after %v (outcome %q, waiting for %+v)", e.Number, e.Status, limit, e.Outcome, e.WaitingFor)
	})
	return e, err
}

// NodeSteps reads the matrix of an execution.
func (a *API) NodeSteps(ctx context.Context, id string) ([]NodeStep, error) {
	var page struct {
		Items []struct {
			Node  string
			Steps []struct {
				Step, Try                           int
				Status, Reason, Message, LateStatus string
			}
		}
	}
	if err := a.Do(ctx, http.MethodGet, "/executions/"+id+"/nodes", nil, &page); err != nil {
		return nil, err
	}
	var rows []NodeStep
	for _, n := range page.Items {
		for _, s := range n.Steps {
			rows = append(rows, NodeStep{n.Node, s.Step + 1, s.Try, s.Status, s.Reason, s.Message, s.LateStatus})
		}
	}
	return rows, nil
}

// Log reads an execution's whole log as text with query added.
func (a *API) Log(ctx context.Context, id, query string) (string, error) {
	var text string
	return text, a.Do(ctx, http.MethodGet, "/executions/"+id+"/log?"+query, nil, &text)
}

// Cancel asks for the end of an execution, or of some of its nodes.
func (a *API) Cancel(ctx context.Context, id string, nodes ...string) error {
	body := map[string]any{}
	if len(nodes) > 0 {
		body["nodes"] = nodes
	}
	return a.Do(ctx, http.MethodPost, "/executions/"+id+"/cancel", body, nil)
}

// EnrolmentToken makes a one-use token.
func (a *API) EnrolmentToken(ctx context.Context, project string, tags ...string) (string, error) {
	var t struct {
		Token string `json:"token"`
	}
	body := map[string]any{"projects": []string{project}}
	if len(tags) > 0 {
		body["tags"] = tags
	}
	return t.Token, a.Do(ctx, http.MethodPost, "/runners/tokens", body, &t)
}

// Runners lists the runners.
func (a *API) Runners(ctx context.Context) ([]RunnerInfo, error) {
	var page struct {
		Items []RunnerInfo `json:"items"`
	}
	return page.Items, a.Do(ctx, http.MethodGet, "/runners?limit=1000", nil, &page)
}
