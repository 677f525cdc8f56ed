// Package rest is the client that is generated from the hub's OpenAPI document: one
// method for each operation, one type for each schema. Package sdk is the face to
// use; this one is for operations that it does not cover.
package rest

//go:generate go tool -modfile=../../.tools/oapi-codegen/go.mod oapi-codegen -config ../../.tools/oapi-codegen/config.yaml ../../hub/api/openapi.json
