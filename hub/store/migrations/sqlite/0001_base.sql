-- Organisations, projects, nodes, jobs, keys, people, runners and members.
--
-- Times are microseconds since 1970 in database time, 0 for "not yet" or "never".
-- Ids are text made by the hub. JSON is text that no query looks into.

-- +goose Up
CREATE TABLE organisation (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL DEFAULT 0
);
-- hub.DefaultOrganisationID: a company alone never sees another.
INSERT INTO organisation (id, name) VALUES ('00000000-0000-7000-8000-000000000001', 'default');

CREATE TABLE project (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    name            TEXT NOT NULL,
    description     TEXT NOT NULL DEFAULT '',
    settings        TEXT NOT NULL DEFAULT '{}',
    routes          TEXT NOT NULL DEFAULT '[]',
    revision        BIGINT NOT NULL DEFAULT 1,
    -- Rises with each import of nodes.
    nodes_revision  BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, name)
);

CREATE TABLE node (
    project_id  TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    hostname    TEXT NOT NULL DEFAULT '',
    username    TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '[]',
    attributes  TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (project_id, name)
);

CREATE TABLE host_key (
    project_id    TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    node          TEXT NOT NULL,
    -- As in known_hosts, without the host: "ssh-ed25519 AAAA...".
    public_key    TEXT NOT NULL,
    -- accepted, or conflict: it differs from one that was accepted before.
    state         TEXT NOT NULL,
    runner_id     TEXT NOT NULL DEFAULT '',
    seen_at       BIGINT NOT NULL,
    PRIMARY KEY (project_id, node, public_key)
);

CREATE TABLE job (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    project_id      TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    uuid            TEXT NOT NULL,
    job_group       TEXT NOT NULL DEFAULT '',
    name            TEXT NOT NULL,
    revision        BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (project_id, uuid),
    UNIQUE (project_id, job_group, name)
);
CREATE INDEX job_by_name ON job (project_id, name);

CREATE TABLE job_revision (
    job_id     TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    revision   BIGINT NOT NULL,
    definition TEXT NOT NULL,
    created_by TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    PRIMARY KEY (job_id, revision)
);

CREATE TABLE key_store (
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    path            TEXT NOT NULL,
    type            TEXT NOT NULL,
    size            BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    -- An envelope, bound to organisation, path and revision; never plain.
    sealed          BLOB NOT NULL,
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, path)
);

CREATE TABLE user_account (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    name            TEXT NOT NULL,
    password_hash   TEXT NOT NULL DEFAULT '',
    admin           BOOLEAN NOT NULL DEFAULT FALSE,
    disabled        BOOLEAN NOT NULL DEFAULT FALSE,
    -- Wrong passwords since the last right one, for slowing down who guesses.
    failures        BIGINT NOT NULL DEFAULT 0,
    failed_at       BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, name)
);

CREATE TABLE api_token (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    user_id         TEXT NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    name            TEXT NOT NULL DEFAULT '',
    secret_hash     BLOB NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL DEFAULT 0,
    last_used_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX api_token_by_user ON api_token (user_id, id);

CREATE TABLE user_session (
    id_hash         BLOB PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    user_id         TEXT NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL
);
CREATE INDEX user_session_by_user ON user_session (user_id);
CREATE INDEX user_session_by_expiry ON user_session (expires_at);

CREATE TABLE sign_in_link (
    secret_hash BLOB PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE enrolment_token (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    secret_hash     BLOB NOT NULL,
    project_ids     TEXT NOT NULL DEFAULT '[]',
    tags            TEXT NOT NULL DEFAULT '[]',
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    used_at         BIGINT NOT NULL DEFAULT 0,
    -- SHA-256 of the public key that used it: the same one may repeat.
    used_key        BLOB,
    runner_id       TEXT NOT NULL DEFAULT '',
    revoked         BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX enrolment_token_by_organisation ON enrolment_token (organisation_id, id);

CREATE TABLE runner (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    name            TEXT NOT NULL,
    tags            TEXT NOT NULL DEFAULT '[]',
    project_ids     TEXT NOT NULL DEFAULT '[]',
    sealing_key     BLOB,
    version         TEXT NOT NULL DEFAULT '',
    os              TEXT NOT NULL DEFAULT '',
    arch            TEXT NOT NULL DEFAULT '',
    hostname        TEXT NOT NULL DEFAULT '',
    slots           BIGINT NOT NULL DEFAULT 0,
    draining        BOOLEAN NOT NULL DEFAULT FALSE,
    quarantined     TEXT NOT NULL DEFAULT '',
    revoked         BOOLEAN NOT NULL DEFAULT FALSE,
    revision        BIGINT NOT NULL DEFAULT 1,
    enrolled_at     BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL DEFAULT 0
);
-- A revoked runner gives its name free.
CREATE UNIQUE INDEX runner_by_name ON runner (organisation_id, name) WHERE NOT revoked;
CREATE INDEX runner_barred ON runner (id) WHERE revoked OR quarantined <> '';

CREATE TABLE runner_certificate (
    serial        TEXT PRIMARY KEY,
    runner_id     TEXT NOT NULL REFERENCES runner (id) ON DELETE CASCADE,
    public_key    BLOB NOT NULL,
    der           BLOB NOT NULL,
    not_after     BIGINT NOT NULL,
    first_used_at BIGINT NOT NULL DEFAULT 0,
    superseded    BOOLEAN NOT NULL DEFAULT FALSE,
    created_at    BIGINT NOT NULL
);
CREATE INDEX runner_certificate_by_runner ON runner_certificate (runner_id, created_at);

-- One row.
CREATE TABLE cluster (
    singleton   BIGINT PRIMARY KEY DEFAULT 1 CHECK (singleton = 1),
    id          TEXT NOT NULL,
    incarnation BIGINT NOT NULL DEFAULT 1,
    ca          BLOB,
    ca_key      BLOB,
    created_at  BIGINT NOT NULL
);

CREATE TABLE member (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    version      TEXT NOT NULL DEFAULT '',
    gateway      TEXT NOT NULL DEFAULT '',
    address      TEXT NOT NULL DEFAULT '',
    roles        TEXT NOT NULL DEFAULT '[]',
    nonce        BLOB,
    started_at   BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL
);

-- One row: leases count ticks, not seconds.
CREATE TABLE lease_clock (
    singleton BIGINT PRIMARY KEY DEFAULT 1 CHECK (singleton = 1),
    tick BIGINT NOT NULL
);
INSERT INTO lease_clock (singleton, tick) VALUES (1, 0);

-- What proves to a later database what this one had committed.
CREATE TABLE tick_history (
    tick      BIGINT PRIMARY KEY,
    nonce     BLOB NOT NULL,
    ticked_at BIGINT NOT NULL
);

CREATE TABLE idempotency_key (
    principal    TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status       BIGINT NOT NULL,
    response     TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_key_by_age ON idempotency_key (created_at);

CREATE TABLE setting (
    name       TEXT PRIMARY KEY,
    value      BLOB NOT NULL,
    revision   BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Rows are inserted and read, never changed.
CREATE TABLE audit_event (
    id              TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    happened_at     BIGINT NOT NULL,
    actor           TEXT NOT NULL,
    action          TEXT NOT NULL,
    object          TEXT NOT NULL DEFAULT '',
    result          TEXT NOT NULL,
    detail          TEXT NOT NULL DEFAULT ''
);
CREATE INDEX audit_event_by_organisation ON audit_event (organisation_id, id);
