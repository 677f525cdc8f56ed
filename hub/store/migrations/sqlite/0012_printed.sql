-- What node steps printed counts against the log limit of later ones: docs/log-filters.md.

-- +goose Up
ALTER TABLE node_step ADD COLUMN printed_lines BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node_step ADD COLUMN printed_bytes BIGINT NOT NULL DEFAULT 0;
