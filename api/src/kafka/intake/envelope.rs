//! What surrounds a message's JSON: its headers, its size, the frame of a schema registry.

use rdkafka::message::{BorrowedHeaders, Headers};

use super::fault::Fault;

/// The newest version of the payloads that is understood.
pub(super) const SCHEMA_VERSION: u64 = 1;

/// Names the schema of a payload; it ends in its version: `ride-request/1`.
const SCHEMA: &str = "schema";

/// The first byte of a payload that a schema registry frames; four bytes with an id follow.
const FRAME_MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;

/// What a payload must be like to be looked into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope {
    pub(super) bytes_max: usize,
    pub(super) registry_framing: bool,
}

impl Envelope {
    /// The JSON of a message.
    ///
    /// # Errors
    /// [`Fault`] when it is too large, of a schema to come, or framed where that is not allowed.
    pub(super) fn open<'p>(
        &self,
        payload: &'p [u8],
        headers: Option<&BorrowedHeaders>,
    ) -> Result<&'p [u8], Fault> {
        if payload.len() > self.bytes_max {
            let detail =
                format!("at most {} bytes are taken, got {}", self.bytes_max, payload.len());
            return Err(Fault::new("oversized", detail));
        }
        if let Some(schema) = header(headers, SCHEMA)
            && version(schema).is_some_and(|version| version > SCHEMA_VERSION)
        {
            let schema = String::from_utf8_lossy(schema);
            let detail = format!("schema is {schema}, known are versions up to {SCHEMA_VERSION}");
            return Err(Fault::new("future_schema", detail));
        }
        if payload.first() != Some(&FRAME_MAGIC) {
            return Ok(payload);
        }
        if !self.registry_framing {
            let detail = "the payload begins as a schema registry frames it, and \
                kafka.intake.registry_framing is false";
            return Err(Fault::new("framed", detail));
        }
        payload.get(FRAME_BYTES..).ok_or_else(|| Fault::new("framed", "the frame is cut short"))
    }
}

/// The value of the last header of this name.
pub(super) fn header<'h>(headers: Option<&'h BorrowedHeaders>, name: &str) -> Option<&'h [u8]> {
    let last = headers?.iter().filter(|header| header.key == name).last();
    last.and_then(|header| header.value)
}

/// The number a schema's name ends in.
fn version(schema: &[u8]) -> Option<u64> {
    let digits = schema.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&schema[schema.len() - digits..]).ok()?;
    // More digits than a number has are a version to come all the same.
    if digits > 18 { Some(u64::MAX) } else { number.parse().ok() }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders};

    use super::*;

    const STRICT: Envelope = Envelope { bytes_max: 10, registry_framing: false };

    fn schema(value: &str) -> OwnedHeaders {
        OwnedHeaders::new().insert(Header { key: SCHEMA, value: Some(value) })
    }

    #[test]
    fn a_schema_to_come_is_refused_and_all_others_are_taken() {
        for (name, taken) in [
            ("ride-request/1", true),
            ("ride-request/2", false),
            ("muster.ride.v12", false),
            ("2", false),
            ("99999999999999999999999", false),
            ("somebody-elses", true),
            ("", true),
        ] {
            let opened = STRICT.open(b"{}", Some(schema(name).as_borrowed()));
            assert_eq!(opened.is_ok(), taken, "{name}");
        }
    }

    #[test]
    fn a_payload_over_the_bound_is_refused() {
        assert!(STRICT.open(&[b'x'; 10], None).is_ok());
        assert_eq!(STRICT.open(&[b'x'; 11], None).unwrap_err().reason, "oversized");
    }

    #[test]
    fn the_frame_of_a_registry_is_taken_off_where_that_is_allowed() {
        let framed = [0, 0, 0, 0, 7, b'{', b'}'];
        let lenient = Envelope { registry_framing: true, ..STRICT };
        assert_eq!(lenient.open(&framed, None), Ok(&b"{}"[..]));
        assert_eq!(lenient.open(b"{}", None), Ok(&b"{}"[..]));
        assert_eq!(lenient.open(&framed[..3], None).unwrap_err().reason, "framed");
        assert_eq!(STRICT.open(&framed, None).unwrap_err().reason, "framed");
    }
}
