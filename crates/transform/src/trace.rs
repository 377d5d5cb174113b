//! Trace and span ids from attributes.
//!
//! Ids are W3C hexadecimal text (32 and 16 digits) under the names that tracing libraries use. `dd.trace_id` and
//! `dd.span_id` may also be Datadog's decimal numbers of 64 bits. `traceparent` gives both, its span only when the
//! record's trace is the same.

use std::borrow::Cow;

use model::{Record, SpanId, TraceId, Value};

/// Fills in what the record does not have.
pub(crate) fn find(record: &mut Record<'_>) {
    if record.trace_id.is_some() && record.span_id.is_some() || record.attributes.is_empty() {
        return;
    }
    let mut parent = None;
    let (mut trace, mut span) = (record.trace_id, record.span_id);
    for (name, value) in &record.attributes {
        match source(name) {
            Some(Source::Trace) => trace = trace.or_else(|| hex(value)),
            Some(Source::Span) => span = span.or_else(|| hex(value)),
            Some(Source::DatadogTrace) => trace = trace.or_else(|| hex(value)).or_else(|| decimal_trace(value)),
            Some(Source::DatadogSpan) => span = span.or_else(|| decimal_span(value)).or_else(|| hex(value)),
            Some(Source::Parent) => parent = parent.or_else(|| traceparent(value)),
            None => {}
        }
    }
    if let Some((parent_trace, parent_span)) = parent {
        trace = trace.or(Some(parent_trace));
        if trace == Some(parent_trace) {
            span = span.or(Some(parent_span));
        }
    }
    record.trace_id = trace;
    record.span_id = span;
}

/// What an attribute may hold.
enum Source {
    Trace,
    Span,
    DatadogTrace,
    DatadogSpan,
    Parent,
}

fn source(name: &str) -> Option<Source> {
    // Lets nearly all others pass without comparing them.
    if !(6..=11).contains(&name.len()) || !matches!(name.as_bytes().last(), Some(b'd' | b'D' | b't')) {
        return None;
    }
    Some(match name {
        "trace_id" | "traceId" | "traceID" | "traceid" | "TraceId" | "trace.id" | "otelTraceID" => Source::Trace,
        "span_id" | "spanId" | "spanID" | "spanid" | "SpanId" | "span.id" | "otelSpanID" => Source::Span,
        "dd.trace_id" => Source::DatadogTrace,
        "dd.span_id" => Source::DatadogSpan,
        "traceparent" => Source::Parent,
        _ => return None,
    })
}

/// Whether [`find`] looks at attributes of this name.
pub(crate) fn is_source(name: &str) -> bool {
    source(name).is_some()
}

fn hex<T: std::str::FromStr>(value: &Value<'_>) -> Option<T> {
    match value {
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`
fn traceparent(value: &Value<'_>) -> Option<(TraceId, SpanId)> {
    let Value::String(text) = value else { return None };
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_byte(version) || version == "ff" || !is_byte(flags) {
        return None;
    }
    Some((trace.parse().ok()?, span.parse().ok()?))
}

fn decimal_trace(value: &Value<'_>) -> Option<TraceId> {
    TraceId::from_bytes(&u128::from(decimal(value)?).to_be_bytes())
}

fn decimal_span(value: &Value<'_>) -> Option<SpanId> {
    SpanId::from_bytes(&decimal(value)?.to_be_bytes())
}

fn decimal(value: &Value<'_>) -> Option<u64> {
    let text: Cow<'_, str> = match value {
        Value::Int(number) => return u64::try_from(*number).ok(),
        Value::String(text) => Cow::Borrowed(text),
        _ => return None,
    };
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
