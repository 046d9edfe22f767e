-- Sessions rest on sessions at remote providers, and end with them. What the program
-- before this one writes says nothing of that: only its own life ends it.

-- +goose Up
CREATE TABLE session_roots (
    root   BLOB    NOT NULL, -- a hash
    secret BLOB    NOT NULL REFERENCES sessions (secret) ON DELETE CASCADE,
    began  INTEGER NOT NULL,
    PRIMARY KEY (root, secret)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_roots_secret ON session_roots (secret);

CREATE TABLE root_ends (
    root  BLOB    PRIMARY KEY,
    at    INTEGER NOT NULL, -- what began before is over
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX root_ends_until ON root_ends (until);
