package sdk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead/fairlead/sdk/rest"
)

// Me tells who the token speaks for.
func (c *Client) Me(ctx context.Context) (*rest.Me, error) {
	return decode[rest.Me](ctx, c)(rest.NewGetMeRequest(c.base))
}

// SignIn checks a password and returns the session's cookie, with which an API token
// can be made (CreateToken with WithCookie). SignOut ends the session.
func (c *Client) SignIn(ctx context.Context, user, password string) (*http.Cookie, error) {
	return c.signIn(ctx, rest.SignIn{User: &user, Password: &password})
}

// SignInByLink does as SignIn with the secret of a one-time sign-in link, which is used
// up by it.
func (c *Client) SignInByLink(ctx context.Context, secret string) (*http.Cookie, error) {
	return c.signIn(ctx, rest.SignIn{Link: &secret})
}

func (c *Client) signIn(ctx context.Context, in rest.SignIn) (*http.Cookie, error) {
	req, err := rest.NewCreateSessionRequest(c.base, in)
	if err != nil {
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	resp, err := c.send(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		return cookie, nil
	}
	return nil, &Error{Status: resp.StatusCode, Code: CodeInternal, Message: "the hub signed in without a session cookie"}
}

// SignOut ends the session of a cookie.
func (c *Client) SignOut(ctx context.Context, cookie *http.Cookie) error {
	return done(ctx, c, WithCookie(cookie))(rest.NewDeleteSessionRequest(c.base))
}

// WithCookie makes a request act as a session in place of a token.
func WithCookie(cookie *http.Cookie) rest.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Del("Authorization")
		r.AddCookie(cookie)
		return nil
	}
}

// CreateToken makes an API token for who asks; ttl 0 is the hub's default.
func (c *Client) CreateToken(ctx context.Context, name string, ttl time.Duration, as ...rest.RequestEditorFn) (*rest.CreatedToken, error) {
	in := rest.NewToken{Name: name, TTLMs: optional(ttl.Milliseconds())}
	return decode[rest.CreatedToken](ctx, c, as...)(rest.NewCreateTokenRequest(c.base, &rest.CreateTokenParams{IdempotencyKey: newKey()}, in))
}

// Tokens lists the API tokens of who asks, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]rest.Token, error) {
	return all(func(cursor *string) ([]rest.Token, *string, error) {
		p, err := decode[rest.TokenList](ctx, c)(rest.NewListTokensRequest(c.base, &rest.ListTokensParams{Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	})
}

// DeleteToken ends an API token of who asks; it is refused at every member within 5 s.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	return done(ctx, c)(rest.NewDeleteTokenRequest(c.base, id))
}

// Projects lists all projects.
func (c *Client) Projects(ctx context.Context) ([]rest.Project, error) {
	return all(func(cursor *string) ([]rest.Project, *string, error) {
		p, err := decode[rest.ProjectList](ctx, c)(rest.NewListProjectsRequest(c.base, &rest.ListProjectsParams{Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	})
}

// Project shows one.
func (c *Client) Project(ctx context.Context, name string) (*rest.Project, error) {
	return decode[rest.Project](ctx, c)(rest.NewGetProjectRequest(c.base, name))
}

// CreateProject makes one.
func (c *Client) CreateProject(ctx context.Context, p rest.NewProject, as ...rest.RequestEditorFn) (*rest.Project, error) {
	return decode[rest.Project](ctx, c, as...)(rest.NewCreateProjectRequest(c.base, &rest.CreateProjectParams{IdempotencyKey: newKey()}, p))
}

// ChangeProject changes what is set in change, if the project is still of the
// revision; 0 changes whatever is there.
func (c *Client) ChangeProject(ctx context.Context, name string, revision int64, change rest.ProjectChange) (*rest.Project, error) {
	return decode[rest.Project](ctx, c)(rest.NewChangeProjectRequest(c.base, name, &rest.ChangeProjectParams{IfMatch: etag(revision)}, change))
}

// Retention tells how long executions of a project stay, and which would go now.
func (c *Client) Retention(ctx context.Context, project string) (*rest.RetentionPlan, error) {
	return decode[rest.RetentionPlan](ctx, c)(rest.NewGetRetentionRequest(c.base, project))
}

// Quota tells how much log may be held and printed, and how much is held.
func (c *Client) Quota(ctx context.Context) (*rest.Quota, error) {
	return decode[rest.Quota](ctx, c)(rest.NewGetQuotaRequest(c.base))
}

// ChangeQuota changes what is set in change, if the quota is still of the revision; 0
// changes whatever is there.
func (c *Client) ChangeQuota(ctx context.Context, revision int64, change rest.QuotaChange) (*rest.Quota, error) {
	return decode[rest.Quota](ctx, c)(rest.NewChangeQuotaRequest(c.base, &rest.ChangeQuotaParams{IfMatch: etag(revision)}, change))
}

// DeleteProject deletes one with its jobs and nodes.
func (c *Client) DeleteProject(ctx context.Context, name string) error {
	return done(ctx, c)(rest.NewDeleteProjectRequest(c.base, name, &rest.DeleteProjectParams{IfMatch: etag(0)}))
}

// Nodes lists the nodes that match a filter; "" for all.
func (c *Client) Nodes(ctx context.Context, project, filter string) ([]rest.Node, error) {
	return all(func(cursor *string) ([]rest.Node, *string, error) {
		limit := int64(maxPage)
		p, err := decode[rest.NodeList](ctx, c)(rest.NewListNodesRequest(c.base, project, &rest.ListNodesParams{Cursor: cursor, Limit: &limit, Filter: optional(filter)}))
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	})
}

// Node shows one.
func (c *Client) Node(ctx context.Context, project, name string) (*rest.Node, error) {
	return decode[rest.Node](ctx, c)(rest.NewGetNodeRequest(c.base, project, name))
}

// NodesRevision tells the revision of a project's nodes, 0 before the first import.
func (c *Client) NodesRevision(ctx context.Context, project string) (int64, error) {
	limit := int64(1)
	p, err := decode[rest.NodeList](ctx, c)(rest.NewListNodesRequest(c.base, project, &rest.ListNodesParams{Limit: &limit}))
	if err != nil {
		return 0, err
	}
	return p.Revision, nil
}

// ImportNodes replaces all nodes of a project by those of a file, if they are still of
// the revision; 0 replaces whatever is there. mediaType is application/yaml,
// application/json or application/xml.
func (c *Client) ImportNodes(ctx context.Context, project string, revision int64, mediaType string, file []byte) (*rest.NodeImport, error) {
	params := &rest.ImportNodesParams{IfMatch: etag(revision), IdempotencyKey: newKey()}
	return decode[rest.NodeImport](ctx, c)(rest.NewImportNodesRequestWithBody(c.base, project, params, mediaType, bytes.NewReader(file)))
}

// HostKeys lists the SSH host keys seen of a node.
func (c *Client) HostKeys(ctx context.Context, project, node string) ([]rest.HostKey, error) {
	return all(func(cursor *string) ([]rest.HostKey, *string, error) {
		l, err := decode[rest.HostKeyList](ctx, c)(rest.NewListHostKeysRequest(c.base, project, node, &rest.ListHostKeysParams{Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return l.Items, l.Next, nil
	})
}

// AcceptHostKey chooses the one host key of a node, as listed.
func (c *Client) AcceptHostKey(ctx context.Context, project, node, key string) error {
	return done(ctx, c)(rest.NewAcceptHostKeyRequest(c.base, project, node, rest.AcceptHostKey{Key: key}))
}

// ForgetHostKeys forgets the host keys of a node, so that the next contact records
// them anew.
func (c *Client) ForgetHostKeys(ctx context.Context, project, node string) error {
	return done(ctx, c)(rest.NewForgetHostKeysRequest(c.base, project, node))
}

// Jobs lists the jobs whose group/name contains search; "" for all.
func (c *Client) Jobs(ctx context.Context, project, search string) ([]rest.JobSummary, error) {
	return all(func(cursor *string) ([]rest.JobSummary, *string, error) {
		p, err := decode[rest.JobList](ctx, c)(rest.NewListJobsRequest(c.base, project, &rest.ListJobsParams{Cursor: cursor, Search: optional(search)}))
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	})
}

// Job shows one, by id, group/name or a name that is unique in the project.
func (c *Client) Job(ctx context.Context, project, job string) (*rest.Job, error) {
	return decode[rest.Job](ctx, c)(rest.NewGetJobRequest(c.base, project, job))
}

// ImportJobs creates or updates the jobs of a file, all or none of them.
func (c *Client) ImportJobs(ctx context.Context, project string, file []byte, dryRun bool) (*rest.JobImport, error) {
	params := &rest.ImportJobsParams{DryRun: optional(dryRun), IdempotencyKey: newKey()}
	return decode[rest.JobImport](ctx, c)(rest.NewImportJobsRequestWithBody(c.base, project, params, "application/yaml", bytes.NewReader(file)))
}

// ExportJobs returns jobs as a Rundeck YAML file: one, or all with "".
func (c *Client) ExportJobs(ctx context.Context, project, job string) ([]byte, error) {
	req, err := rest.NewExportJobsRequest(c.base, project)
	if job != "" {
		req, err = rest.NewExportJobRequest(c.base, project, job)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	resp, err := c.send(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// DeleteJob deletes one; its executions stay.
func (c *Client) DeleteJob(ctx context.Context, project, job string) error {
	return done(ctx, c)(rest.NewDeleteJobRequest(c.base, project, job, &rest.DeleteJobParams{IfMatch: etag(0)}))
}

// Keys lists keys whose path begins with prefix, without their values.
func (c *Client) Keys(ctx context.Context, prefix string) ([]rest.Key, error) {
	return all(func(cursor *string) ([]rest.Key, *string, error) {
		l, err := decode[rest.KeyList](ctx, c)(rest.NewListKeysRequest(c.base, &rest.ListKeysParams{Prefix: optional(prefix), Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return l.Items, l.Next, nil
	})
}

// Key shows a key, without its value.
func (c *Client) Key(ctx context.Context, path string) (*rest.Key, error) {
	return decode[rest.Key](ctx, c)(rest.NewGetKeyRequest(c.base, barePath(path)))
}

// SetKey stores a key, in place of one that is still of the revision; 0 replaces
// whatever is there. keyType is private-key, public-key or password.
func (c *Client) SetKey(ctx context.Context, path string, revision int64, keyType string, value []byte) (*rest.Key, error) {
	params := &rest.SetKeyParams{Type: rest.SetKeyParamsType(keyType), IfMatch: etag(revision), IdempotencyKey: newKey()}
	return decode[rest.Key](ctx, c)(rest.NewSetKeyRequestWithBody(c.base, barePath(path), params, "application/octet-stream", bytes.NewReader(value)))
}

// DeleteKey deletes a key, if it is still of the revision; 0 deletes whatever is there.
func (c *Client) DeleteKey(ctx context.Context, path string, revision int64) error {
	return done(ctx, c)(rest.NewDeleteKeyRequest(c.base, barePath(path), &rest.DeleteKeyParams{IfMatch: etag(revision)}))
}

// barePath leaves out what every path of a key begins with.
func barePath(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, "/"), "keys/")
}

// Runners lists all runners, revoked ones too if asked.
func (c *Client) Runners(ctx context.Context, revoked bool) ([]rest.Runner, error) {
	return all(func(cursor *string) ([]rest.Runner, *string, error) {
		l, err := decode[rest.RunnerList](ctx, c)(rest.NewListRunnersRequest(c.base, &rest.ListRunnersParams{Revoked: optional(revoked), Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return l.Items, l.Next, nil
	})
}

// Runner shows one, by id or a name that is unique.
func (c *Client) Runner(ctx context.Context, id string) (*rest.Runner, error) {
	return decode[rest.Runner](ctx, c)(rest.NewGetRunnerRequest(c.base, id))
}

// ChangeRunner changes what is set in change, if the runner is still of the revision;
// 0 changes whatever is there.
func (c *Client) ChangeRunner(ctx context.Context, id string, revision int64, change rest.RunnerChange) (*rest.Runner, error) {
	return decode[rest.Runner](ctx, c)(rest.NewChangeRunnerRequest(c.base, id, &rest.ChangeRunnerParams{IfMatch: etag(revision)}, change))
}

// RevokeRunner refuses a runner for ever.
func (c *Client) RevokeRunner(ctx context.Context, id string) (*rest.Runner, error) {
	return decode[rest.Runner](ctx, c)(rest.NewRevokeRunnerRequest(c.base, id))
}

// ReleaseRunner gives a quarantined or drained runner work again.
func (c *Client) ReleaseRunner(ctx context.Context, id string) (*rest.Runner, error) {
	return decode[rest.Runner](ctx, c)(rest.NewReleaseRunnerRequest(c.base, id))
}

// DrainRunner gives a runner no more work.
func (c *Client) DrainRunner(ctx context.Context, id string) (*rest.Runner, error) {
	return decode[rest.Runner](ctx, c)(rest.NewDrainRunnerRequest(c.base, id))
}

// RunnerTokens lists enrolment tokens, without their secrets.
func (c *Client) RunnerTokens(ctx context.Context) ([]rest.RunnerToken, error) {
	return all(func(cursor *string) ([]rest.RunnerToken, *string, error) {
		l, err := decode[rest.RunnerTokenList](ctx, c)(rest.NewListRunnerTokensRequest(c.base, &rest.ListRunnerTokensParams{Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return l.Items, l.Next, nil
	})
}

// CreateRunnerToken makes a one-use enrolment token; its secret is shown this once.
func (c *Client) CreateRunnerToken(ctx context.Context, t rest.NewRunnerToken, as ...rest.RequestEditorFn) (*rest.CreatedRunnerToken, error) {
	return decode[rest.CreatedRunnerToken](ctx, c, as...)(rest.NewCreateRunnerTokenRequest(c.base, &rest.CreateRunnerTokenParams{IdempotencyKey: newKey()}, t))
}

// RevokeRunnerToken makes a token useless.
func (c *Client) RevokeRunnerToken(ctx context.Context, id string) error {
	return done(ctx, c)(rest.NewRevokeRunnerTokenRequest(c.base, id))
}

// PromoteMember makes a member, by name or id, the active one.
func (c *Client) PromoteMember(ctx context.Context, member string) (*rest.Cluster, error) {
	return decode[rest.Cluster](ctx, c)(rest.NewPromoteMemberRequest(c.base, rest.Promotion{Member: member}))
}

// ChangeMember drains a member, by name or id, or says whether schedules fire on it.
func (c *Client) ChangeMember(ctx context.Context, member string, change rest.MemberChange) (*rest.Cluster, error) {
	return decode[rest.Cluster](ctx, c)(rest.NewChangeMemberRequest(c.base, member, change))
}

// SetExecutionMode says whether schedules fire anywhere: active or passive.
func (c *Client) SetExecutionMode(ctx context.Context, mode string) (*rest.Cluster, error) {
	change := rest.ClusterChange{ExecutionMode: rest.ClusterChangeExecutionMode(mode)}
	return decode[rest.Cluster](ctx, c)(rest.NewChangeClusterRequest(c.base, change))
}

// Cluster shows the installation.
func (c *Client) Cluster(ctx context.Context) (*rest.Cluster, error) {
	return decode[rest.Cluster](ctx, c)(rest.NewGetClusterRequest(c.base))
}

// Schedules lists when jobs run by themselves, of one project or of all with "".
func (c *Client) Schedules(ctx context.Context, project string) ([]rest.Schedule, error) {
	return all(func(cursor *string) ([]rest.Schedule, *string, error) {
		p, err := decode[rest.ScheduleList](ctx, c)(rest.NewListSchedulesRequest(c.base, &rest.ListSchedulesParams{Cursor: cursor, Project: optional(project)}))
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	})
}

// Fires tells the next count fires of a job, and what became of the last ones.
func (c *Client) Fires(ctx context.Context, project, job string, count int) (*rest.Fires, error) {
	n := int64(count)
	return decode[rest.Fires](ctx, c)(rest.NewListFiresRequest(c.base, project, job, &rest.ListFiresParams{Count: &n}))
}

// Calendars lists the calendars of a project.
func (c *Client) Calendars(ctx context.Context, project string) ([]rest.Calendar, error) {
	return all(func(cursor *string) ([]rest.Calendar, *string, error) {
		p, err := decode[rest.CalendarList](ctx, c)(rest.NewListCalendarsRequest(c.base, project, &rest.ListCalendarsParams{Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	})
}

// Calendar returns a calendar of a project.
func (c *Client) Calendar(ctx context.Context, project, name string) (*rest.Calendar, error) {
	return decode[rest.Calendar](ctx, c)(rest.NewGetCalendarRequest(c.base, project, name))
}

// SetCalendar makes a calendar, in place of one that is still of the revision; 0 replaces
// whatever is there.
func (c *Client) SetCalendar(ctx context.Context, project, name string, revision int64, in rest.SetCalendar) (*rest.Calendar, error) {
	params := &rest.SetCalendarParams{IfMatch: etag(revision), IdempotencyKey: newKey()}
	return decode[rest.Calendar](ctx, c)(rest.NewSetCalendarRequest(c.base, project, name, params, in))
}

// DeleteCalendar deletes a calendar that no job goes by, if it is still of the revision; 0
// deletes whatever is there.
func (c *Client) DeleteCalendar(ctx context.Context, project, name string, revision int64) error {
	return done(ctx, c)(rest.NewDeleteCalendarRequest(c.base, project, name, &rest.DeleteCalendarParams{IfMatch: etag(revision)}))
}

// PauseSchedule stops the schedule of a job until it is resumed.
func (c *Client) PauseSchedule(ctx context.Context, project, job string) (*rest.Schedule, error) {
	return decode[rest.Schedule](ctx, c)(rest.NewPauseScheduleRequest(c.base, project, job))
}

// ResumeSchedule lets the schedule of a job go on from now.
func (c *Client) ResumeSchedule(ctx context.Context, project, job string) (*rest.Schedule, error) {
	return decode[rest.Schedule](ctx, c)(rest.NewResumeScheduleRequest(c.base, project, job))
}
