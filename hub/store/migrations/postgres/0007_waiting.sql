-- Executions that wait for a time or for their turn: docs/schedules.md, "One at a time".

-- +goose Up
-- Which of the executions that its job may have at once it is, from 1; 0 where the job has no limit, and while it waits.
ALTER TABLE execution ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
-- time, turn, or '' once it may go on.
ALTER TABLE execution ADD COLUMN waits_for TEXT NOT NULL DEFAULT '';
-- When it is to start, or was; 0: at once.
ALTER TABLE execution ADD COLUMN run_at BIGINT NOT NULL DEFAULT 0;
-- Why it ended before anything of it started.
ALTER TABLE execution ADD COLUMN reason TEXT NOT NULL DEFAULT '';

-- What runs now counts: without this a job would run beside itself once more.
UPDATE execution SET turn = 1 WHERE outcome = '' AND ended_at = 0 AND job_id <> ''
    AND number = (SELECT min(o.number) FROM execution o WHERE o.job_id = execution.job_id AND o.outcome = '' AND o.ended_at = 0);
CREATE UNIQUE INDEX execution_turn ON execution (job_id, turn) WHERE turn > 0 AND outcome = '';

CREATE TABLE execution_wait (
    execution_id TEXT PRIMARY KEY REFERENCES execution (id) ON DELETE CASCADE,
    -- '' of a command.
    job_id       TEXT NOT NULL,
    project_id   TEXT NOT NULL,
    -- 0: it waits for its turn alone.
    due_at       BIGINT NOT NULL,
    -- Since when it is in the line.
    since        BIGINT NOT NULL,
    -- How many of its job may run at once; 0: any number.
    most         BIGINT NOT NULL,
    -- It is a fire of a schedule.
    fire         BOOLEAN NOT NULL,
    -- What runs, without nodes; and by what they are chosen when it starts.
    spec         TEXT NOT NULL,
    choice       TEXT NOT NULL,
    -- Values of secure options, under the master key.
    sealed       BYTEA
);
CREATE INDEX execution_wait_due ON execution_wait (due_at);
CREATE INDEX execution_wait_job ON execution_wait (job_id, since, execution_id);
