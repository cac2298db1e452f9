//! What the grid knows of a driver besides the position: enough to filter, small enough to clone.

use crate::driver::{DriverFacts, SharedSeldom};
use crate::forward::ForwardSupply;
use crate::geo::Position;
use crate::id::stable_hash;
use crate::time::Timestamp;

/// Where a driver is in the working day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum DriverStatus {
    /// Not working.
    Offline,
    /// Working and free.
    Available,
    /// Accepted an offer that the ride has yet to confirm.
    Reserved,
    /// On the way to the rider.
    EnRoute,
    /// Waiting for the rider at the pickup.
    AtPickup,
    /// Carrying the rider.
    OnTrip,
}

impl DriverStatus {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Available => "available",
            Self::Reserved => "reserved",
            Self::EnRoute => "en_route",
            Self::AtPickup => "at_pickup",
            Self::OnTrip => "on_trip",
        }
    }
}

/// How well a driver is in touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Contact {
    /// The newest fix is fresh enough for offers.
    Live,
    /// The newest fix is too old for offers.
    Stale,
    /// The driver is considered out of reach.
    Lost,
}

impl Contact {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Lost => "lost",
        }
    }
}

/// A set of service tiers, by their index in one market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TierSet(u32);

impl TierSet {
    /// No tier.
    pub const EMPTY: Self = Self(0);
    /// The most tiers a market can have.
    pub const TIERS_MAX: usize = 32;

    /// This set and the tier at `index`; an index of [`Self::TIERS_MAX`] or more adds nothing.
    #[must_use]
    pub const fn with(self, index: u8) -> Self {
        match 1_u32.checked_shl(index as u32) {
            Some(bit) => Self(self.0 | bit),
            None => self,
        }
    }

    /// Whether the tier at `index` is in the set.
    pub const fn contains(self, index: u8) -> bool {
        match 1_u32.checked_shl(index as u32) {
            Some(bit) => self.0 & bit != 0,
            None => false,
        }
    }

    /// Whether the sets share a tier.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The tiers in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the set has no tier.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The indices in the set, ascending.
    pub fn indices(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |index| self.contains(*index))
    }
}

/// Tags folded into 64 bits, to pass over drivers who certainly lack a required tag.
///
/// Two tags may share a bit. A collision lets a driver through to the exact check and never hides
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TagFilter(u64);

impl TagFilter {
    /// The filter of a set of tags.
    pub fn of<'a>(tags: impl IntoIterator<Item = &'a str>) -> Self {
        let bit = |tag: &str| 1_u64 << (stable_hash(tag.as_bytes(), 0) & 63);
        Self(tags.into_iter().fold(0, |bits, tag| bits | bit(tag)))
    }

    /// Whether every required tag may be among these; `false` is certain.
    pub const fn covers(self, required: Self) -> bool {
        self.0 & required.0 == required.0
    }
}

/// The facts of a driver that candidate filters read.
///
/// In the order in which a search reads them, so that one cache line settles most drivers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct Supply {
    /// Where the driver is in the working day.
    pub status: DriverStatus,
    /// How well the driver is in touch.
    pub contact: Contact,
    /// Offers the driver has not answered yet.
    pub live_offers: u8,
    /// Whether the driver rests after an accept.
    pub cooling_down: bool,
    /// Whether an operator blocked the driver.
    pub blocked: bool,
    /// Whether his phone is connected; told of drivers with `instant_tiers` only, for nobody else
    /// is worth an entry with every connection.
    pub in_session: bool,
    /// The tiers the vehicle may serve.
    pub tiers: TierSet,
    /// The tiers whose rides he takes without being asked.
    pub instant_tiers: TierSet,
    /// Offers on their way to the driver that his own count does not know yet.
    pub hold: Hold,
    /// The tags of vehicle and driver.
    pub tags: TagFilter,
    /// What finer filters read; shared with the driver's machine.
    pub facts: SharedSeldom<DriverFacts>,
    /// Whether the driver may be asked for the ride after the one he is on.
    pub forward: ForwardSupply,
    /// What ranking reads.
    pub standing: Standing,
}

/// What ranking reads of a driver: his record of late, and his home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Offers he accepted per thousand answered.
    pub acceptance_permille: u16,
    /// Rides he gave back per thousand assigned.
    pub cancellation_permille: u16,
    /// Rides he completed.
    pub rides_completed: u16,
    /// Since when he has been without a ride.
    pub idle_since: Timestamp,
    /// Where he goes when the day is over, if that counts.
    pub home: Option<Position>,
    /// Offers he answered within the window.
    pub offers_answered: u32,
    /// Of these, offers he accepted.
    pub offers_accepted: u32,
    /// Offers he accepted within the window that another driver won.
    pub acceptances_lost: u32,
}

impl Default for Standing {
    /// A driver without a history: neither for him nor against him.
    fn default() -> Self {
        Self {
            acceptance_permille: 1_000,
            cancellation_permille: 0,
            rides_completed: 0,
            idle_since: Timestamp::default(),
            home: None,
            offers_answered: 0,
            offers_accepted: 0,
            acceptances_lost: 0,
        }
    }
}

/// Slots that rides count on while their waves become durable.
///
/// Without it every ride near a free driver chooses him in the same milliseconds, and all but a few
/// are refused. A hold ends with the driver's next entry in the grid, at the latest by itself: a
/// wave that never left must not keep a driver from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    /// How many.
    pub offers: u8,
    /// When they are void.
    pub until: Timestamp,
}

/// Why a driver is out of the question for every ride that looks for an idle one: what the index
/// can tell without looking at the ride or at his position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// Not working.
    Offline,
    /// Accepted an offer that the ride has yet to confirm.
    Reserved,
    /// Serving a ride.
    OnRide,
    /// Not heard of for too long.
    OutOfTouch,
    /// Blocked by an operator.
    Blocked,
    /// Free, with as many live offers as one driver may hold.
    SlotsFull,
    /// Free, and resting after an accept.
    CoolingDown,
}

impl Taken {
    /// Those that hold whatever the slot cap and the time.
    pub(super) const LASTING: [Self; 5] =
        [Self::Offline, Self::Reserved, Self::OnRide, Self::OutOfTouch, Self::Blocked];
}

impl Supply {
    /// A driver of these tiers who is available and in touch, and of whom nothing else is told.
    pub fn free(tiers: TierSet) -> Self {
        Self {
            tiers,
            tags: TagFilter::default(),
            status: DriverStatus::Available,
            contact: Contact::Live,
            live_offers: 0,
            cooling_down: false,
            blocked: false,
            instant_tiers: TierSet::EMPTY,
            in_session: false,
            hold: Hold::default(),
            forward: ForwardSupply::default(),
            facts: SharedSeldom::default(),
            standing: Standing::default(),
        }
    }

    /// Why the driver is out of the question whatever the slot cap and the time; nothing for one who
    /// may be free.
    pub fn taken(&self) -> Option<Taken> {
        match self.status {
            DriverStatus::Offline => Some(Taken::Offline),
            DriverStatus::Reserved => Some(Taken::Reserved),
            DriverStatus::EnRoute | DriverStatus::AtPickup | DriverStatus::OnTrip => {
                Some(Taken::OnRide)
            }
            DriverStatus::Available if self.contact != Contact::Live => Some(Taken::OutOfTouch),
            DriverStatus::Available => self.blocked.then_some(Taken::Blocked),
        }
    }

    /// Why the driver is out of the question for a ride that grants each driver `live_offers_max`
    /// slots.
    pub fn taken_under(&self, live_offers_max: u8, now: Timestamp) -> Option<Taken> {
        let full = self.slots_taken(now) >= live_offers_max;
        self.taken()
            .or_else(|| full.then_some(Taken::SlotsFull))
            .or_else(|| self.cooling_down.then_some(Taken::CoolingDown))
    }

    /// Slots that live offers take, and those on their way.
    pub fn slots_taken(&self, now: Timestamp) -> u8 {
        let held = if self.hold.until > now { self.hold.offers } else { 0 };
        self.live_offers.saturating_add(held)
    }

    /// Counts one more offer on its way, until `until`.
    pub(super) fn hold_slot(&mut self, now: Timestamp, until: Timestamp) {
        let held = if self.hold.until > now { self.hold.offers } else { 0 };
        self.hold = Hold { offers: held.saturating_add(1), until };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_set_holds_what_was_put_in_and_ignores_what_cannot_be() {
        let set = TierSet::EMPTY.with(0).with(31).with(32);
        assert_eq!(set.indices().collect::<Vec<_>>(), vec![0, 31]);
        assert!(!set.contains(32) && !set.contains(200));
        assert!(set.intersects(TierSet::EMPTY.with(31)));
        assert!(!set.intersects(TierSet::EMPTY.with(5)));
        assert!(TierSet::EMPTY.is_empty());
    }

    #[test]
    fn a_tag_filter_never_hides_a_driver_who_has_the_tags() {
        let names: Vec<String> = (0..200).map(|i| format!("tag-{i}")).collect();
        let all = TagFilter::of(names.iter().map(String::as_str));
        for name in &names {
            assert!(all.covers(TagFilter::of([name.as_str()])));
        }
        let some = TagFilter::of(["wheelchair", "child_seat"]);
        assert!(some.covers(TagFilter::of(["child_seat"])));
        assert!(some.covers(TagFilter::default()));
        assert!(!TagFilter::default().covers(some));
    }
}
