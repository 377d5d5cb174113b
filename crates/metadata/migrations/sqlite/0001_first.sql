-- Times are nanoseconds since the Unix epoch.

CREATE TABLE projects (
    name       TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO projects (name, created_at) VALUES ('default', unixepoch() * 1000000000);

CREATE TABLE users (
    name          TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    admin         INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Only the SHA-256 of a session's token is kept.
CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    user       TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Only the SHA-256 of a key is kept; `prefix` is the public part that finds it. `scopes` is a bit set.
CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    prefix       TEXT NOT NULL UNIQUE,
    hash         BLOB NOT NULL,
    name         TEXT NOT NULL,
    project      TEXT NOT NULL REFERENCES projects (name),
    scopes       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

-- `id` is the record's id as text. `payload` is an OTLP message with the one record, or what could not be decoded.
-- No reference to projects: what a processor can't store must find a place here whatever else happens.
CREATE TABLE dead_letters (
    id          TEXT PRIMARY KEY,
    project     TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    "index"     INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    received    INTEGER NOT NULL,
    payload     BLOB NOT NULL
) STRICT;

CREATE INDEX dead_letters_by_time ON dead_letters (at, id);
CREATE INDEX dead_letters_by_project ON dead_letters (project, at, id);
