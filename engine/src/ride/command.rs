//! Everything that can be said to a ride.

use std::sync::Arc;

use crate::effect::ReplyTo;
use crate::forward::{ForwardLink, ForwardNews};
use crate::geo::Position;
use crate::grid::{Reading, TagFilter, TierSet};
use crate::id::{DriverId, OfferId, ServiceTierId, ZoneId};
use crate::matching::{WindowFacts, WindowMatch};
use crate::offer::Exclusion;
use crate::ride::decision::WaveExclusion;
use crate::ride::needs::RideNeeds;
use crate::ride::ranking::{RankQuery, RankedCandidate};
use crate::ride::record::CancelledBy;
use crate::time::Timestamp;
use crate::units::{Meters, Money};

/// A command to a [`RideMachine`](super::RideMachine).
#[derive(Debug, Clone, PartialEq)]
pub enum RideCommand {
    /// Begin: the request is validated and the ride does not exist yet.
    Request {
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Take up work after a restart of the process or of this actor.
    Resume,
    /// The result of a search of the supply index.
    Candidates(Box<Candidates>),
    /// The result of a dispatch window that the ride registered for.
    Matched(Box<WindowMatch>),
    /// No dispatch window takes the ride: it looks for itself.
    WindowUnavailable {
        /// The registration.
        join: u64,
    },
    /// The result of [`Effect::LocateDriver`](crate::effect::Effect::LocateDriver).
    DriverLocated {
        /// The driver.
        driver: DriverId,
        /// Where he was last, if anybody knows.
        reading: Option<Reading>,
    },
    /// A driver did not take the offer in: nobody saw it.
    OfferRefused {
        /// The offer.
        offer: OfferId,
        /// Why.
        reason: Exclusion,
    },
    /// A driver said no.
    OfferDeclined {
        /// The offer.
        offer: OfferId,
    },
    /// A driver said yes and is reserved until he is answered.
    OfferAccepted {
        /// The offer.
        offer: OfferId,
        /// The driver.
        driver: DriverId,
        /// His vehicle, for the rider (a JSON object as text).
        vehicle: Arc<str>,
        /// What he asks for it, where offers are answered with quotes.
        fare: Option<Money>,
    },
    /// The driver of the quote that the rider chose can take the ride, and waits for it.
    QuoteConfirmed {
        /// The quote.
        quote: OfferId,
        /// The driver.
        driver: DriverId,
    },
    /// The driver who stands by can take the ride now, and waits for it.
    StandbyReady {
        /// His offer.
        offer: OfferId,
        /// The driver.
        driver: DriverId,
    },
    /// The rider chooses a quote.
    SelectQuote {
        /// The quote: the id of its offer.
        quote: OfferId,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// A driver at the zone entered the ride's one-time password and is reserved until he is
    /// answered.
    OtpEntered(OtpEntry),
    /// Another ride at the zone has this one-time password.
    OtpTaken {
        /// The password.
        otp: String,
    },
    /// The driver's actor was rebuilt: tell it again what concerns it.
    DriverRebuilt {
        /// The driver.
        driver: DriverId,
    },
    /// The driver reports a step of the ride.
    Progress {
        /// Who says so; absent when an operator acts for the assigned driver.
        driver: Option<DriverId>,
        /// What happened.
        step: RideProgress,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Rider or operator call the ride off.
    Cancel {
        /// Who.
        by: CancelledBy,
        /// Why.
        reason: Option<String>,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Search again, with a new tip or other tiers.
    Retry {
        /// The new tip; absent keeps the old one.
        tip: Option<Money>,
        /// The new tiers; absent keeps the old ones.
        service_tiers: Option<Vec<ServiceTierId>>,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// The rider goes elsewhere.
    ChangeDropoff {
        /// Where.
        dropoff: Position,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// A driver whose next ride this is, as far as he knows, has news about it.
    Forward {
        /// The driver.
        driver: DriverId,
        /// The news.
        news: ForwardNews,
    },
    /// Tell this driver how the ride stands, be it his or not.
    TellDriver {
        /// The driver.
        driver: DriverId,
    },
    /// Tell how the ride stands.
    Get {
        /// Who waits for the answer.
        reply: ReplyTo,
    },
}

/// A driver who entered a ride's one-time password.
#[derive(Debug, Clone, PartialEq)]
pub struct OtpEntry {
    /// The ride's standing offer.
    pub offer: OfferId,
    /// The driver.
    pub driver: DriverId,
    /// His vehicle, for the rider (a JSON object as text).
    pub vehicle: Arc<str>,
    /// The tier he serves.
    pub service_tier: ServiceTierId,
    /// Straight-line distance to the pickup.
    pub distance: Meters,
    /// What he entered.
    pub otp: String,
}

/// How a zone's queue takes part in a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueQuery {
    /// The zone.
    pub zone: ZoneId,
    /// Drivers of the queue to choose when nobody else is chosen beside them; absent: its drivers
    /// come first, and the places they leave are filled from around.
    pub places: Option<usize>,
    /// Whether drivers around are chosen when the queue has nobody left.
    pub falls_back: bool,
}

/// A step of a ride that its driver reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RideProgress {
    /// At the pickup.
    Arrived,
    /// The rider is on board; the password comes from the rider.
    Start {
        /// The one-time password.
        otp: Option<String>,
    },
    /// At the drop-off.
    Complete,
    /// The driver gives the ride back.
    Cancel {
        /// Why; `rider_no_show` ends the ride, anything else before the start looks for another
        /// driver.
        reason: Option<String>,
    },
}

/// What a wave looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateQuery {
    /// The attempt that asks; an answer for another one is ignored.
    pub attempt: u32,
    /// Where the rider waits.
    pub pickup: Position,
    /// How far to look.
    pub radius: Meters,
    /// How many drivers to choose.
    pub limit: usize,
    /// Tiers that will do.
    pub tiers: TierSet,
    /// Tags a driver must carry (a coarse filter; the driver checks exactly).
    pub tags: TagFilter,
    /// The present instant.
    pub now: Timestamp,
    /// Slots a driver may hold.
    pub live_offers_max: u8,
    /// Slots from which on a driver is taken only when the wave would be short.
    pub live_offers_soft_max: u8,
    /// A driver whose newest fix is older is not offered the ride.
    pub fix_received_after: Timestamp,
    /// Drivers asked in this attempt.
    pub asked: std::collections::BTreeSet<DriverId>,
    /// Drivers this ride must not be offered to.
    pub blocked: std::collections::BTreeSet<DriverId>,
    /// Whether drivers that fall out are reported; a repeated search has nothing new to tell.
    pub explains: bool,
    /// How many exclusions to report one by one.
    pub explained_max: usize,
    /// What the ride asks of a driver.
    pub needs: Arc<RideNeeds>,
    /// Only drivers who can be assigned without being asked.
    pub instant: bool,
    /// Who of the eligible drivers is chosen.
    pub ranking: RankQuery,
    /// The queue that serves the pickup, when it takes part.
    pub queue: Option<QueueQuery>,
    /// How to look for drivers who are about to finish a ride, if at all.
    pub forward: Option<ForwardPlaces>,
}

/// Places of a wave for drivers who are about to finish a ride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardPlaces {
    /// How many drivers to choose.
    pub limit: usize,
    /// Whether they are asked when an idle driver was found.
    pub beside_idle: bool,
    /// Whether they are asked when none was.
    pub alone: bool,
}

/// A driver on a trip who is to be asked for the ride after it.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardCandidate {
    /// The driver; his distance is that of the whole way.
    pub ranked: RankedCandidate,
    /// What the ride would follow.
    pub link: ForwardLink,
}

/// The result of a [`CandidateQuery`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidates {
    /// The attempt that asked.
    pub attempt: u32,
    /// The drivers to be asked, best first; a slot of each is held.
    pub found: Vec<RankedCandidate>,
    /// Drivers on a trip to be asked as well, best first; a slot of each is held.
    pub forward: Vec<ForwardCandidate>,
    /// Eligible drivers that others were preferred to, best first.
    pub passed_over: Vec<RankedCandidate>,
    /// Drivers that fell out, nearest first, at most the number asked for.
    pub excluded: Vec<WaveExclusion>,
    /// All that fell out, by reason.
    pub excluded_counts: std::collections::BTreeMap<Exclusion, u32>,
    /// The dispatch window they come from, if they do.
    pub window: Option<WindowFacts>,
    /// What each of the drivers to be asked costs, in milliseconds to the pickup, where a dispatch
    /// window has more than one of them asked.
    pub costs_ms: std::collections::BTreeMap<DriverId, i64>,
}
