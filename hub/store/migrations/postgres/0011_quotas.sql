-- How much log an organisation may hold and print: docs/quotas.md.

-- +goose Up
-- Bytes of text in all logs, and of what one execution prints; 0: no limit.
ALTER TABLE organisation ADD COLUMN log_quota BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organisation ADD COLUMN execution_log_quota BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organisation ADD COLUMN quota_revision BIGINT NOT NULL DEFAULT 1;
-- Bytes of text in all logs, and when they were counted; 0: never.
ALTER TABLE organisation ADD COLUMN log_used BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organisation ADD COLUMN log_counted_at BIGINT NOT NULL DEFAULT 0;
