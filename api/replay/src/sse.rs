//! A parser of Server-Sent Events that takes bytes as they come.

/// Longest line kept; longer ones are cut, so that a broken server cannot fill the memory.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// `event:`, empty when not given.
    pub(crate) name: String,
    /// The newest `id:` of the stream so far.
    pub(crate) id: Option<String>,
    /// `data:` lines, joined by line feeds.
    pub(crate) data: String,
}

/// Splits a byte stream into events; a chunk may end anywhere.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    after_carriage_return: bool,
    name: String,
    data: Option<String>,
    last_id: Option<String>,
}

impl SseParser {
    /// The newest event id, for `Last-Event-ID`.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Forgets a half-received event: the connection it came on is gone.
    pub(crate) fn reset(&mut self) {
        *self = Self { last_id: self.last_id.take(), ..Self::default() };
    }

    /// Takes the next bytes and returns the events they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for &byte in bytes {
            let line_feed_of_pair = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            match byte {
                b'\n' if line_feed_of_pair => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ if self.line.len() < LINE_BYTES_MAX => self.line.push(byte),
                _ => {}
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = self.data.take()?;
            return Some(SseEvent { name, id: self.last_id.clone(), data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line.as_str(), ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "id" => self.last_id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments (an empty field name), `retry` and unknown fields carry nothing for us.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": keep-alive\n\nevent: ride_assigned\nid: 7\ndata: {\"a\":1}\n\n\
                          retry: 500\ndata: one\r\ndata: two\r\n\r\nevent: lost\nid: 9\n\ndata:x\n\n";

    fn expected() -> Vec<SseEvent> {
        let event = |name: &str, id: &str, data: &str| SseEvent {
            name: name.to_owned(),
            id: Some(id.to_owned()),
            data: data.to_owned(),
        };
        vec![
            event("ride_assigned", "7", "{\"a\":1}"),
            event("", "7", "one\ntwo"),
            event("", "9", "x"),
        ]
    }

    #[test]
    fn events_come_out_whole_wherever_the_chunks_end() {
        for size in [1, 2, 3, 7, 1_000] {
            let mut parser = SseParser::default();
            let events: Vec<SseEvent> =
                STREAM.as_bytes().chunks(size).flat_map(|chunk| parser.push(chunk)).collect();
            assert_eq!(events, expected(), "chunks of {size}");
            assert_eq!(parser.last_id(), Some("9"));
        }
    }

    #[test]
    fn a_reset_drops_half_an_event_and_keeps_the_id() {
        let mut parser = SseParser::default();
        assert!(parser.push(b"id: 4\nevent: a\ndata: lo").is_empty());
        parser.reset();
        assert_eq!(parser.last_id(), Some("4"));
        let events = parser.push(b"data: fresh\n\n");
        assert_eq!((events[0].name.as_str(), events[0].data.as_str()), ("", "fresh"));
    }
}
