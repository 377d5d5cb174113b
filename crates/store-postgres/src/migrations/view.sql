-- When a row was written, by which the overflow is kept and removed.
ALTER TABLE devlogs_overflow ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX ON devlogs_overflow (stored_at);

CREATE VIEW logs AS
    SELECT project, ts, ts_nanos, observed_ns, origin, record_index, service, host, severity, message, trace_id,
           span_id, attributes, attribute_texts, resource, resource_texts, words
    FROM devlogs_records
    UNION ALL
    SELECT project, ts, ts_nanos, observed_ns, origin, record_index, service, host, severity, message, trace_id,
           span_id, attributes, attribute_texts, resource, resource_texts, words
    FROM devlogs_overflow;
