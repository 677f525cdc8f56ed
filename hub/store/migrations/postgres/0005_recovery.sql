-- A database that went back in time: docs/recovery.md.

-- +goose Up
-- The server that the database was last seen on; '' and 0 when that is not known yet.
ALTER TABLE cluster ADD COLUMN system_id TEXT NOT NULL DEFAULT '';
ALTER TABLE cluster ADD COLUMN timeline BIGINT NOT NULL DEFAULT 0;
-- promotion, restore or planned; '' when nothing is held.
ALTER TABLE cluster ADD COLUMN held_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE cluster ADD COLUMN held_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE cluster ADD COLUMN held_at BIGINT NOT NULL DEFAULT 0;
-- The newest moment that the database knew of when it was held.
ALTER TABLE cluster ADD COLUMN held_from BIGINT NOT NULL DEFAULT 0;

-- Made from what runners showed, because the database had lost it: it starts nothing.
ALTER TABLE execution ADD COLUMN recovered BOOLEAN NOT NULL DEFAULT FALSE;
-- Of the database when the session began.
ALTER TABLE runner_session ADD COLUMN incarnation BIGINT NOT NULL DEFAULT 1;

-- Executions of an older incarnation that may go on in the present one.
CREATE TABLE execution_release (
    execution_id TEXT PRIMARY KEY,
    incarnation  BIGINT NOT NULL,
    released_at  BIGINT NOT NULL,
    -- A person, or '' for the proof that no runner had it.
    released_by  TEXT NOT NULL DEFAULT ''
);

-- Runners that have shown all they have to the present incarnation.
CREATE TABLE recovery_report (
    runner_id   TEXT PRIMARY KEY,
    incarnation BIGINT NOT NULL,
    reported_at BIGINT NOT NULL
);
