//! In which zone a driver is, by his fixes: one noisy fix neither lets him in nor takes his place.

use std::sync::Arc;

use super::area::Zone;
use super::zones::Zones;
use crate::geo::Position;
use crate::id::{GateId, ZoneId};
use crate::time::Timestamp;

/// Where a driver is, as far as zones go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Whereabouts {
    /// Too few fixes since the process started.
    #[default]
    Unknown,
    /// Enough fixes in a row agree.
    Settled {
        /// The most specific watched zone he is in.
        zone: Option<ZoneId>,
        /// The pickup gate of that zone he stands at.
        gate: Option<GateId>,
        /// When the fix was received that settled the zone.
        since: Timestamp,
    },
}

impl Whereabouts {
    /// The zone he is settled in.
    pub const fn zone(&self) -> Option<&ZoneId> {
        match self {
            Self::Settled { zone, .. } => zone.as_ref(),
            Self::Unknown => None,
        }
    }
}

/// Counts fixes of one driver. Entering takes `entry_fixes` of the zone in a row inside it, leaving
/// `exit_fixes` in a row outside; the gate follows the same counts.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    /// Nothing while too few fixes are known.
    settled: Option<Place>,
    since: Timestamp,
    /// Fixes in a row outside the settled zone, or anywhere while nothing is settled.
    outside: u32,
    /// The zone of the newest fixes, if it is not the settled one, and how many there were.
    candidate: Option<(Arc<Zone>, u32)>,
    /// The gate of the newest fixes, if it is not the settled one, and how many there were.
    gate_candidate: Option<(Option<GateId>, u32)>,
}

#[derive(Debug, Clone, Default)]
struct Place {
    zone: Option<Arc<Zone>>,
    gate: Option<GateId>,
}

impl Presence {
    /// Whether the next fix must be looked at wherever it is: the driver is not settled outside all
    /// zones.
    pub(crate) const fn is_open(&self) -> bool {
        match &self.settled {
            Some(place) => place.zone.is_some() || self.candidate.is_some(),
            None => true,
        }
    }

    /// Where the driver is.
    pub(crate) fn whereabouts(&self) -> Whereabouts {
        match &self.settled {
            None => Whereabouts::Unknown,
            Some(place) => Whereabouts::Settled {
                zone: place.zone.as_ref().map(|zone| zone.id.clone()),
                gate: place.gate.clone(),
                since: self.since,
            },
        }
    }

    /// Counts a fix; tells whether the driver is settled elsewhere by it.
    pub(crate) fn observe(&mut self, at: Position, received_at: Timestamp, zones: &Zones) -> bool {
        let here = zones.watched_at(at);
        let moved = self.observe_zone(here, received_at, zones.exit_fixes_max());
        let gated = self.observe_gate(at);
        moved || gated
    }

    fn observe_zone(
        &mut self,
        here: Option<&Arc<Zone>>,
        received_at: Timestamp,
        nowhere_fixes: u32,
    ) -> bool {
        let own = self.settled.as_ref().and_then(|place| place.zone.clone());
        if own.is_some() && own.as_ref().map(|zone| &zone.id) == here.map(|zone| &zone.id) {
            self.outside = 0;
            self.candidate = None;
            return false;
        }
        // Unknown is settled by fixes that agree: those inside a zone do not speak for nowhere.
        let undecided = self.settled.is_none() && here.is_some();
        self.outside = if undecided { 0 } else { self.outside.saturating_add(1) };
        self.candidate = here.map(|zone| {
            let counted = self.candidate.take().filter(|(other, _)| other.id == zone.id);
            (Arc::clone(zone), counted.map_or(1, |(_, fixes)| fixes.saturating_add(1)))
        });
        let leaves_after = own.as_ref().map_or(nowhere_fixes, |zone| zone.exit_fixes());
        let may_leave = match &self.settled {
            Some(Place { zone: None, .. }) => true,
            Some(Place { zone: Some(_), .. }) => self.outside >= leaves_after,
            None => true,
        };
        let entered =
            self.candidate.take_if(|(zone, fixes)| may_leave && *fixes >= zone.entry_fixes());
        let next = match entered {
            Some((zone, _)) => Some(zone),
            None if self.is_settled_nowhere() || self.outside < leaves_after => return false,
            None => None,
        };
        self.settled = Some(Place { zone: next, gate: None });
        self.since = received_at;
        self.outside = 0;
        self.gate_candidate = None;
        true
    }

    const fn is_settled_nowhere(&self) -> bool {
        matches!(&self.settled, Some(Place { zone: None, .. }))
    }

    fn observe_gate(&mut self, at: Position) -> bool {
        let Some(Place { zone: Some(zone), gate }) = &mut self.settled else { return false };
        let here = zone.gate_at(at).map(|gate| gate.id.clone());
        if here == *gate {
            self.gate_candidate = None;
            return false;
        }
        let counted = self.gate_candidate.take().filter(|(other, _)| *other == here);
        let fixes = counted.map_or(1, |(_, fixes)| fixes.saturating_add(1));
        let needed = if here.is_some() { zone.entry_fixes() } else { zone.exit_fixes() };
        if fixes < needed {
            self.gate_candidate = Some((here, fixes));
            return false;
        }
        *gate = here;
        true
    }
}
