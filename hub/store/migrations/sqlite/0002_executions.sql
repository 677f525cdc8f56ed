-- +goose Up
-- Executions and what becomes of them. Rows that change often are narrow: what is wide or written by
-- another loop lies in a table beside. Foreign keys stop at the assignment: attempts and their output are
-- inserted beside a row of their own parent that the same transaction has locked, and a check for
-- each of them would cost as much as the insert.

CREATE TABLE execution (
    id TEXT NOT NULL UNIQUE,
    -- Never used again, also not after the row is gone.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    project_id TEXT NOT NULL,
    job_id TEXT NOT NULL DEFAULT '',
    job_revision BIGINT NOT NULL DEFAULT 0,
    job_name TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
    log_complete BOOLEAN NOT NULL DEFAULT FALSE,
    -- How many slices its plan has: while it has one, nothing else need be read to end it.
    slices BIGINT NOT NULL,
    node_count BIGINT NOT NULL,
    keepgoing BOOLEAN NOT NULL,
    lost_after BIGINT NOT NULL,
    cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
    cancelled_by TEXT NOT NULL DEFAULT '',
    -- JSON list of positions of nodes that were ended one by one; '' for none.
    cancelled_nodes TEXT NOT NULL DEFAULT '',
    no_new BOOLEAN NOT NULL DEFAULT FALSE,
    incarnation BIGINT NOT NULL,
    started_by TEXT NOT NULL DEFAULT '',
    waiting_kind TEXT NOT NULL DEFAULT '',
    waiting_since BIGINT NOT NULL DEFAULT 0,
    waiting_message TEXT NOT NULL DEFAULT '',
    timeout_us BIGINT NOT NULL DEFAULT 0,
    runner_timeout_us BIGINT NOT NULL DEFAULT 0,
    -- execution_spec holds sealed values of secure options.
    sealed BOOLEAN NOT NULL DEFAULT FALSE,
    -- Tick at which the outcome was told; the log is given up lost_after ticks behind it and the last chunk.
    outcome_tick BIGINT NOT NULL DEFAULT 0,
    -- JSON object, written at the end.
    node_counts TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX execution_organisation ON execution (organisation_id, number);
CREATE INDEX execution_project ON execution (project_id, number);
CREATE INDEX execution_job ON execution (job_id, number) WHERE job_id <> '';
CREATE INDEX execution_open ON execution (id) WHERE ended_at = 0;

-- What an execution does, as it was when it started; never changed, but sealed_options go at its end.
CREATE TABLE execution_spec (
    execution_id TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    nodes TEXT NOT NULL,
    -- JSON list of tag lists, and for each node which of them its runner must bear.
    routes TEXT NOT NULL,
    node_routes TEXT NOT NULL,
    options TEXT NOT NULL,
    secure_options TEXT NOT NULL,
    node_filter TEXT NOT NULL DEFAULT '',
    threads BIGINT NOT NULL,
    strategy TEXT NOT NULL,
    sealed_options BLOB
);

CREATE TABLE assignment (
    id TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL REFERENCES execution (id),
    organisation_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    nodes TEXT NOT NULL,
    steps TEXT NOT NULL,
    runner_tags TEXT NOT NULL,
    threads BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- What the last change was, one of the words in docs/state-machines.md; the trigger looks at it.
    event TEXT NOT NULL,
    -- Something in it failed in a way that stops what keepgoing would let go on.
    stops BOOLEAN NOT NULL DEFAULT FALSE,
    reason TEXT NOT NULL DEFAULT '',
    attempts BIGINT NOT NULL DEFAULT 0,
    open_attempt BOOLEAN NOT NULL DEFAULT FALSE,
    -- Added to the tries that a runner counts, so that rows of an earlier assignment are not hit.
    try_base BIGINT NOT NULL DEFAULT 0,
    incarnation BIGINT NOT NULL,
    ready_at BIGINT NOT NULL
);
CREATE INDEX assignment_execution ON assignment (execution_id);
CREATE INDEX assignment_ready ON assignment (id) WHERE state = 'ready';

CREATE TABLE attempt (
    id TEXT PRIMARY KEY,
    assignment_id TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    runner_id TEXT NOT NULL,
    incarnation BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    state TEXT NOT NULL,
    event TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    member_id TEXT NOT NULL DEFAULT '',
    offer_tick BIGINT NOT NULL,
    claim_tick BIGINT NOT NULL DEFAULT 0,
    claim_session BIGINT NOT NULL DEFAULT 0,
    claim_boot BLOB,
    claim_host BLOB,
    step_next BIGINT NOT NULL DEFAULT 0,
    step_hash BLOB,
    -- Of the result; -1 before it.
    steps_total BIGINT NOT NULL DEFAULT -1,
    log_total BIGINT NOT NULL DEFAULT -1,
    log_hash BLOB,
    signature BLOB,
    late_result TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    offered_at BIGINT NOT NULL,
    claimed_at BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0,
    UNIQUE (assignment_id, epoch)
);
CREATE INDEX attempt_execution ON attempt (execution_id);
CREATE INDEX attempt_open ON attempt (runner_id) WHERE state IN ('offered', 'claimed', 'running');

-- Made by the first renewal, so that a short attempt never has one: until then the tick of the claim counts.
CREATE TABLE attempt_lease (
    attempt_id TEXT PRIMARY KEY,
    tick BIGINT NOT NULL,
    disconnected BOOLEAN NOT NULL DEFAULT FALSE
);

-- Made by the first chunk, or by a result that speaks of chunks that are not there yet.
CREATE TABLE attempt_log (
    attempt_id TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL,
    log_next BIGINT NOT NULL,
    hash BLOB,
    lines BIGINT NOT NULL DEFAULT 0,
    text_bytes BIGINT NOT NULL DEFAULT 0,
    -- Of the result; -1 before it.
    total BIGINT NOT NULL DEFAULT -1,
    total_hash BLOB,
    -- Count and hash of the result do not agree with the chunks: evidence, and never whole.
    broken BOOLEAN NOT NULL DEFAULT FALSE,
    heard_tick BIGINT NOT NULL DEFAULT 0,
    member_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX attempt_log_execution ON attempt_log (execution_id);

CREATE TABLE output_chunk (
    attempt_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    first_byte BIGINT NOT NULL,
    text_bytes BIGINT NOT NULL,
    -- JSON list of the nodes that speak in it, positions in the attempt's spec.
    nodes TEXT NOT NULL,
    hash BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (attempt_id, seq)
);

CREATE TABLE node_step (
    execution_id TEXT NOT NULL,
    node BIGINT NOT NULL,
    step BIGINT NOT NULL,
    try BIGINT NOT NULL,
    attempt_id TEXT NOT NULL,
    status TEXT NOT NULL,
    code BIGINT NOT NULL DEFAULT 0,
    exited BOOLEAN NOT NULL DEFAULT FALSE,
    signal TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    end_proven BOOLEAN NOT NULL DEFAULT FALSE,
    not_started BOOLEAN NOT NULL DEFAULT FALSE,
    data TEXT NOT NULL DEFAULT '',
    late_status TEXT NOT NULL DEFAULT '',
    started_at BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, node, step, try)
);
CREATE INDEX node_step_attempt ON node_step (attempt_id);

CREATE TABLE attempt_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt_id TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    event TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
);
CREATE INDEX attempt_event_attempt ON attempt_event (attempt_id, id);

CREATE TABLE runner_session (
    runner_id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    confirmed BIGINT NOT NULL,
    unconfirmed BIGINT NOT NULL,
    nonce BLOB NOT NULL,
    boot_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    slots BIGINT NOT NULL,
    connected_at BIGINT NOT NULL,
    -- 0 while its stream is open, as far as its member could tell.
    released BOOLEAN NOT NULL DEFAULT FALSE,
    closed_at BIGINT NOT NULL DEFAULT 0
);

-- The tables of docs/state-machines.md. The code guards each change in its own WHERE; this catches the
-- one that forgot.

-- +goose StatementBegin
CREATE TRIGGER execution_begin BEFORE INSERT ON execution WHEN NEW.status <> 'queued'
BEGIN
    SELECT RAISE(ABORT, 'illegal transition of execution: (none) to another state than queued');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER execution_transition BEFORE UPDATE ON execution WHEN OLD.status <> NEW.status AND OLD.status || ' ' || (CASE NEW.status WHEN 'running' THEN 'claim' ELSE 'end' END) || ' ' || NEW.status NOT IN (
    'queued claim running', 'queued end succeeded', 'queued end failed', 'queued end cancelled',
    'queued end timed_out', 'queued end unknown', 'running end succeeded', 'running end failed',
    'running end cancelled', 'running end timed_out', 'running end unknown')
BEGIN
    SELECT RAISE(ABORT, 'illegal transition of execution');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER execution_outcome BEFORE UPDATE ON execution WHEN OLD.outcome <> '' AND OLD.outcome <> NEW.outcome OR OLD.number <> NEW.number
BEGIN
    SELECT RAISE(ABORT, 'outcome and number of an execution never change');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER assignment_begin BEFORE INSERT ON assignment WHEN NEW.event || ' ' || NEW.state NOT IN ('cut ready', 'offer active')
BEGIN
    SELECT RAISE(ABORT, 'illegal transition of assignment: (none) to another state than ready and active');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER assignment_transition BEFORE UPDATE ON assignment WHEN OLD.state <> NEW.state AND OLD.state || ' ' || NEW.event || ' ' || NEW.state NOT IN (
    'ready offer active', 'ready end succeeded', 'ready end failed', 'ready end cancelled',
    'ready end timed_out', 'ready end unknown', 'ready end skipped', 'active release ready',
    'active end succeeded', 'active end failed', 'active end cancelled', 'active end timed_out',
    'active end unknown', 'active end skipped')
BEGIN
    SELECT RAISE(ABORT, 'illegal transition of assignment');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER attempt_begin BEFORE INSERT ON attempt WHEN NEW.state <> 'offered' OR NEW.event <> 'offer'
BEGIN
    SELECT RAISE(ABORT, 'illegal transition of attempt: (none) to another state than offered');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER attempt_begun AFTER INSERT ON attempt
BEGIN
    INSERT INTO attempt_event (attempt_id, happened_at, event, from_state, to_state) VALUES (NEW.id, NEW.changed_at, NEW.event, '', NEW.state);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER attempt_identity BEFORE UPDATE ON attempt WHEN OLD.id <> NEW.id OR OLD.assignment_id <> NEW.assignment_id OR OLD.execution_id <> NEW.execution_id OR
    OLD.runner_id <> NEW.runner_id OR OLD.epoch <> NEW.epoch OR OLD.incarnation <> NEW.incarnation
BEGIN
    SELECT RAISE(ABORT, 'the identity of an attempt never changes');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER attempt_transition BEFORE UPDATE ON attempt WHEN OLD.state <> NEW.state AND OLD.state || ' ' || NEW.event || ' ' || NEW.state NOT IN (
    'offered expire expired', 'offered refuse expired', 'offered withdraw expired', 'offered claim claimed',
    'claimed steps running', 'claimed not_started not_started', 'claimed result succeeded',
    'claimed result failed', 'claimed result cancelled', 'claimed result timed_out',
    'claimed result unknown', 'running result succeeded', 'running result failed',
    'running result cancelled', 'running result timed_out', 'running result unknown',
    'claimed lost unknown', 'running lost unknown')
BEGIN
    SELECT RAISE(ABORT, 'illegal transition of attempt');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER attempt_changed AFTER UPDATE ON attempt WHEN OLD.state <> NEW.state
BEGIN
    INSERT INTO attempt_event (attempt_id, happened_at, event, from_state, to_state, detail)
    VALUES (NEW.id, NEW.changed_at, NEW.event, OLD.state, NEW.state, NEW.reason);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER node_step_transition BEFORE UPDATE ON node_step WHEN OLD.status <> 'running' AND OLD.status <> NEW.status
BEGIN
    SELECT RAISE(ABORT, 'illegal transition of node step');
END;
-- +goose StatementEnd
