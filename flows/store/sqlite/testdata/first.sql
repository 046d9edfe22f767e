-- A database as version 1 of the schema left it. This file never changes.
CREATE TABLE goose_db_version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp TIMESTAMP DEFAULT (datetime('now'))
);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1);

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

INSERT INTO runs VALUES (1, 'run', 7, 1767326645000000006, x'616e20616c696173207468617420686173207468697274792d74776f20627974', CAST('state' AS BLOB));
INSERT INTO run_aliases VALUES (x'616e20616c696173207468617420686173207468697274792d74776f20627974', 1);
INSERT INTO accounts VALUES ('s1', 'active', '["jane"]', '{"branch":"Zurich"}', 1767323045000000006);
INSERT INTO logins VALUES ('jane', 's1');
INSERT INTO authenticators VALUES ('a1', 's1', 'pin', 'PIN', 'active', 'aal2', '', CAST('{}' AS BLOB), 1767323045000000006, -9223372036854775808);
INSERT INTO audit (id, time, event) VALUES ('e1', 1767323045000000006, '{"id":"e1","time":"2026-01-02T03:04:05.000000006Z","type":"run_started"}');
