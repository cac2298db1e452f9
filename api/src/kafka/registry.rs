//! A Schema Registry: messages that begin with the id of their schema.
//!
//! Before the first message the shipped schemas are put to the registry: it says whether they fit the
//! versions it has, and gives each an id.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kafka::out::OutTopic;
use crate::kafka::schemas;

/// The first byte of a framed message.
const MAGIC: u8 = 0;
/// How long the registry may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why there is no agreement with the registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("the schema registry at {url} cannot be asked: {error}")]
    Unreachable { url: String, error: String },
    #[error("the schema registry answers {status} about {subject}: {body}")]
    Answer { subject: String, status: StatusCode, body: String },
    #[error("schema {schema} does not fit the versions of {subject} in the registry: {reasons}")]
    Incompatible { schema: &'static str, subject: String, reasons: String },
}

#[derive(Deserialize)]
struct Compatibility {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

/// How values are framed; not at all without a registry.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    ids: BTreeMap<OutTopic, u32>,
}

impl Framing {
    /// Agrees with the registry at `url`, if there is one, about the schemas of `topics`.
    pub(crate) async fn agree(
        url: &str,
        topics: &[(OutTopic, String)],
    ) -> Result<Self, RegistryError> {
        let mut framing = Self::default();
        if url.is_empty() {
            return Ok(framing);
        }
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).build();
        let http = http.map_err(|error| unreachable(url, &error))?;
        for (topic, name) in topics {
            let subject = format!("{name}-value");
            let (base, schema) = (url.trim_end_matches('/'), topic.schema());
            let put = json!({"schemaType": "JSON", "schema": schemas::text(*topic)});
            let check =
                format!("{base}/compatibility/subjects/{subject}/versions/latest?verbose=true");
            // A subject that nobody knows has no versions to fit.
            if let Some(answer) = ask::<Compatibility>(&http, &check, &put, &subject).await?
                && !answer.is_compatible
            {
                let reasons = answer.messages.join("; ");
                return Err(RegistryError::Incompatible { schema, subject, reasons });
            }
            let register = format!("{base}/subjects/{subject}/versions");
            let registered = ask::<Registered>(&http, &register, &put, &subject).await?;
            let missing = || unreachable(url, &"subjects are not known");
            framing.ids.insert(*topic, registered.ok_or_else(missing)?.id);
        }
        Ok(framing)
    }

    /// `payload` as it is sent.
    pub(crate) fn framed<'a>(&self, topic: OutTopic, payload: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(id) = self.ids.get(&topic) else { return Cow::Borrowed(payload) };
        Cow::Owned([&[MAGIC][..], &id.to_be_bytes(), payload].concat())
    }
}

/// The answer to a call; nothing when the subject is not known.
async fn ask<T: for<'de> Deserialize<'de>>(
    http: &reqwest::Client,
    url: &str,
    body: &Value,
    subject: &str,
) -> Result<Option<T>, RegistryError> {
    let call = http.post(url).header("content-type", CONTENT_TYPE).body(body.to_string());
    let answer = call.send().await.map_err(|error| unreachable(url, &error))?;
    let status = answer.status();
    let body = answer.text().await.map_err(|error| unreachable(url, &error))?;
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let read = status.is_success().then(|| serde_json::from_str(&body).ok()).flatten();
    let refused = || RegistryError::Answer { subject: subject.to_owned(), status, body };
    read.map(Some).ok_or_else(refused)
}

fn unreachable(url: &str, error: &dyn std::fmt::Display) -> RegistryError {
    RegistryError::Unreachable { url: url.to_owned(), error: error.to_string() }
}
