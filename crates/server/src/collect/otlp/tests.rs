use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000_000_000_000;

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) })
}

fn record(message: &str) -> LogRecord {
    LogRecord { time_unix_nano: 5, severity_number: 9, body: text(message), ..LogRecord::default() }
}

fn request(records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

fn too_many_attributes() -> LogRecord {
    let attributes = (0..1001).map(|n| KeyValue { key: format!("k{n}"), value: text("v"), ..KeyValue::default() });
    LogRecord { attributes: attributes.collect(), ..record("refused") }
}

fn decode(request: &ExportLogsServiceRequest) -> Result<Decoded, ApiError> {
    decode_protobuf(request.encode_to_vec().into(), &Limits::default(), "p", NOW, HandOver::default())
}

fn messages(decoded: &Decoded) -> Vec<String> {
    let limits = Limits::default();
    let context = DecodeContext { project: "p", received: NOW, origin: 1, limits: &limits };
    let mut messages = Vec::new();
    otlp::decode(&decoded.payload, &context, &mut |_, r| messages.push(r.unwrap().message.into_owned())).unwrap();
    messages
}

#[test]
fn what_is_accepted_whole_is_queued_as_it_came() {
    let request = request(vec![record("a"), record("b")]);
    let decoded = decode(&request).unwrap();
    assert_eq!((decoded.accepted, decoded.rejected.len()), (2, 0));
    assert_eq!(decoded.payload, request.encode_to_vec());
    let empty = decode(&ExportLogsServiceRequest::default()).unwrap();
    assert_eq!((empty.accepted, empty.rejected.len()), (0, 0));
}

#[test]
fn a_rejected_record_is_named_and_left_out() {
    let decoded = decode(&request(vec![record("a"), too_many_attributes(), record("c")])).unwrap();
    assert_eq!(messages(&decoded), ["a", "c"]);
    assert_eq!(decoded.rejected.len(), 1);
    assert_eq!(decoded.rejected[0].index, 1);
    assert!(decoded.rejected[0].reason.contains("1001 attributes"));
    let answer = response(&Answer { accepted: decoded.accepted, rejected: decoded.rejected });
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 1);
    assert!(partial.error_message.starts_with("record 1: "), "{}", partial.error_message);
}

#[test]
fn json_is_the_same_as_protobuf() {
    let body = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"api"}}]},
        "scopeLogs":[{"logRecords":[{"timeUnixNano":"5","severityNumber":17,"traceId":"0AF7651916CD43DD8448EB211C80319C",
        "body":{"stringValue":"boom"},"attributes":[{"key":"n","value":{"intValue":"7"}}]}]}]}]}"#;
    let decoded = decode_json(body, &Limits::default(), "p", NOW, HandOver::default()).unwrap();
    assert_eq!(messages(&decoded), ["boom"]);
    let request = ExportLogsServiceRequest::decode(decoded.payload).unwrap();
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((record.time_unix_nano, record.severity_number, record.trace_id[0]), (5, 17, 0x0a));
    for bad in [&b"{"[..], b"[]", b"", b"{\"resourceLogs\":5}", &b"[".repeat(10_000)] {
        assert_eq!(
            decode_json(bad, &Limits::default(), "p", NOW, HandOver::default()).unwrap_err().code(),
            Code::Malformed
        );
    }
}

#[test]
fn more_records_than_allowed_are_refused_before_they_are_decoded() {
    let limits = Limits { records_max: 2, ..Limits::default() };
    let body = request(vec![record("a"), record("b"), record("c")]).encode_to_vec();
    assert_eq!(
        decode_protobuf(body.into(), &limits, "p", NOW, HandOver::default()).unwrap_err().code(),
        Code::TooLarge
    );
}

#[tokio::test]
async fn errors_are_statuses_in_the_requests_encoding() {
    let error = || ApiError::unavailable("the queue is full", std::time::Duration::from_millis(1500));
    let response = http_response(Wire::Protobuf, Err(error()));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-protobuf");
    assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let status = Status::decode(body).unwrap();
    assert_eq!((status.code, &*status.message), (14, "the queue is full (unavailable)"));
    let retry = RetryInfo::decode(&*status.details[0].value).unwrap().retry_delay.unwrap();
    assert_eq!((retry.seconds, retry.nanos), (1, 500_000_000));

    let response = http_response(Wire::Json, Err(ApiError::malformed("no")));
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], br#"{"code":3,"message":"no (malformed)"}"#);
}

#[test]
fn long_lists_of_reasons_are_cut() {
    let rejected: Vec<_> = (0..25).map(|index| Rejected { index, reason: "bad".to_owned() }).collect();
    let text = reasons(&rejected);
    assert!(text.ends_with("record 9: bad; and 15 more"), "{text}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode_protobuf(body.clone().into(), &Limits::default(), "p", NOW, HandOver::default());
        let _ = decode_json(&body, &Limits::default(), "p", NOW, HandOver::default());
    }

    #[test]
    fn damaged_messages_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut body = request(vec![record("a"), too_many_attributes(), record("c")]).encode_to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = decode_protobuf(body.clone().into(), &Limits::default(), "p", NOW, HandOver::default());
        body.truncate(cut.index(body.len()));
        let _ = decode_protobuf(body.into(), &Limits::default(), "p", NOW, HandOver::default());
    }
}
