//! Which policy holds for a search: the market's own, rules for some searches, experiments.
//!
//! Rules are ordered by how much of the context they name, most of all by the kind of thing named
//! (tier before category before area before distance before time before attempt), then by their
//! place in the book. Each key is set by the most specific rule that sets it; an experiment's arm
//! comes last. Resolution is total and deterministic: every context has exactly one policy, and the
//! same context in the same book has the same one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dispatch::{DispatchPolicy, PolicyPatch};
use super::keys::PolicyError;
use crate::id::{RideId, stable_hash};
use crate::time::Timestamp;
use crate::zone::Zones;

/// Why a search began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AttemptKind {
    /// The first search of a ride.
    Initial,
    /// The rider tried again after a search that found nobody.
    Retry,
    /// The rider tried again while a search ran, which this one replaces.
    CancelledAndRetried,
    /// A driver lost the ride.
    Reallocation,
    /// A scheduled ride's time has come.
    Scheduled,
    /// The driver is far from the pickup: one who would be there sooner is asked to stand by.
    BetterDriverSearch,
}

impl AttemptKind {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Retry => "retry",
            Self::CancelledAndRetried => "cancelled_and_retried",
            Self::Reallocation => "reallocation",
            Self::Scheduled => "scheduled",
            Self::BetterDriverSearch => "better_driver_search",
        }
    }
}

/// A part of the day in the market's local time, in minutes since midnight. One that ends before it
/// begins spans midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct TimeWindow {
    /// First minute, 0–1439.
    pub from_min: u16,
    /// The minute it is over, 1–1440.
    pub to_min: u16,
}

impl TimeWindow {
    fn contains(self, minute: u16) -> bool {
        if self.from_min < self.to_min {
            (self.from_min..self.to_min).contains(&minute)
        } else {
            minute >= self.from_min || minute < self.to_min
        }
    }
}

/// Which searches a rule is for; nothing named = all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct RuleMatch {
    /// A tier: the ride asks for it, among others or alone.
    pub service_tier: Option<String>,
    /// The ride's category: its attribute `category`.
    pub category: Option<String>,
    /// The zone of the pickup.
    pub pickup_zone: Option<String>,
    /// The zone of the drop-off.
    pub drop_zone: Option<String>,
    /// Rides at least this long, straight line in metres. Of several the largest holds.
    pub distance_m_min: Option<u32>,
    /// A part of the day.
    pub time: Option<TimeWindow>,
    /// Why the search began.
    pub attempt: Option<AttemptKind>,
}

/// Keys for some searches.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PolicyRule {
    /// What people call it; unique within a book.
    pub name: String,
    /// Which searches.
    #[cfg_attr(feature = "serde", serde(default, rename = "match"))]
    pub when: RuleMatch,
    /// What it sets.
    #[cfg_attr(feature = "serde", serde(default))]
    pub set: PolicyPatch,
}

/// One variant of an experiment.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct ExperimentArm {
    /// Unique within the experiment.
    pub name: String,
    /// Its share of rides, relative to the other arms.
    pub weight: u32,
    /// What it sets.
    #[cfg_attr(feature = "serde", serde(default))]
    pub set: PolicyPatch,
}

/// Policies compared on live rides: a ride's id decides its arm, for all of its attempts.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Experiment {
    /// What people call it; also the salt of the draw.
    pub name: String,
    /// The variants.
    pub arms: Vec<ExperimentArm>,
}

impl Experiment {
    /// The arm of `ride`; nothing when all weights are 0, which a validated book excludes.
    pub fn arm(&self, ride: &RideId) -> Option<&ExperimentArm> {
        let total: u64 = self.arms.iter().map(|arm| u64::from(arm.weight)).sum();
        let salt = stable_hash(self.name.as_bytes(), 0);
        let mut drawn = stable_hash(ride.as_str().as_bytes(), salt).checked_rem(total)?;
        self.arms.iter().find(|arm| {
            let weight = u64::from(arm.weight);
            let hit = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            hit
        })
    }
}

/// What a search is about, as far as policies may depend on it.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyContext<'a> {
    /// The ride.
    pub ride: &'a RideId,
    /// The tiers it asks for.
    pub service_tiers: Vec<&'a str>,
    /// Its category, if it has one.
    pub category: Option<&'a str>,
    /// Zones the pickup is in.
    pub pickup_zones: Vec<&'a str>,
    /// Zones the drop-off is in.
    pub drop_zones: Vec<&'a str>,
    /// Its length, straight line in metres; 0 without a drop-off.
    pub distance_m: u32,
    /// When the search begins.
    pub at: Timestamp,
    /// Why it begins.
    pub attempt: AttemptKind,
}

/// The policy of one search, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The policy.
    pub policy: Arc<DispatchPolicy>,
    /// The version of the book.
    pub version: u64,
    /// The rules that held, least specific first: later ones override earlier ones.
    pub rules: Vec<String>,
    /// `experiment/arm`, if there is an experiment.
    pub arm: Option<String>,
}

/// Everything that can be set about searches in one market.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyBook {
    /// Grows with each change; 0 is the configuration file's.
    version: u64,
    base: Arc<DispatchPolicy>,
    /// Least specific first.
    rules: Vec<PolicyRule>,
    experiment: Option<Experiment>,
    utc_offset_min: i32,
}

/// Why a book is refused. The one in force stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// A value is out of its range.
    #[error("{place}: {error}")]
    Value {
        /// Which part of the book.
        place: String,
        /// Which value.
        error: PolicyError,
    },
    /// Two parts have the same name.
    #[error("{place} is there twice")]
    Duplicate {
        /// Which part of the book.
        place: String,
    },
    /// A rule is for a zone that the market does not have.
    #[error("{place} names the zone {zone}, which the market does not have")]
    UnknownZone {
        /// Which part of the book.
        place: String,
        /// The zone.
        zone: String,
    },
    /// A part makes no sense.
    #[error("{place} is {fact}")]
    Shape {
        /// Which part of the book.
        place: String,
        /// What is wrong with it.
        fact: &'static str,
    },
}

/// Rules of one book at most.
pub const RULES_MAX: usize = 256;

/// Arms of one experiment at most: each is a series of a metric.
pub const EXPERIMENT_ARMS_MAX: usize = 16;

/// The longest name of an experiment or an arm.
const LABEL_CHARS_MAX: usize = 64;

/// Minutes of a day.
const DAY_MIN: i64 = 1_440;

impl RuleMatch {
    fn holds(&self, context: &PolicyContext<'_>, minute: u16) -> bool {
        let named = |wanted: &Option<String>, present: &[&str]| {
            wanted.as_deref().is_none_or(|wanted| present.contains(&wanted))
        };
        named(&self.service_tier, &context.service_tiers)
            && self.category.as_deref().is_none_or(|wanted| context.category == Some(wanted))
            && named(&self.pickup_zone, &context.pickup_zones)
            && named(&self.drop_zone, &context.drop_zones)
            && self.distance_m_min.is_none_or(|least| context.distance_m >= least)
            && self.time.is_none_or(|window| window.contains(minute))
            && self.attempt.is_none_or(|attempt| attempt == context.attempt)
    }

    /// Greater is more specific: first what is named, then how far out its distance band begins.
    fn rank(&self) -> (u32, u32) {
        let named = [
            self.service_tier.is_some(),
            self.category.is_some(),
            self.pickup_zone.is_some() && self.drop_zone.is_some(),
            self.pickup_zone.is_some(),
            self.drop_zone.is_some(),
            self.distance_m_min.is_some(),
            self.time.is_some(),
            self.attempt.is_some(),
        ];
        let bits = named.into_iter().fold(0, |bits, named| bits << 1 | u32::from(named));
        (bits, self.distance_m_min.unwrap_or(0))
    }
}

impl PolicyBook {
    /// A book of one policy for all searches.
    pub fn of(base: DispatchPolicy) -> Self {
        let base = Arc::new(base);
        Self { version: 0, base, rules: Vec::new(), experiment: None, utc_offset_min: 0 }
    }

    /// A book, checked as a whole.
    ///
    /// # Errors
    /// [`BookError`] names the first part that is wrong.
    pub fn new(
        version: u64,
        base: DispatchPolicy,
        mut rules: Vec<PolicyRule>,
        experiment: Option<Experiment>,
        utc_offset_min: i32,
    ) -> Result<Self, BookError> {
        let value = |place: &str| {
            let place = place.to_owned();
            move |error| BookError::Value { place, error }
        };
        let base = base.validated().map_err(value("policy"))?;
        if rules.len() > RULES_MAX {
            return Err(BookError::Shape { place: "rules".to_owned(), fact: "more than 256" });
        }
        let mut names = BTreeSet::new();
        for rule in &rules {
            let place = format!("rule {}", rule.name);
            check_rule(rule, &place)?;
            rule.set.check().map_err(value(&place))?;
            if !names.insert(rule.name.clone()) {
                return Err(BookError::Duplicate { place });
            }
        }
        if let Some(experiment) = &experiment {
            check_experiment(experiment)?;
        }
        if i64::from(utc_offset_min).abs() > DAY_MIN {
            let place = "utc_offset_min".to_owned();
            return Err(BookError::Shape { place, fact: "more than a day" });
        }
        // Stable: of equally specific rules the later one wins.
        rules.sort_by_key(|rule| rule.when.rank());
        Ok(Self { version, base: Arc::new(base), rules, experiment, utc_offset_min })
    }

    /// Checks that every zone a rule names is there.
    ///
    /// # Errors
    /// [`BookError::UnknownZone`] names the first one that is not.
    pub fn check_zones(&self, zones: &Zones) -> Result<(), BookError> {
        let named = self.rules.iter().flat_map(|rule| {
            let zones = rule.when.pickup_zone.iter().chain(&rule.when.drop_zone);
            zones.map(move |zone| (rule, zone))
        });
        if let Some((rule, zone)) = named.into_iter().find(|(_, zone)| zones.named(zone).is_none())
        {
            let place = format!("rule {}", rule.name);
            return Err(BookError::UnknownZone { place, zone: zone.clone() });
        }
        Ok(())
    }

    /// The same book under another version.
    #[must_use]
    pub fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// The version of the book.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The policy without any rule: what holds for drivers, who belong to no search.
    pub const fn base(&self) -> &Arc<DispatchPolicy> {
        &self.base
    }

    /// The rules, least specific first.
    pub fn rules(&self) -> &[PolicyRule] {
        &self.rules
    }

    /// The experiment under way.
    pub const fn experiment(&self) -> Option<&Experiment> {
        self.experiment.as_ref()
    }

    /// Minutes that the market's clocks are ahead of UTC.
    pub const fn utc_offset_min(&self) -> i32 {
        self.utc_offset_min
    }

    /// The policy of a search.
    pub fn resolve(&self, context: &PolicyContext<'_>) -> Resolution {
        let minute = self.local_minute(context.at);
        let held: Vec<&PolicyRule> =
            self.rules.iter().filter(|rule| rule.when.holds(context, minute)).collect();
        let experiment = self.experiment.as_ref();
        let arm = experiment.and_then(|e| Some((e, e.arm(context.ride)?)));
        let mut policy = DispatchPolicy::clone(&self.base);
        let arm_patch = arm.map(|(_, arm)| &arm.set);
        for patch in held.iter().map(|rule| &rule.set).chain(arm_patch) {
            policy.apply(patch);
        }
        let unchanged = held.is_empty() && arm.is_none();
        Resolution {
            policy: if unchanged { Arc::clone(&self.base) } else { Arc::new(policy.reconciled()) },
            version: self.version,
            rules: held.into_iter().map(|rule| rule.name.clone()).collect(),
            arm: arm.map(|(experiment, arm)| format!("{}/{}", experiment.name, arm.name)),
        }
    }

    fn local_minute(&self, at: Timestamp) -> u16 {
        let utc_min = i64::try_from(at.as_millis() / 60_000).unwrap_or(0);
        let local = (utc_min + i64::from(self.utc_offset_min)).rem_euclid(DAY_MIN);
        u16::try_from(local).unwrap_or(0)
    }
}

fn check_rule(rule: &PolicyRule, place: &str) -> Result<(), BookError> {
    let shape = |fact| Err(BookError::Shape { place: place.to_owned(), fact });
    if rule.name.is_empty() {
        return shape("without a name");
    }
    if rule.set.keys().next().is_none() {
        return shape("without anything to set");
    }
    match rule.when.time {
        Some(TimeWindow { from_min, to_min })
            if from_min > 1_439 || !(1..=1_440).contains(&to_min) || from_min == to_min =>
        {
            shape("bound to a time window outside 0..1440 minutes")
        }
        Some(_) | None => Ok(()),
    }
}

fn check_experiment(experiment: &Experiment) -> Result<(), BookError> {
    let place = format!("experiment {}", experiment.name);
    let label = "named with something else than 1 to 64 of A-Z a-z 0-9 _ . -";
    if !is_label(&experiment.name) {
        return Err(BookError::Shape { place, fact: label });
    }
    if experiment.arms.len() > EXPERIMENT_ARMS_MAX {
        return Err(BookError::Shape { place, fact: "of more than 16 arms" });
    }
    if experiment.arms.iter().all(|arm| arm.weight == 0) {
        return Err(BookError::Shape { place, fact: "without an arm that has weight" });
    }
    let mut names = BTreeSet::new();
    for arm in &experiment.arms {
        let place = format!("{place}, arm {}", arm.name);
        if !is_label(&arm.name) {
            return Err(BookError::Shape { place, fact: label });
        }
        if !names.insert(&arm.name) {
            return Err(BookError::Duplicate { place });
        }
        arm.set.check().map_err(|error| BookError::Value { place, error })?;
    }
    Ok(())
}

/// Whether `name` can stand in a metric's label.
fn is_label(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=LABEL_CHARS_MAX).contains(&name.len()) && name.chars().all(plain)
}
