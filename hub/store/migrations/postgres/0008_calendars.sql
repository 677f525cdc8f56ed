-- Days on which jobs must not, or may only, run by their schedules: docs/schedules.md, "Calendars".

-- +goose Up
CREATE TABLE calendar (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    project_id      TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL DEFAULT '',
    -- exclude or only.
    mode            TEXT NOT NULL,
    -- JSON list.
    days            TEXT NOT NULL,
    revision        BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

-- Which calendars the newest definition of a job names.
CREATE TABLE job_calendar (
    job_id      TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    calendar_id TEXT NOT NULL REFERENCES calendar (id),
    PRIMARY KEY (job_id, calendar_id)
);
CREATE INDEX job_calendar_calendar ON job_calendar (calendar_id);
