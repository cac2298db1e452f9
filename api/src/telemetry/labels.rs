//! The labels of metrics: closed and small sets.

use prometheus_client::encoding::EncodeLabelSet;

/// `{market}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct MarketLabels {
    pub(super) market: String,
}

/// `{market, reason}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) market: String,
    pub(super) reason: &'static str,
}

/// `{market, source}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SourceLabels {
    pub(super) market: String,
    pub(super) source: &'static str,
}

/// `{market, outcome}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) market: String,
    pub(super) outcome: &'static str,
}

/// `{purpose, outcome}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PurposeLabels {
    pub(super) purpose: &'static str,
    pub(super) outcome: &'static str,
}

/// `{market, arm, outcome}`; a validated book has few arms, and names fit for a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ArmLabels {
    pub(super) market: String,
    pub(super) arm: String,
    pub(super) outcome: &'static str,
}

/// `{market, side}`; the side is `real` or `shadow`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SideLabels {
    pub(super) market: String,
    pub(super) side: &'static str,
}

/// `{market, side, outcome}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SideOutcomeLabels {
    pub(super) market: String,
    pub(super) side: &'static str,
    pub(super) outcome: &'static str,
}

/// `{market, by}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByLabels {
    pub(super) market: String,
    pub(super) by: &'static str,
}

/// `{market, status}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StatusLabels {
    pub(super) market: String,
    pub(super) status: &'static str,
}

/// `{market, status, contact}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DriverLabels {
    pub(super) market: String,
    pub(super) status: &'static str,
    pub(super) contact: &'static str,
}

/// `{mode}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ModeLabels {
    pub(super) mode: &'static str,
}

/// `{actor}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ActorLabels {
    pub(super) actor: &'static str,
}

/// `{topic, outcome}`; the topics are those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TopicLabels {
    pub(super) topic: String,
    pub(super) outcome: &'static str,
}

/// `{outcome}` of spans.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SpanLabels {
    pub(super) outcome: &'static str,
}

/// `{reason}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StoreLabels {
    pub(super) reason: &'static str,
}

/// `{invariant}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct InvariantLabels {
    pub(super) invariant: String,
}

/// `{outcome}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FixLabels {
    pub(super) outcome: &'static str,
}

/// `{method, route, status}`; the route is a pattern, never a path: ids are no labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HttpLabels {
    pub(super) method: String,
    pub(super) route: String,
    pub(super) status: u16,
}
