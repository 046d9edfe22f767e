-- Clients that the definitions do not have. The program before this one knows none.

-- +goose Up
CREATE TABLE clients (
    id       TEXT    PRIMARY KEY,
    version  INTEGER NOT NULL,
    text     BLOB    NOT NULL, -- in the words of the definitions
    disabled INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    changed  INTEGER NOT NULL
) STRICT;
