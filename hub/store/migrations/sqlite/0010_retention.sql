-- Executions that go when their time is over: docs/retention.md.

-- +goose Up
-- A person asked that it stay.
ALTER TABLE execution ADD COLUMN kept BOOLEAN NOT NULL DEFAULT FALSE;
-- Since when nobody sees it any more, while what belongs to it is deleted; 0: it is there.
ALTER TABLE execution ADD COLUMN purged_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX execution_purged ON execution (purged_at, id) WHERE purged_at > 0;
