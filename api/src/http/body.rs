//! Request bodies: bounded, JSON, with the place of what is wrong.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::wire::{FieldFault, Problem};

/// The largest body that is taken.
pub const BODY_BYTES_MAX: usize = 65_536;

/// How much of a body that is too large is read and thrown away, so that a client that sends
/// before it reads learns why it is refused.
const REFUSED_BYTES_MAX: usize = 1_048_576;

/// The body of a request.
#[derive(Debug, Clone)]
pub(super) struct Body {
    bytes: Bytes,
    is_json: bool,
}

impl Body {
    /// The bytes as they came.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body as a `T`.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if !self.is_json {
            let detail = "a body is sent with the content type application/json";
            return Err(Problem::new(415, "unsupported_media_type", detail));
        }
        read_json(&self.bytes)
    }

    /// As [`json`](Self::json), for a call whose body may be left out.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.json() }
    }
}

/// A `T` from JSON.
///
/// # Errors
/// [`Problem`] with the place of what is wrong.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut text)
        .map_err(|error| misread(error.path(), error.inner()))?;
    text.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read_before = request.extensions().get::<Self>().cloned();
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        let is_json = essence.trim().eq_ignore_ascii_case("application/json");
        let payload = payload.take();
        Box::pin(async move {
            match read_before {
                Some(body) => Ok(body),
                None => read(payload).await.map(|bytes| Self { bytes, is_json }),
            }
        })
    }
}

async fn read(mut payload: Payload) -> Result<Bytes, Problem> {
    let (mut bytes, mut received) = (Vec::new(), 0);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(400, "unreadable_body", format!("the body cannot be read: {error}"))
        })?;
        received += chunk.len();
        if received <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&chunk);
        } else if received > REFUSED_BYTES_MAX {
            break;
        }
    }
    if received > BODY_BYTES_MAX {
        let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
        return Err(Problem::new(413, "body_too_large", detail));
    }
    Ok(bytes.into())
}

fn misread(path: &Path, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    let pointer = pointer(path);
    let problem = Problem::new(400, "invalid_body", format!("the body is refused: {error}"));
    problem.with_errors(vec![FieldFault { pointer, detail: error.to_string() }])
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(400, "malformed_json", format!("the body is not JSON: {error}"))
}

/// RFC 6901 of a path into the body.
fn pointer(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}
