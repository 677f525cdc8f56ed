-- Where the logs of ended executions lie: docs/archive.md.

-- +goose Up
-- When its chunks are to be packed into the archive: 0 once its execution has ended, later after a failure, -1 when none is left.
ALTER TABLE attempt_log ADD COLUMN pack_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX attempt_log_pack ON attempt_log (pack_at) WHERE pack_at >= 0;

CREATE TABLE log_archive (
    attempt_id   TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL,
    -- planned: the object may be there; archived: it is the log up to chunks.
    state        TEXT NOT NULL,
    -- Its address without options, and where in it the object lies.
    archive      TEXT NOT NULL,
    path         TEXT NOT NULL,
    chunks       BIGINT NOT NULL DEFAULT 0,
    -- Of the object.
    size         BIGINT NOT NULL DEFAULT 0,
    sha256       BLOB,
    -- Tries that failed, and why the last one did.
    tries        BIGINT NOT NULL DEFAULT 0,
    error        TEXT NOT NULL DEFAULT '',
    changed_at   BIGINT NOT NULL,
    -- Of the execution.
    ended_at     BIGINT NOT NULL
);
CREATE INDEX log_archive_execution ON log_archive (execution_id);
CREATE INDEX log_archive_ended ON log_archive (ended_at);
