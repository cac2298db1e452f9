//! Everything that can be said to a zone's queue, and what it says to drivers.

use std::sync::Arc;

use crate::effect::ReplyTo;
use crate::id::{CallId, DriverId, GateId, OfferId, RideId, ServiceTierId};
use crate::offer::OfferTerms;
use crate::time::Timestamp;
use crate::zone::record::{GateCall, LeaveReason};

/// A command to a [`QueueMachine`](super::QueueMachine).
///
/// What a driver's machine asks carries the instant it asked at, which names the ask: it repeats an
/// ask without an answer, and the answer names the ask again.
#[derive(Debug, Clone, PartialEq)]
pub enum ZoneCommand {
    /// Take up work after a restart of the process or of this actor.
    Resume,
    /// A driver is at the zone and wants a place.
    Join {
        /// The driver.
        driver: DriverId,
        /// Tiers he serves.
        tiers: Vec<ServiceTierId>,
        /// When he came.
        at: Timestamp,
        /// The pickup gate he stands at.
        gate: Option<GateId>,
        /// The ask.
        asked_at: Timestamp,
    },
    /// A driver gives his place up, or is not at the zone any more.
    Leave {
        /// The driver.
        driver: DriverId,
        /// Why.
        reason: LeaveReason,
        /// The ask.
        asked_at: Timestamp,
    },
    /// A driver reached a pickup gate or left it.
    AtGate {
        /// The driver.
        driver: DriverId,
        /// The gate.
        gate: Option<GateId>,
    },
    /// A driver declined an offer of a ride at this zone, or let it run out.
    Skipped {
        /// The driver.
        driver: DriverId,
    },
    /// A driver answers a call to a gate.
    Respond {
        /// The driver.
        driver: DriverId,
        /// The call.
        call: CallId,
        /// Whether he comes.
        accept: bool,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// A ride waits for a driver here; told again now and then while it does.
    Waits {
        /// The ride.
        ride: Arc<WaitingRide>,
    },
    /// It does not any more.
    WaitsNoMore {
        /// The ride.
        ride: RideId,
    },
    /// A driver at the zone entered a rider's one-time password.
    EnterOtp {
        /// The driver.
        driver: DriverId,
        /// What he entered.
        otp: String,
        /// The ask.
        asked_at: Timestamp,
    },
    /// A person places a driver.
    Add {
        /// The driver.
        driver: DriverId,
        /// Tiers he serves.
        tiers: Vec<ServiceTierId>,
        /// The tier whose queue the position counts in.
        service_tier: ServiceTierId,
        /// Counted from 1; absent = the end.
        position: Option<usize>,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// A person takes a driver out.
    Remove {
        /// The driver.
        driver: DriverId,
        /// Why.
        note: Option<String>,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// A driver's machine was rebuilt: tell it what the queue holds about him.
    DriverRebuilt {
        /// The driver.
        driver: DriverId,
    },
}

/// A ride that waits for a driver at a zone.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingRide {
    /// The ride.
    pub ride: RideId,
    /// Tiers that will do.
    pub tiers: Vec<ServiceTierId>,
    /// The pickup gate nearest to the rider.
    pub gate: Option<GateId>,
    /// When it stops to wait whatever happens.
    pub until: Timestamp,
    /// For a ride that any driver at the zone may take by its one-time password.
    pub standing: Option<Arc<StandingOffer>>,
}

/// A ride that is offered to whoever enters its one-time password.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingOffer {
    /// The ride.
    pub ride: RideId,
    /// The offer, the same for everyone.
    pub offer: OfferId,
    /// What the rider tells the driver.
    pub otp: String,
    /// Tiers that will do.
    pub tiers: Vec<ServiceTierId>,
    /// What is offered.
    pub terms: Arc<OfferTerms>,
}

/// What a zone's queue tells a driver's machine.
#[derive(Debug, Clone, PartialEq)]
pub enum QueueNews {
    /// He has a place.
    Placed {
        /// The ask this answers; nothing when the queue says so by itself.
        asked_at: Option<Timestamp>,
        /// What his place follows from.
        ranked_at: Timestamp,
        /// A person placed him, wherever he is.
        held: bool,
    },
    /// He has none.
    Removed {
        /// The ask this answers; nothing when the queue says so by itself.
        asked_at: Option<Timestamp>,
        /// Why.
        reason: LeaveReason,
        /// Before this instant he gets none while he stays.
        barred_until: Option<Timestamp>,
    },
    /// He is called to a gate.
    Called {
        /// The call.
        call: GateCall,
    },
    /// A call is over.
    CallOver {
        /// The call.
        call: CallId,
    },
    /// The one-time password he entered is this ride's.
    OtpFound {
        /// The ask this answers.
        asked_at: Timestamp,
        /// The ride.
        standing: Arc<StandingOffer>,
    },
    /// No waiting ride has the one-time password he entered.
    OtpUnknown {
        /// The ask this answers.
        asked_at: Timestamp,
    },
}
