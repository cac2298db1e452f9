//! The schemas of the topics' values, as they ship: JSON Schema, draft 7.

use super::out::OutTopic;

/// Every schema by its name.
const SCHEMAS: [(&str, &str); 5] = [
    ("ride-events.v1", include_str!("../../schemas/ride-events.v1.json")),
    ("driver-offers.v1", include_str!("../../schemas/driver-offers.v1.json")),
    ("namma-yatri-events.v1", include_str!("../../schemas/namma-yatri-events.v1.json")),
    ("allocation-decisions.v1", include_str!("../../schemas/allocation-decisions.v1.json")),
    ("location-updates.v1", include_str!("../../schemas/location-updates.v1.json")),
];

/// The schema of this name.
pub(crate) fn of_name(name: &str) -> Option<&'static str> {
    SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The schema of a topic's values.
pub(crate) fn text(topic: OutTopic) -> &'static str {
    of_name(topic.schema()).unwrap_or("{}")
}
