-- Texts and counters get an end, sessions get tags. The program before this one
-- names none of the new columns: what it writes is kept for good, and has no tags.

-- +goose Up
ALTER TABLE definitions ADD COLUMN until INTEGER NOT NULL DEFAULT 9223372036854775807;
CREATE INDEX definitions_until ON definitions (until);

ALTER TABLE counters ADD COLUMN expires INTEGER NOT NULL DEFAULT -9223372036854775808;
CREATE INDEX counters_expires ON counters (expires);

ALTER TABLE sessions ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'; -- JSON
