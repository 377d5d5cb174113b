-- What a row is: the planner's columns. Also the table of records whose time is too far from the time of writing;
-- `devlogs_records` is made like it, divided by time.
CREATE TABLE devlogs_overflow (
    project text COLLATE "C" NOT NULL,
    -- Microseconds, floored; the nanoseconds that are left stand beside it.
    ts timestamptz NOT NULL,
    ts_nanos smallint NOT NULL,
    observed_ns bigint NOT NULL,
    -- Of the record's id.
    origin bytea NOT NULL,
    record_index integer NOT NULL,
    service text COLLATE "C" NOT NULL,
    host text COLLATE "C",
    severity smallint,
    message text COLLATE "C" NOT NULL,
    trace_id bytea,
    span_id bytea,
    attributes jsonb NOT NULL,
    -- What jsonb loses: the types of doubles, arrays as they were written.
    attribute_texts jsonb,
    resource jsonb NOT NULL,
    resource_texts jsonb,
    -- Hashes of the distinct folded words of the message, for the index only.
    words bigint[] NOT NULL
);

-- Servers may be built without it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE devlogs_overflow
            ALTER COLUMN message SET COMPRESSION lz4,
            ALTER COLUMN attributes SET COMPRESSION lz4,
            ALTER COLUMN attribute_texts SET COMPRESSION lz4,
            ALTER COLUMN resource SET COMPRESSION lz4,
            ALTER COLUMN resource_texts SET COMPRESSION lz4;
    END IF;
END
$$;

-- The order of every page; ranges of time within a project.
CREATE INDEX ON devlogs_overflow (project, ts, ts_nanos, origin, record_index);
CREATE INDEX ON devlogs_overflow (project, origin);
-- These only narrow: every hit is checked again. They are updated late, in batches (fastupdate, on by default).
CREATE INDEX ON devlogs_overflow USING gin (words);
CREATE INDEX ON devlogs_overflow USING gin (attributes jsonb_path_ops);

-- How far each partition of a queue is stored. `writer` is the token of the last write, `rows` all that it stored.
CREATE TABLE devlogs_positions (
    incarnation bytea NOT NULL,
    partition bigint NOT NULL,
    next bigint NOT NULL DEFAULT 0,
    writer bytea NOT NULL DEFAULT '',
    rows bigint NOT NULL DEFAULT 0,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (incarnation, partition)
);

-- Idempotency keys of the last day; `received` in nanoseconds since the Unix epoch.
CREATE TABLE devlogs_keys (
    project text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    body bytea NOT NULL,
    received bigint NOT NULL,
    PRIMARY KEY (project, key)
);
CREATE INDEX ON devlogs_keys (received);

CREATE TABLE devlogs_ledger (
    incarnation bytea NOT NULL,
    partition bigint NOT NULL,
    project text COLLATE "C" NOT NULL,
    received bigint NOT NULL,
    stored bigint NOT NULL,
    dead_lettered bigint NOT NULL,
    deduplicated bigint NOT NULL,
    dropped bigint NOT NULL,
    lost bigint NOT NULL,
    PRIMARY KEY (incarnation, partition, project)
);

-- Stored rows that retention removed since.
CREATE TABLE devlogs_expired (
    project text COLLATE "C" PRIMARY KEY,
    rows bigint NOT NULL
);
