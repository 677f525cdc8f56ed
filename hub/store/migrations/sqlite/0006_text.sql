-- Where the text of a log breaks lines of several nodes apart: docs/api.md.

-- +goose Up
-- The node whose line has no end yet behind the last stored chunk: its position in the attempt's spec and one more; 0 for none.
ALTER TABLE attempt_log ADD COLUMN text_open BIGINT NOT NULL DEFAULT 0;
