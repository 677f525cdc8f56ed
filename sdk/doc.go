// Package sdk is the Go client of the hub's REST API.
//
//	c, err := sdk.New(sdk.Config{URL: "https://hub.example:8440", Token: token})
//	e, err := c.RunJob(ctx, "web", "ops/restart", rest.RunJob{}, 0)
//	end, err := c.FollowLog(ctx, e.ID, sdk.LogOptions{}, func(l rest.LogLine) error { ... })
//
// Methods return the generated types of package rest. An answer of the hub that is
// not a success is an *Error. Requests that may be repeated without harm are, while a
// hub restarts (Config.Patience); creates carry an idempotency key, so they may too.
package sdk
