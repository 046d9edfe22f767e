-- What proofs leave for the session: tokens of providers, sealed. The program before
-- this one keeps none.

-- +goose Up
CREATE TABLE kept (
    id       TEXT    PRIMARY KEY,
    version  INTEGER NOT NULL,
    owner    TEXT    NOT NULL, -- id of the session, or of the run; '' if nobody's
    provider TEXT    NOT NULL,
    tries    INTEGER NOT NULL,
    until    INTEGER NOT NULL, -- nobody else is to care for it before
    data     BLOB    NOT NULL
) STRICT;
CREATE INDEX kept_owner ON kept (owner);
CREATE INDEX kept_until ON kept (until);
