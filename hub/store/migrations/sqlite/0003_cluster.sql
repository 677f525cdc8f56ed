-- Several members over one database: who leads what, and how members share the runners.

-- +goose Up
-- Runners with a session at the member, as its last heartbeat told.
ALTER TABLE member ADD COLUMN sessions BIGINT NOT NULL DEFAULT 0;
-- A person asked that runners and people go elsewhere.
ALTER TABLE member ADD COLUMN draining BOOLEAN NOT NULL DEFAULT FALSE;
-- active, or passive: no schedule fires here.
ALTER TABLE member ADD COLUMN execution_mode TEXT NOT NULL DEFAULT 'active';
ALTER TABLE cluster ADD COLUMN execution_mode TEXT NOT NULL DEFAULT 'active';

-- Work that one member does for all. Counted in ticks of lease_clock, so that neither clocks nor outages
-- end a lease wrongly; whoever takes it raises the term, and a leader's writes name theirs.
CREATE TABLE leader_lease (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    term       BIGINT NOT NULL,
    until_tick BIGINT NOT NULL,
    -- Member that a person gave it to; '': whoever is first.
    wanted     TEXT NOT NULL DEFAULT '',
    taken_at   BIGINT NOT NULL
);

-- The sessions that members look through to see which runner of another one is free.
CREATE INDEX runner_session_open ON runner_session (member_id) WHERE closed_at = 0 AND unconfirmed = 0;
