//! What batched mode's keys and those of the server must have in common.

use muster_engine::policy::{DispatchPolicy, MatchAccept};

use super::Config;

impl Config {
    /// The first market whose riders' best driver would be chosen later than a call is answered: his
    /// accept would run into the time-out before he can hear of it. Key, value, what is allowed.
    pub(super) fn collection_fault(&self) -> Option<(String, String, String)> {
        let within_ms = self.engine.answer_within_ms;
        let faulty = |policy: &DispatchPolicy| {
            let collects = policy.match_accept == MatchAccept::BestOfAcceptors
                && policy.match_offers_parallel > 1;
            collects && policy.match_collect_ms >= within_ms
        };
        let fault = |key: String, policy: &DispatchPolicy| {
            let allowed = format!("below engine.answer_within_ms, {within_ms}");
            (key, policy.match_collect_ms.to_string(), allowed)
        };
        if faulty(&self.policy) {
            return Some(fault("policy.match_collect_ms".to_owned(), &self.policy));
        }
        self.markets.iter().find_map(|(id, section)| {
            let mut policy = self.policy.clone();
            policy.apply(&section.policy);
            let key = format!("markets.{id}.policy.match_collect_ms");
            faulty(&policy).then(|| fault(key, &policy))
        })
    }
}
