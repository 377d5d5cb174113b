//! The description of the whole HTTP interface, made from the handlers.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Ref, Required,
    ResponseBuilder,
};

use crate::query;

/// The OpenAPI document. The same program always gives the same one.
pub fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Instant Dev Logs")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Ship, search and watch the logs of web applications."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let key = |text: &str| HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build();
    let base = OpenApiBuilder::new()
        .paths(collector())
        .info(info)
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("bearer", SecurityScheme::Http(key("An API key")))
                .security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))))
                .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("devlogs_session"))))
                .build(),
        ))
        .security(Some(
            ["bearer", "api_key", "session"].map(|name| SecurityRequirement::new(name, Vec::<String>::new())),
        ))
        .build();
    let mut document = base.merge_from(query::api_routes().into_openapi());
    document.servers = None;
    document
}

/// The collector's endpoints. Their bodies are other people's formats, told here in words.
fn collector() -> Paths {
    let ingest = operation(
        "ingest",
        "Takes records as one JSON object, an array, or NDJSON",
        "application/json",
        "`{\"accepted\", \"rejected\", \"errors\": [{\"index\", \"reason\"}]}`, once every accepted record is durable",
    );
    let otlp = operation(
        "otlp_logs",
        "Takes an OTLP `ExportLogsServiceRequest`, protobuf or JSON",
        "application/x-protobuf",
        "`ExportLogsServiceResponse` in the request's encoding, once every accepted record is durable",
    );
    PathsBuilder::new()
        .path("/v1/ingest", PathItem::new(HttpMethod::Post, ingest))
        .path("/v1/logs", PathItem::new(HttpMethod::Post, otlp))
        .build()
}

fn operation(id: &str, summary: &str, media: &str, answer: &str) -> Operation {
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some("A retry with the same key stores nothing twice and gets the first answer, for 24 hours"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag("collector")
        .summary(Some(summary))
        .description(Some(
            "Served on the collector's port. `Content-Encoding`: gzip, zstd, deflate or snappy. After a 503 or a broken \
             connection the outcome is unknown: repeat the request with the same `Idempotency-Key`.",
        ))
        .parameter(key)
        .request_body(Some(RequestBodyBuilder::new().content(media, Content::default()).required(Some(Required::True)).build()))
        .response("200", ResponseBuilder::new().description(answer).build())
        .response(
            "4XX",
            ResponseBuilder::new().description("Nothing of what it names is stored").content("application/problem+json", problem.clone()).build(),
        )
        .response(
            "503",
            ResponseBuilder::new().description("Out of reach; see `Retry-After`").content("application/problem+json", problem).build(),
        )
        .build()
}

static SERVED: LazyLock<(String, String)> = LazyLock::new(|| {
    let text = document().to_json().unwrap_or_default();
    let tag = format!("\"{}\"", &hex::encode(Sha256::digest(text.as_bytes()))[..32]);
    (text, tag)
});

/// `GET /api/v1/openapi.json`, for everybody.
pub(crate) async fn serve(headers: HeaderMap) -> Response {
    let (text, tag) = &*SERVED;
    let caching = [
        (header::ETAG, HeaderValue::from_static(tag.as_str())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_stable_and_whole() {
        let text = document().to_pretty_json().unwrap();
        assert_eq!(text, document().to_pretty_json().unwrap());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        for path in [
            "/v1/ingest",
            "/v1/logs",
            "/api/v1/search",
            "/api/v1/fields/{name}/values",
            "/api/v1/tail",
            "/api/v1/dead-letters/{id}/retry",
        ] {
            assert!(document["paths"].get(path).is_some(), "{path}");
        }
        assert!(document["components"]["schemas"]["Problem"].is_object());
        // Generators of clients name methods by these.
        let ids: Vec<_> =
            text.split("\"operationId\": \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{ids:?}");
        // Every schema that is referred to is there.
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}
