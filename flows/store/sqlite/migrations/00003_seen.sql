-- Sessions know when they were used last. What the program before this one
-- writes does not say: such a session counts from its beginning.

-- +goose Up
ALTER TABLE sessions ADD COLUMN seen INTEGER NOT NULL DEFAULT -9223372036854775808;
