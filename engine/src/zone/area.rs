//! What a zone is.

use std::collections::BTreeMap;

use crate::geo::Position;
use crate::id::{GateId, ServiceTierId, ZoneId};
use crate::market::Boundary;
use crate::units::Meters;

/// A place with rules of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Unique within its market.
    pub id: ZoneId,
    /// The name people see.
    pub name: String,
    /// What kind of place it is, in the platform's words: `airport`, `station`.
    pub category: Option<String>,
    /// Where zones overlap the greater one comes first, of equal ones the smaller area.
    pub priority: i32,
    /// The area, with holes.
    pub area: Boundary,
    /// Where riders and drivers meet.
    pub gates: Vec<Gate>,
    /// Whether drivers who wait in its queue are offered rides from elsewhere too.
    pub open_market: bool,
    /// Whether any driver at the zone may take a ride by its one-time password.
    pub otp: bool,
    /// The rules of its queue; nothing where there is none.
    pub queue: Option<QueueRules>,
}

/// A point of a zone where riders and drivers meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Unique within its zone.
    pub id: GateId,
    /// What for.
    pub kind: GateKind,
    /// Where.
    pub at: Position,
    /// How near a driver is at the gate.
    pub radius: Meters,
    /// When drivers are called here, by tier; tiers left out are never called.
    pub tiers: BTreeMap<ServiceTierId, GateTier>,
}

/// What a gate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateKind {
    /// Riders get in.
    Pickup,
    /// Riders get out.
    Drop,
    /// Drivers wait.
    Parking,
}

impl GateKind {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pickup => "pickup",
            Self::Drop => "drop",
            Self::Parking => "parking",
        }
    }
}

/// Demand and supply at a pickup gate, for one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateTier {
    /// Waiting rides from which on drivers are called.
    pub demand_min: u32,
    /// Drivers at the gate, or on their way to it, below which more are called.
    pub drivers_min: u32,
    /// How many there are after a call.
    pub drivers_max: u32,
}

/// The rules of a zone's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRules {
    /// Fixes in a row inside that let a driver in.
    pub entry_fixes: u32,
    /// Fixes in a row outside that take his place.
    pub exit_fixes: u32,
    /// Milliseconds without a fix that take his place.
    pub silent_ms: u64,
    /// Offers and calls that a driver may let pass; with one more he loses his place.
    pub skips_max: u32,
    /// Milliseconds in which a driver who lost his place gets no other unless he leaves the zone.
    pub rejoin_after_ms: u64,
    /// Milliseconds a driver has to answer a call to a gate.
    pub respond_ms: u64,
    /// Milliseconds he has to be there once he said yes.
    pub arrive_ms: u64,
    /// Milliseconds before he is called again.
    pub call_cooldown_ms: u64,
}

impl Default for QueueRules {
    fn default() -> Self {
        Self {
            entry_fixes: 2,
            exit_fixes: 3,
            silent_ms: 900_000,
            skips_max: 3,
            rejoin_after_ms: 1_800_000,
            respond_ms: 15_000,
            arrive_ms: 600_000,
            call_cooldown_ms: 900_000,
        }
    }
}

impl Zone {
    /// Whether drivers' fixes must be watched for this zone.
    pub const fn is_watched(&self) -> bool {
        self.queue.is_some() || self.otp
    }

    /// Fixes in a row inside that settle a driver here.
    pub fn entry_fixes(&self) -> u32 {
        self.queue.unwrap_or_default().entry_fixes
    }

    /// Fixes in a row outside that settle him elsewhere.
    pub fn exit_fixes(&self) -> u32 {
        self.queue.unwrap_or_default().exit_fixes
    }

    /// The gate of this kind that is nearest to `place`.
    pub fn nearest_gate(&self, kind: GateKind, place: Position) -> Option<&Gate> {
        let gates = self.gates.iter().filter(|gate| gate.kind == kind);
        gates.min_by(|a, b| {
            let (a_m, b_m) = (a.at.distance(place).get(), b.at.distance(place).get());
            a_m.total_cmp(&b_m)
        })
    }

    /// The pickup gate that a driver at `place` stands at.
    pub fn gate_at(&self, place: Position) -> Option<&Gate> {
        let gate = self.nearest_gate(GateKind::Pickup, place)?;
        (gate.at.distance(place).get() <= gate.radius.get()).then_some(gate)
    }

    /// A gate by its id.
    pub fn gate(&self, id: &GateId) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.id == *id)
    }
}
