//! OTLP to records and back.
