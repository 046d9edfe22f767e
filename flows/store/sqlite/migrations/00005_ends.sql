-- The sessions of an account can be ended all at once. What the program before
-- this one writes does not say when its run began: the next end takes it along.

-- +goose Up
ALTER TABLE sessions ADD COLUMN began INTEGER NOT NULL DEFAULT -9223372036854775808;
CREATE INDEX sessions_subject ON sessions (subject);

CREATE TABLE session_ends (
    subject TEXT    PRIMARY KEY,
    at      INTEGER NOT NULL, -- sessions that began before are over
    spared  TEXT    NOT NULL, -- id of the one that goes on, or ''
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_ends_until ON session_ends (until);
