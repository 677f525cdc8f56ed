-- When jobs run by themselves, and what became of each time that they were due.

-- +goose Up
CREATE TABLE job_schedule (
    job_id          TEXT PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    project_id      TEXT NOT NULL,
    job_revision    BIGINT NOT NULL,
    -- NULL: none; 0: to be found, after since, by the member that fires schedules.
    next_fire       BIGINT,
    since           BIGINT NOT NULL,
    last_fire       BIGINT NOT NULL DEFAULT 0,
    paused          BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX job_schedule_due ON job_schedule (next_fire);
CREATE INDEX job_schedule_project ON job_schedule (project_id);

-- One row for each job and time: whoever comes second with the same starts nothing.
CREATE TABLE job_fire (
    job_id       TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    fire_at      BIGINT NOT NULL,
    execution_id TEXT NOT NULL DEFAULT '',
    -- started, missed or failed.
    status       TEXT NOT NULL,
    reason       TEXT NOT NULL DEFAULT '',
    recorded_at  BIGINT NOT NULL,
    PRIMARY KEY (job_id, fire_at)
);
CREATE INDEX job_fire_old ON job_fire (fire_at);
