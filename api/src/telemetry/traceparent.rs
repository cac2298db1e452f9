//! `traceparent` of W3C Trace Context: which trace work belongs to, and beneath what.

use muster_engine::id::stable_hash;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use uuid::Uuid;

/// The context that a well-formed `traceparent` of version 00 names:
/// `00-<trace id>-<parent id>-<flags>` in lower-case hexadecimal, neither id all zeros.
pub fn parse(text: &str) -> Option<SpanContext> {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let shaped = version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    if !shaped || parts.next().is_some() {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// How a context is told to what comes beneath it.
pub(super) fn of(context: &SpanContext) -> String {
    let flags = context.trace_flags().to_u8();
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

/// A trace of its own, where no spans are kept.
pub fn draw() -> String {
    let trace = Uuid::now_v7();
    // The low bit keeps the parent id from being zero.
    let parent = stable_hash(trace.as_bytes(), 0) | 1;
    format!("00-{}-{parent:016x}-01", trace.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_over_only_when_it_is_well_formed() {
        for text in ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", &draw()] {
            assert_eq!(parse(text).map(|context| of(&context)).as_deref(), Some(text));
        }
        for text in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
