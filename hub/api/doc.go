// Package api is the hub's REST face: /api/v1 with its OpenAPI document, live events
// and logs over WebSocket and NDJSON, the runner installer, health and metrics.
//
// Its types are its own and are converted from the vocabulary, so that a change
// inside the hub never changes the published contract by accident: openapi.json
// beside this file is generated from them, committed, and compared by a test.
//
// A handler returns an error; one table (problem.go) turns its code into a status.
// Every operation names the right it needs where it is registered; one middleware
// checks it.
package api

//go:generate go test -run TestOpenAPIFresh -update .
