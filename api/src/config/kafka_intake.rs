//! `[kafka.intake]`: how messages of the platform are taken in.

use serde::{Deserialize, Serialize};

/// `[kafka.intake]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaIntake {
    /// The name in the group that a restart keeps; empty: none.
    pub instance_id: String,
    /// Messages of one topic that are worked on at once.
    pub in_flight_max: usize,
    /// Keys of one topic that are worked on at once.
    pub lanes: usize,
    /// Bytes of a message that is taken.
    pub message_bytes_max: usize,
    /// Kilobytes of one partition that are fetched ahead.
    pub fetched_kb_max: u32,
    /// Milliseconds between commits of offsets.
    pub commit_ms: u64,
    /// The first pause before a message is tried again, in milliseconds.
    pub retry_ms_min: u64,
    /// The longest.
    pub retry_ms_max: u64,
    /// Milliseconds that a partition waits for its messages before it is given away.
    pub settle_ms: u64,
    /// Where a group without offsets begins to read positions.
    pub positions_from: PositionsFrom,
    /// Milliseconds after which a position says nothing any more; 0: never.
    pub position_age_ms_max: u64,
    /// Whether the five bytes of a schema registry may precede the JSON.
    pub registry_framing: bool,
}

/// Where a group without offsets begins to read positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionsFrom {
    /// With the oldest that the topic keeps.
    Earliest,
    /// With those that come from here on.
    Latest,
}

impl PositionsFrom {
    /// As librdkafka names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
        }
    }
}

impl KafkaIntake {
    /// The first key whose value is not allowed: its name, the value and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let within = |key, value: u64, range: std::ops::RangeInclusive<u64>, allowed| {
            (!range.contains(&value)).then(|| (key, value.to_string(), allowed))
        };
        let in_flight = self.in_flight_max as u64;
        let bytes = self.message_bytes_max as u64;
        within("intake.in_flight_max", in_flight, 1..=100_000, "1..=100000")
            .or_else(|| within("intake.lanes", self.lanes as u64, 1..=1_024, "1..=1024"))
            .or_else(|| within("intake.message_bytes_max", bytes, 256..=1_048_576, "256..=1048576"))
            .or_else(|| {
                let kb = u64::from(self.fetched_kb_max);
                within("intake.fetched_kb_max", kb, 64..=1_048_576, "64..=1048576")
            })
            .or_else(|| within("intake.commit_ms", self.commit_ms, 10..=60_000, "10..=60000"))
            .or_else(|| within("intake.retry_ms_min", self.retry_ms_min, 1..=60_000, "1..=60000"))
            .or_else(|| {
                let range = self.retry_ms_min..=600_000;
                let allowed = "intake.retry_ms_min..=600000";
                within("intake.retry_ms_max", self.retry_ms_max, range, allowed)
            })
            .or_else(|| within("intake.settle_ms", self.settle_ms, 0..=60_000, "0..=60000"))
    }
}
