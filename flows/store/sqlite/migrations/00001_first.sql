-- Instants are nanoseconds since 1970 in UTC; the least integer is "no instant".

-- +goose Up
CREATE TABLE runs (
    row     INTEGER PRIMARY KEY,
    id      TEXT    NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    aliases BLOB    NOT NULL, -- all of them, 32 bytes each, in order
    data    BLOB    NOT NULL
) STRICT;
CREATE INDEX runs_expires ON runs (expires);

CREATE TABLE run_aliases (
    alias BLOB    PRIMARY KEY,
    run   INTEGER NOT NULL REFERENCES runs (row) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX run_aliases_run ON run_aliases (run);

CREATE TABLE definitions (
    hash   TEXT PRIMARY KEY,
    source BLOB NOT NULL
) STRICT;

CREATE TABLE sessions (
    secret   BLOB    PRIMARY KEY,
    id       TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    client   TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    evidence TEXT    NOT NULL, -- JSON
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_id ON sessions (id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE counters (
    key      TEXT    PRIMARY KEY,
    failures INTEGER NOT NULL,
    until    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    mark    TEXT    PRIMARY KEY,
    owner   TEXT    NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_expires ON marks (expires);

CREATE TABLE audit (
    row   INTEGER PRIMARY KEY AUTOINCREMENT,
    id    TEXT    NOT NULL UNIQUE,
    time  INTEGER NOT NULL,
    event TEXT    NOT NULL -- JSON
) STRICT;

CREATE TABLE accounts (
    subject    TEXT    PRIMARY KEY,
    status     TEXT    NOT NULL,
    logins     TEXT    NOT NULL, -- JSON, in order
    attributes TEXT    NOT NULL, -- JSON
    created    INTEGER NOT NULL
) STRICT;

CREATE TABLE logins (
    login   TEXT PRIMARY KEY,
    subject TEXT NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
    issuer   TEXT    NOT NULL,
    external TEXT    NOT NULL,
    subject  TEXT    NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE,
    created  INTEGER NOT NULL,
    PRIMARY KEY (issuer, external)
) STRICT, WITHOUT ROWID;

CREATE TABLE authenticators (
    id        TEXT    PRIMARY KEY,
    subject   TEXT    NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE,
    type      TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    status    TEXT    NOT NULL,
    binding   TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    data      BLOB    NOT NULL,
    created   INTEGER NOT NULL,
    last_used INTEGER NOT NULL
) STRICT;
CREATE INDEX authenticators_subject ON authenticators (subject, created, id);
