-- Instants are nanoseconds since 1970 in UTC; the least integer is "no instant".
--
-- Names and ids are bytea, not text: text cannot hold every string (no zero byte),
-- and its order depends on the locale. convert_from(subject, 'UTF8') reads them.

-- +goose Up
CREATE TABLE runs (
    id      bytea  PRIMARY KEY,
    version bigint NOT NULL,
    expires bigint NOT NULL,
    aliases bytea  NOT NULL, -- all of them, 32 bytes each, in order
    data    bytea  NOT NULL
) WITH (fillfactor = 70);
ALTER TABLE runs ALTER COLUMN data SET STORAGE EXTERNAL; -- sealed: it does not compress
CREATE INDEX runs_expires ON runs (expires);

CREATE TABLE run_aliases (
    alias bytea PRIMARY KEY,
    run   bytea NOT NULL REFERENCES runs (id) ON DELETE CASCADE
);
CREATE INDEX run_aliases_run ON run_aliases (run);

CREATE TABLE definitions (
    hash   bytea  PRIMARY KEY,
    source bytea  NOT NULL,
    until  bigint NOT NULL
);
CREATE INDEX definitions_until ON definitions (until);

CREATE TABLE sessions (
    secret      bytea    PRIMARY KEY,
    id          bytea    NOT NULL,
    subject     bytea    NOT NULL,
    client      bytea    NOT NULL,
    key         bytea    NOT NULL,
    evidence    text     NOT NULL, -- JSON
    tags        text     NOT NULL, -- JSON
    roots       bytea[]  NOT NULL, -- hashes of what it rests on elsewhere
    roots_began bigint[] NOT NULL, -- and when each began
    created     bigint   NOT NULL,
    began       bigint   NOT NULL,
    seen        bigint   NOT NULL,
    expires     bigint   NOT NULL
);
CREATE INDEX sessions_id ON sessions (id);
CREATE INDEX sessions_subject ON sessions (subject);
CREATE INDEX sessions_expires ON sessions (expires);
CREATE INDEX sessions_roots ON sessions USING gin (roots) WITH (fastupdate = off) WHERE roots <> '{}';

CREATE TABLE session_ends (
    subject bytea  PRIMARY KEY,
    at      bigint NOT NULL, -- sessions that began before are over
    spared  bytea  NOT NULL, -- id of the one that goes on, or ''
    until   bigint NOT NULL
);
CREATE INDEX session_ends_until ON session_ends (until);

CREATE TABLE root_ends (
    root  bytea  PRIMARY KEY,
    at    bigint NOT NULL, -- what began before is over
    until bigint NOT NULL
);
CREATE INDEX root_ends_until ON root_ends (until);

CREATE TABLE counters (
    key      bytea  PRIMARY KEY,
    failures bigint NOT NULL,
    until    bigint NOT NULL,
    expires  bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX counters_expires ON counters (expires);

CREATE TABLE marks (
    mark    bytea  PRIMARY KEY,
    owner   bytea  NOT NULL,
    expires bigint NOT NULL
);
CREATE INDEX marks_expires ON marks (expires);

CREATE TABLE shared (
    name    bytea  PRIMARY KEY,
    data    bytea  NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE kept (
    id       bytea  PRIMARY KEY,
    version  bigint NOT NULL,
    owner    bytea  NOT NULL, -- id of the session, or of the run; '' if nobody's
    provider bytea  NOT NULL,
    tries    bigint NOT NULL,
    until    bigint NOT NULL, -- nobody else is to care for it before
    data     bytea  NOT NULL
);
CREATE INDEX kept_owner ON kept (owner);
CREATE INDEX kept_until ON kept (until);

CREATE TABLE clients (
    id       bytea   PRIMARY KEY,
    version  bigint  NOT NULL,
    text     bytea   NOT NULL, -- in the words of the definitions
    disabled boolean NOT NULL,
    created  bigint  NOT NULL,
    changed  bigint  NOT NULL
);

CREATE TABLE audit (
    row   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id    bytea  NOT NULL UNIQUE,
    time  bigint NOT NULL,
    event text   NOT NULL -- JSON
);

CREATE TABLE accounts (
    subject    bytea  PRIMARY KEY,
    status     text   NOT NULL,
    logins     text   NOT NULL, -- JSON, in order
    attributes text   NOT NULL, -- JSON
    created    bigint NOT NULL
);

CREATE TABLE logins (
    login   bytea PRIMARY KEY,
    subject bytea NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE
);
CREATE INDEX logins_subject ON logins (subject);

CREATE TABLE links (
    issuer   bytea  NOT NULL,
    external bytea  NOT NULL,
    subject  bytea  NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE,
    created  bigint NOT NULL,
    PRIMARY KEY (issuer, external)
);
CREATE INDEX links_subject ON links (subject);

CREATE TABLE authenticators (
    id        bytea  PRIMARY KEY,
    version   bigint NOT NULL, -- one more with each change
    subject   bytea  NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE,
    type      text   NOT NULL,
    name      bytea  NOT NULL,
    status    text   NOT NULL,
    binding   text   NOT NULL,
    key       bytea  NOT NULL,
    data      bytea  NOT NULL,
    created   bigint NOT NULL,
    last_used bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX authenticators_subject ON authenticators (subject, created, id);

CREATE TABLE agreements (
    subject bytea  NOT NULL REFERENCES accounts (subject) ON DELETE CASCADE,
    kind    text   NOT NULL,
    name    bytea  NOT NULL,
    scopes  text   NOT NULL, -- JSON, sorted
    given   bigint NOT NULL,
    PRIMARY KEY (subject, kind, name)
);
