//! A market's policies as people write them.

use muster_engine::id::stable_hash;
use muster_engine::policy::{
    BookError, DispatchPolicy, Experiment, PolicyBook, PolicyError, PolicyPatch, PolicyRule,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::FieldFault;

/// A market's policies as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BookDocument {
    /// Keys of the policy; `config.toml` explains each. Those left out take the configured value of
    /// the market.
    #[schema(value_type = Object, example = json!({"wave_size": 5}))]
    pub policy: PolicyPatch,
    /// Keys for some searches, each with `name`, `match` and `set`. At most 256.
    #[schema(value_type = Vec<Object>, example = json!([
        {"name": "rush", "match": {"time": {"from_min": 420, "to_min": 540}},
         "set": {"wave_size": 8}}
    ]))]
    pub rules: Vec<PolicyRule>,
    /// Policies compared on live rides: `name` and at most 16 `arms`, each with `name`, `weight`
    /// and `set`.
    #[schema(value_type = Option<Object>)]
    pub experiment: Option<Experiment>,
    /// Minutes that the market's clocks are ahead of UTC; left out, the configured value.
    pub utc_offset_min: Option<i32>,
}

impl BookDocument {
    /// The book with every key written out.
    pub fn of(book: &PolicyBook) -> Self {
        Self {
            policy: PolicyPatch::from(book.base().as_ref()),
            rules: book.rules().to_vec(),
            experiment: book.experiment().cloned(),
            utc_offset_min: Some(book.utc_offset_min()),
        }
    }

    /// The book that this document describes; what it leaves out is taken from `configured`.
    ///
    /// # Errors
    /// Every value out of range by its place in the document, or else what makes no sense.
    pub fn book(
        &self,
        version: u64,
        configured: &PolicyBook,
    ) -> Result<PolicyBook, Vec<FieldFault>> {
        let faults = self.value_faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut base = DispatchPolicy::clone(configured.base());
        base.apply(&self.policy);
        let offset_min = self.utc_offset_min.unwrap_or_else(|| configured.utc_offset_min());
        let (rules, experiment) = (self.rules.clone(), self.experiment.clone());
        PolicyBook::new(version, base, rules, experiment, offset_min)
            .map_err(|error| vec![shape_fault(&error)])
    }

    /// The same for equal books, in every build: tells whether the configured book changed.
    ///
    /// # Errors
    /// None that a validated book can cause: its numbers are finite.
    pub(super) fn hash(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{:016x}", stable_hash(&serde_json::to_vec(self)?, 0)))
    }

    fn value_faults(&self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut check = |patch: &PolicyPatch, place: String| {
            if let Err(error) = patch.check() {
                faults.push(value_fault(&place, &error));
            }
        };
        check(&self.policy, "/policy".to_owned());
        for (index, rule) in self.rules.iter().enumerate() {
            check(&rule.set, format!("/rules/{index}/set"));
        }
        let arms = self.experiment.iter().flat_map(|experiment| &experiment.arms);
        for (index, arm) in arms.enumerate() {
            check(&arm.set, format!("/experiment/arms/{index}/set"));
        }
        faults
    }
}

fn value_fault(place: &str, error: &PolicyError) -> FieldFault {
    FieldFault { pointer: format!("{place}/{}", error.key), detail: error.to_string() }
}

/// What a book as a whole is refused for, once each of its patches is within range.
pub(super) fn shape_fault(error: &BookError) -> FieldFault {
    let pointer = match error {
        BookError::Value { error, .. } => return value_fault("/policy", error),
        BookError::Duplicate { place }
        | BookError::Shape { place, .. }
        | BookError::UnknownZone { place, .. } => match place.split([' ', ',']).next() {
            Some("rule" | "rules") => "/rules",
            Some("experiment") => "/experiment",
            Some("utc_offset_min") => "/utc_offset_min",
            Some(_) | None => "",
        },
    };
    FieldFault { pointer: pointer.to_owned(), detail: error.to_string() }
}
