//! Which call something goes back to: carried along, never read by a rule.

/// The ids of the call that caused a transition, as traces and logs know it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Origin {
    /// Ties everything together that one call caused.
    pub correlation_id: String,
    /// W3C trace context of the call.
    pub traceparent: String,
}
