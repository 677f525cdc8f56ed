-- Grants whose rows retention took while their runner may still show them: docs/retention.md.

-- +goose Up
CREATE TABLE purged_grant (
    attempt_id TEXT PRIMARY KEY,
    offered_at BIGINT NOT NULL
);
CREATE INDEX purged_grant_age ON purged_grant (offered_at);
