-- What people have agreed to: documents, and what apps may have.

-- +goose Up
CREATE TABLE agreements (
    subject TEXT    NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE,
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    scopes  TEXT    NOT NULL, -- JSON, sorted
    given   INTEGER NOT NULL,
    PRIMARY KEY (subject, kind, name)
) STRICT, WITHOUT ROWID;
