//! The policies that are compared: modes by name, files, single keys.

use std::collections::BTreeSet;
use std::path::Path;

use muster_engine::policy::{DispatchMode, DispatchPolicy, PolicyPatch};
use serde::Serialize;

use crate::error::SimulateError;

/// Policies compared in one simulation at most.
pub const POLICIES_MAX: usize = 32;

/// A mode of dispatch that can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SimulatedMode {
    /// Waves of drivers, the first accept wins.
    Broadcast,
    /// One driver at a time, the nearest first.
    #[value(alias = "nearest")]
    Sequential,
    /// The requests of a dispatch window matched together.
    Batched,
    /// Drivers who opted in are assigned without being asked, then waves.
    Instant,
}

impl SimulatedMode {
    /// The name of the column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.mode().name()
    }

    const fn mode(self) -> DispatchMode {
        match self {
            Self::Broadcast => DispatchMode::Broadcast,
            Self::Sequential => DispatchMode::Sequential,
            Self::Batched => DispatchMode::Batched,
            Self::Instant => DispatchMode::Instant,
        }
    }
}

/// A policy with the name of its column.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPolicy {
    /// Its name.
    pub name: String,
    /// The policy, validated.
    pub policy: DispatchPolicy,
}

/// The policies to compare: each mode, then each of `named` (`NAME=FILE.toml` or
/// `NAME=key=value,…`), all upon `base` with `set` (`key=value`) applied.
///
/// # Errors
/// [`SimulateError::Policy`] names the policy and what is wrong with it.
pub fn compared(
    base: &DispatchPolicy,
    modes: &[SimulatedMode],
    named: &[String],
    set: &[String],
) -> Result<Vec<NamedPolicy>, SimulateError> {
    let common = patch_of_pairs("--set", &set.join(","))?;
    let mut policies = Vec::new();
    for mode in modes {
        let patch = PolicyPatch { mode: Some(mode.mode()), ..PolicyPatch::default() };
        policies.push(policy(mode.name(), base, [&common, &patch])?);
    }
    for text in named {
        let (name, rest) = text.split_once('=').filter(|(name, _)| is_name(name)).ok_or_else(|| {
            let detail = "must be NAME=FILE.toml or NAME=key=value,… (a name is up to 32 letters, \
                          digits, - and _)";
            fault(text, detail)
        })?;
        let patch = if rest.contains('=') {
            patch_of_pairs(name, rest)?
        } else {
            patch_of_file(name, Path::new(rest))?
        };
        policies.push(policy(name, base, [&common, &patch])?);
    }
    let names: BTreeSet<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
    if names.len() < policies.len() {
        return Err(SimulateError::Options("two policies have the same name".to_owned()));
    }
    if policies.is_empty() || policies.len() > POLICIES_MAX {
        let detail = format!("1 to {POLICIES_MAX} policies are compared, got {}", policies.len());
        return Err(SimulateError::Options(detail));
    }
    Ok(policies)
}

/// The policy itself under a name, if it can be simulated.
pub(crate) fn upon(name: &str, base: &DispatchPolicy) -> Result<NamedPolicy, SimulateError> {
    let nothing = PolicyPatch::default();
    policy(name, base, [&nothing, &nothing])
}

fn policy(
    name: &str,
    base: &DispatchPolicy,
    patches: [&PolicyPatch; 2],
) -> Result<NamedPolicy, SimulateError> {
    let mut policy = base.clone();
    patches.into_iter().for_each(|patch| policy.apply(patch));
    let policy = policy.validated().map_err(|error| fault(name, error))?;
    match policy.mode {
        DispatchMode::Broadcast
        | DispatchMode::Sequential
        | DispatchMode::Batched
        | DispatchMode::Instant => Ok(NamedPolicy { name: name.to_owned(), policy }),
        DispatchMode::Queue | DispatchMode::Otp | DispatchMode::Quotes => {
            let mode = policy.mode.name();
            let detail = "cannot be simulated: use muster replay --compare";
            Err(fault(name, format!("mode {mode} {detail}")))
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=32).contains(&name.len()) && name.chars().all(allowed)
}

fn patch_of_file(name: &str, path: &Path) -> Result<PolicyPatch, SimulateError> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| fault(name, format!("{place}: {e}")))?;
    toml::from_str(&text).map_err(|error| fault(name, format!("{place}: {}", error.message())))
}

/// `key=value,key=value`; a list's commas do not part, a word needs no quotes.
fn patch_of_pairs(name: &str, pairs: &str) -> Result<PolicyPatch, SimulateError> {
    let mut depth = 0_i32;
    let parts = pairs.split(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth <= 0
    });
    let mut lines = String::new();
    for pair in parts.filter(|part| !part.trim().is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| fault(name, format!("{pair:?} is not key=value")))?;
        let (key, value) = (key.trim(), value.trim());
        let bare = format!("{key} = {value}\n");
        let valid = toml::from_str::<toml::Table>(&bare).is_ok();
        lines.push_str(&if valid { bare } else { format!("{key} = {value:?}\n") });
    }
    toml::from_str(&lines).map_err(|error| fault(name, error.message()))
}

fn fault(name: &str, detail: impl std::fmt::Display) -> SimulateError {
    SimulateError::Policy { name: name.to_owned(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        modes: &[SimulatedMode],
        named: &[&str],
        set: &[&str],
    ) -> Result<Vec<NamedPolicy>, String> {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        compared(&DispatchPolicy::default(), modes, &owned(named), &owned(set))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn modes_and_named_policies_stand_side_by_side_upon_what_is_set_for_all() {
        let named = ["long=mode=batched,batch_window_ms=30000,wave_sizes=[3,5],ranking=score"];
        let policies = of(&[SimulatedMode::Sequential], &named, &["offer_ttl_ms=9000"]).unwrap();
        let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        assert_eq!(names, ["sequential", "long"]);
        assert!(policies.iter().all(|policy| policy.policy.offer_ttl_ms == 9_000));
        assert_eq!(policies[0].policy.mode, DispatchMode::Sequential);
        let long = &policies[1].policy;
        assert_eq!((long.mode, long.batch_window_ms), (DispatchMode::Batched, 30_000));
        assert_eq!(long.wave_sizes, [3, 5]);
    }

    #[test]
    fn what_is_wrong_with_a_policy_is_named() {
        let error = |named: &str| of(&[], &[named], &[]).unwrap_err();
        assert!(error("a=wave_sise=3").contains("wave_sise"), "{}", error("a=wave_sise=3"));
        assert!(error("a=wave_size=0").contains("wave_size is 0, allowed is 1..=100"));
        assert!(error("a=mode=quotes").contains("mode quotes cannot be simulated"));
        assert!(error("a=/nowhere.toml").contains("/nowhere.toml"));
        assert!(error("nothing").contains("NAME=FILE.toml"));
        assert!(of(&[], &[], &[]).unwrap_err().contains("1 to 32 policies"));
        let twice = of(&[SimulatedMode::Batched], &["batched=wave_size=2"], &[]);
        assert!(twice.unwrap_err().contains("same name"));
    }
}
