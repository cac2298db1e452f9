//! The headers of a dead letter: the message's own, then why and where from.

use rdkafka::message::{BorrowedHeaders, Header, Headers, Message, OwnedHeaders, OwnedMessage};

use crate::kafka::intake::Fault;

pub(super) const REASON: &str = "reason";
pub(super) const DETAIL: &str = "detail";
pub(super) const SOURCE_TOPIC: &str = "source_topic";
pub(super) const SOURCE_PARTITION: &str = "source_partition";
pub(super) const SOURCE_OFFSET: &str = "source_offset";
pub(super) const ATTEMPTS: &str = "attempts";
pub(super) const FAILED_AT: &str = "failed_at";
/// Its value says how many bytes were left out.
pub(super) const PAYLOAD_OMITTED: &str = "payload_omitted";

/// Headers that a letter adds; what a message brings of these names is replaced.
const ADDED: [&str; 8] = [
    REASON,
    DETAIL,
    SOURCE_TOPIC,
    SOURCE_PARTITION,
    SOURCE_OFFSET,
    ATTEMPTS,
    FAILED_AT,
    PAYLOAD_OMITTED,
];

/// The headers of the letter about `message`.
pub(super) fn letter_headers(
    message: &OwnedMessage,
    fault: &Fault,
    failed_at: &str,
    with_payload: bool,
) -> OwnedHeaders {
    let own = message.headers().map(OwnedHeaders::as_borrowed);
    let headers = text(original(own), REASON, fault.reason);
    let headers = text(headers, DETAIL, &fault.detail);
    let headers = text(headers, SOURCE_TOPIC, message.topic());
    let headers = text(headers, SOURCE_PARTITION, &message.partition().to_string());
    let headers = text(headers, SOURCE_OFFSET, &message.offset().to_string());
    let headers = text(headers, ATTEMPTS, &attempts(own).to_string());
    let headers = text(headers, FAILED_AT, failed_at);
    if with_payload {
        return headers;
    }
    let omitted = message.payload().map_or(0, <[u8]>::len).to_string();
    text(headers, PAYLOAD_OMITTED, &omitted)
}

/// The headers of the message that a letter is about when it is tried once more.
pub(super) fn replay_headers(letter: Option<&BorrowedHeaders>) -> OwnedHeaders {
    let attempts = attempts(letter).saturating_add(1);
    text(original(letter), ATTEMPTS, &attempts.to_string())
}

/// Which try this is, counted from 1.
pub(super) fn attempts(headers: Option<&BorrowedHeaders>) -> u64 {
    read(headers, ATTEMPTS).and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The value of a header as text.
pub(super) fn read<'h>(headers: Option<&'h BorrowedHeaders>, name: &str) -> Option<&'h str> {
    let last = headers?.iter().filter(|header| header.key == name).last()?;
    std::str::from_utf8(last.value?).ok()
}

fn original(headers: Option<&BorrowedHeaders>) -> OwnedHeaders {
    let all = headers.into_iter().flat_map(Headers::iter);
    let kept = all.filter(|header| !ADDED.contains(&header.key));
    kept.fold(OwnedHeaders::new(), OwnedHeaders::insert)
}

fn text(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;

    use super::*;

    fn message(headers: OwnedHeaders) -> OwnedMessage {
        let (key, value) = (Some(b"ride-1".to_vec()), Some(b"{}".to_vec()));
        let (topic, at) = ("ride-requests".to_owned(), Timestamp::NotAvailable);
        OwnedMessage::new(value, key, topic, at, 3, 42, Some(headers))
    }

    fn fault() -> Fault {
        Fault { reason: "invalid_body", detail: "no rider".to_owned() }
    }

    fn all(headers: &OwnedHeaders) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(text))).collect()
    }

    #[test]
    fn a_letter_keeps_what_came_and_says_why() {
        let came = OwnedHeaders::new()
            .insert(Header { key: "correlation_id", value: Some("c-1") })
            .insert(Header { key: "empty", value: None::<&str> })
            .insert(Header { key: "reason", value: Some("theirs") });
        let letter = letter_headers(&message(came), &fault(), "2025-12-01T00:00:00.000Z", true);
        let some = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        let expected = [
            some("correlation_id", "c-1"),
            ("empty".to_owned(), None),
            some("reason", "invalid_body"),
            some("detail", "no rider"),
            some("source_topic", "ride-requests"),
            some("source_partition", "3"),
            some("source_offset", "42"),
            some("attempts", "1"),
            some("failed_at", "2025-12-01T00:00:00.000Z"),
        ];
        assert_eq!(all(&letter), expected);
        let without = letter_headers(&message(OwnedHeaders::new()), &fault(), "t", false);
        assert_eq!(all(&without).last(), Some(&some("payload_omitted", "2")));
    }

    #[test]
    fn tries_are_counted_over_replays() {
        let first = letter_headers(&message(OwnedHeaders::new()), &fault(), "t", true);
        let again = replay_headers(Some(first.as_borrowed()));
        assert_eq!(all(&again), [("attempts".to_owned(), Some("2".to_owned()))]);
        let second = letter_headers(&message(again), &fault(), "t", true);
        assert_eq!(attempts(Some(second.as_borrowed())), 2);
        assert_eq!(attempts(Some(replay_headers(Some(second.as_borrowed())).as_borrowed())), 3);
    }
}
