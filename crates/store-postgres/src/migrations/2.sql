-- A field is looked for in four columns, so the index on `attributes` serves only beside indexes on the other three. Of the
-- texts only lists are searched; those of doubles alone need no place in an index.
CREATE INDEX ON devlogs_overflow USING gin (attribute_texts jsonb_path_ops) WHERE attribute_texts @? '$.*.items';
CREATE INDEX ON devlogs_overflow USING gin (resource jsonb_path_ops);
CREATE INDEX ON devlogs_overflow USING gin (resource_texts jsonb_path_ops) WHERE resource_texts @? '$.*.items';
CREATE INDEX ON devlogs_overflow (trace_id) WHERE trace_id IS NOT NULL;

CREATE INDEX ON devlogs_records USING gin (attribute_texts jsonb_path_ops) WHERE attribute_texts @? '$.*.items';
CREATE INDEX ON devlogs_records USING gin (resource jsonb_path_ops);
CREATE INDEX ON devlogs_records USING gin (resource_texts jsonb_path_ops) WHERE resource_texts @? '$.*.items';
CREATE INDEX ON devlogs_records (trace_id) WHERE trace_id IS NOT NULL;
