//! Answers in JSON, shaped as SeaweedFS shapes them.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::body::{Body, Response};

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NOSNIFF_NAME: HeaderName = header::X_CONTENT_TYPE_OPTIONS;

/// `value` as JSON without a trailing newline; `pretty` (any non-empty `?pretty=` of the request)
/// indents by two spaces.
///
/// A value that cannot be written as JSON (a map with keys that are no strings) is a mistake of ours,
/// and answers 500.
pub fn json(status: StatusCode, value: &impl Serialize, pretty: bool) -> Response {
    let text = if pretty {
        serde_json::to_vec_pretty(value)
    } else {
        serde_json::to_vec(value)
    };
    match text {
        Ok(text) => with_type(status, text.into()),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            error_json(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written as JSON",
            )
        }
    }
}

/// `{"error":"text"}`: the shape of every error that has a body.
pub fn error_json(status: StatusCode, text: &str) -> Response {
    let quoted = serde_json::Value::from(text);
    with_type(status, format!("{{\"error\":{quoted}}}").into())
}

fn with_type(status: StatusCode, text: Bytes) -> Response {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, APPLICATION_JSON);
    headers.insert(NOSNIFF_NAME, NOSNIFF);
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    fn text(response: Response) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let body = runtime
            .block_on(response.into_body().collect())
            .unwrap()
            .to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn compact_has_no_newline_and_both_headers() {
        let response = json(StatusCode::CREATED, &serde_json::json!({"count": 1}), false);
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(text(response), r#"{"count":1}"#);
    }

    #[test]
    fn pretty_indents_by_two() {
        let response = json(StatusCode::OK, &serde_json::json!({"a": [1]}), true);
        assert_eq!(text(response), "{\n  \"a\": [\n    1\n  ]\n}");
    }

    #[test]
    fn what_is_no_json_answers_500() {
        let response = json(StatusCode::OK, &BTreeMap::from([((1, 2), 3)]), false);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text(response).starts_with(r#"{"error":"#));
    }

    proptest! {
        #[test]
        fn any_error_text_survives(message in ".*") {
            let answer = text(error_json(StatusCode::BAD_REQUEST, &message));
            let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
            prop_assert_eq!(value["error"].as_str(), Some(message.as_str()));
        }
    }
}
