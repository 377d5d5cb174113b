//! The service that a credential names, for records that name none.

use bytes::Bytes;
use model::record::UNKNOWN_SERVICE;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message as _;

const SERVICE_NAME: &str = "service.name";

/// A message in which every record has a service.
///
/// # Errors
/// It is no `ExportLogsServiceRequest`; messages that a decoder of this module's siblings made are.
pub(super) fn fill(payload: &Bytes, service: &str) -> Result<Bytes, prost::DecodeError> {
    let mut request = ExportLogsServiceRequest::decode(payload.clone())?;
    for group in &mut request.resource_logs {
        let attributes = &mut group.resource.get_or_insert_default().attributes;
        let named = attributes.iter().any(|attribute| attribute.key == SERVICE_NAME && !is_default(attribute));
        if !named {
            attributes.retain(|attribute| attribute.key != SERVICE_NAME);
            let value = AnyValue { value: Some(any_value::Value::StringValue(service.to_owned())) };
            attributes.push(KeyValue { key: SERVICE_NAME.to_owned(), value: Some(value), ..KeyValue::default() });
        }
    }
    Ok(request.encode_to_vec().into())
}

/// SDKs write `unknown_service` or `unknown_service:node` when they were not told a name.
fn is_default(attribute: &KeyValue) -> bool {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => {
            text.strip_prefix(UNKNOWN_SERVICE).map_or(text.is_empty(), |rest| rest.is_empty() || rest.starts_with(':'))
        }
        Some(_) => false,
        None => true,
    }
}
