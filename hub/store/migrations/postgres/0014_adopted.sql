-- Assignments that a runner showed after the database had gone back: docs/recovery.md.

-- +goose Up
ALTER TABLE assignment ADD COLUMN adopted BOOLEAN NOT NULL DEFAULT FALSE;
