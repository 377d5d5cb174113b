-- Times are nanoseconds since the Unix epoch. Texts compare bytewise, as in SQLite.

CREATE TABLE projects (
    name       TEXT COLLATE "C" PRIMARY KEY,
    created_at BIGINT NOT NULL
);

INSERT INTO projects (name, created_at)
VALUES ('default', (extract(epoch FROM now()) * 1000)::BIGINT * 1000000);

CREATE TABLE users (
    name          TEXT COLLATE "C" PRIMARY KEY,
    password_hash TEXT NOT NULL,
    admin         BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL
);

-- Only the SHA-256 of a session's token is kept.
CREATE TABLE sessions (
    token_hash BYTEA PRIMARY KEY,
    "user"     TEXT COLLATE "C" NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Only the SHA-256 of a key is kept; `prefix` is the public part that finds it. `scopes` is a bit set.
CREATE TABLE keys (
    id           TEXT COLLATE "C" PRIMARY KEY,
    prefix       TEXT COLLATE "C" NOT NULL UNIQUE,
    hash         BYTEA NOT NULL,
    name         TEXT NOT NULL,
    project      TEXT COLLATE "C" NOT NULL REFERENCES projects (name),
    scopes       BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT
);

-- `id` is the record's id as text. `payload` is an OTLP message with the one record, or what could not be decoded.
-- No reference to projects: what a processor can't store must find a place here whatever else happens.
CREATE TABLE dead_letters (
    id          TEXT COLLATE "C" PRIMARY KEY,
    project     TEXT COLLATE "C" NOT NULL,
    incarnation TEXT NOT NULL,
    partition   BIGINT NOT NULL,
    position    BIGINT NOT NULL,
    "index"     BIGINT NOT NULL,
    reason      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    received    BIGINT NOT NULL,
    payload     BYTEA NOT NULL
);

CREATE INDEX dead_letters_by_time ON dead_letters (at, id);
CREATE INDEX dead_letters_by_project ON dead_letters (project, at, id);
