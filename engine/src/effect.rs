//! What machines ask of their surroundings: one closed list.

use std::sync::Arc;

use crate::driver::{DriverCommand, DriverRecord, DriverView, PhoneFrame};
use crate::event::Event;
use crate::grid::Supply;
use crate::id::{DriverId, OfferId, RideId, ZoneId};
use crate::matching::{MarketCommand, WindowQuery};
use crate::offer::{QuoteTerms, WithdrawReason};
use crate::ride::{CandidateQuery, RideCommand, RideCommit, RideRecord};
use crate::shadow::ShadowQuery;
use crate::time::Timestamp;
use crate::zone::{QueueOrder, QueueRecord, ZoneCommand, ZoneCommit};

/// Names the caller that waits for an answer; made and resolved by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// One live connection of a driver's phone; made by the shell, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Who says something, and so where the answer goes.
///
/// A phone is answered by a frame, in order with all its other frames: an answer that took another
/// way could arrive after the news that made it old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asker {
    /// A caller who waits.
    Caller(ReplyTo),
    /// A phone on its session.
    Phone(SessionId),
}

/// One request to the surroundings.
///
/// A turn is one call of a machine. When a turn persists something, all its other effects but
/// [`FindCandidates`](Effect::FindCandidates) and [`LocateDriver`](Effect::LocateDriver) wait for
/// the commit (invariant M13), and so do the effects of later turns of the same machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make a ride's new state durable, with its history row.
    PersistRide(Box<RideCommit>),
    /// Make a driver's new profile or intent durable.
    PersistDriver(Arc<DriverRecord>),
    /// Make a zone queue's new state durable, with its history row.
    PersistZone(Box<ZoneCommit>),
    /// Deliver to the machine of a zone's queue in the same market.
    ToZone(ZoneId, ZoneCommand),
    /// Deliver to the matcher of the same market.
    ToMarket(MarketCommand),
    /// Match a dispatch window and hand the result back as
    /// [`MarketCommand::Matched`], or [`MarketCommand::Failed`]; it may take a while.
    MatchWindow(Box<WindowQuery>),
    /// Decide what a shadow would, with [`decide`](crate::shadow::decide), and hand the result back
    /// as [`ShadowCommand::Decided`](crate::shadow::ShadowCommand::Decided), or as `Failed`; it may
    /// take a while.
    DecideShadow(Box<ShadowQuery>),
    /// Show searches and people the order of a zone's queue.
    PublishQueue(ZoneId, Arc<QueueOrder>),
    /// Deliver to a driver's machine.
    ToDriver(DriverId, DriverCommand),
    /// Deliver to a ride's machine.
    ToRide(RideId, RideCommand),
    /// Send a frame to the phone behind a session.
    SendFrame(SessionId, PhoneFrame),
    /// Say goodbye to a session and close it.
    CloseSession(SessionId, CloseReason),
    /// Answer a waiting caller.
    Answer(ReplyTo, Answer),
    /// Search the supply index and hand the result back as [`RideCommand::Candidates`], within the
    /// same turn.
    FindCandidates(Box<CandidateQuery>),
    /// Read a driver's newest position and hand it back as [`RideCommand::DriverLocated`], within
    /// the same turn.
    LocateDriver(DriverId),
    /// Put the driver into the supply index at his newest position, or refresh his entry.
    PlaceSupply(Arc<Supply>),
    /// Take the driver out of the supply index.
    RemoveSupply,
    /// Remember that this offer belongs to this driver, for callers who know only the offer.
    IndexOffer(OfferId),
    /// Forget it.
    ForgetOffer(OfferId),
    /// Count and log what happened.
    Publish(Event),
    /// The machine is done: drop it from memory.
    Retire,
}

/// Why a session is closed by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// A newer session of the same driver took over.
    Superseded,
}

/// The effects of one turn, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    effects: Vec<Effect>,
}

impl Outbox {
    /// Asks for `effect`.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Hands all effects over, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// The effects so far.
    pub fn as_slice(&self) -> &[Effect] {
        &self.effects
    }

    /// Whether nothing is asked for.
    pub const fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }
}

/// What a waiting caller is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The ride as it stands.
    Ride(Arc<RideRecord>),
    /// The driver as he stands.
    Driver(Box<DriverView>),
    /// The end of an accept.
    Accept(AcceptAnswer),
    /// A zone's queue as it stands.
    Queue(Arc<QueueRecord>),
    /// The call changed nothing, for this reason.
    Refused(Refusal),
}

/// The end of an accept.
#[derive(Debug, Clone, PartialEq)]
pub enum AcceptAnswer {
    /// The ride is this driver's.
    Won(Arc<RideRecord>),
    /// It is not.
    Lost(WithdrawReason),
    /// It waits as a quote until the rider chooses.
    Quoted(QuoteTerms),
    /// The ride has a driver; this one stands by.
    Standby {
        /// Until when at most.
        expires_at: Timestamp,
    },
}

/// A call that cannot be done in the present state: the fact that refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No ride has this id.
    UnknownRide,
    /// No offer has this id.
    UnknownOffer,
    /// A ride with this id exists.
    RideAlreadyExists,
    /// The ride is completed.
    RideAlreadyCompleted,
    /// The ride is cancelled.
    RideAlreadyCancelled,
    /// The ride found no driver and is over.
    RideUnfulfilled,
    /// The ride has a driver, so it cannot search again.
    RideAlreadyAssigned,
    /// The ride has no driver yet.
    RideNotAssigned,
    /// The caller is not the ride's driver.
    NotAssignedDriver,
    /// The driver has not arrived yet.
    DriverNotArrived,
    /// The ride has not started yet.
    RideNotStarted,
    /// The ride is in progress already.
    RideAlreadyStarted,
    /// The one-time password is wrong or absent.
    OtpMismatch,
    /// Another accept of this driver waits for its answer.
    AcceptPending,
    /// The driver is not online.
    DriverOffline,
    /// The ride waits until its driver has finished the one before.
    RideIsForward,
    /// The driver is not at a zone where one-time passwords are taken.
    NotAtZone,
    /// The driver serves a ride.
    DriverOnRide,
    /// The driver may not be offered the ride.
    DriverNotEligible,
    /// The driver entered too many wrong one-time passwords.
    OtpAttemptsExhausted,
    /// The driver has no place in this queue.
    NotQueued,
    /// The driver has no such call.
    UnknownCall,
    /// No quote of this ride has this id.
    UnknownQuote,
    /// The quote's time has passed.
    QuoteExpired,
    /// The quote was taken back, or its driver cannot take the ride any more.
    QuoteUnavailable,
    /// Another selection waits for its driver.
    SelectionPending,
    /// The fare is outside the offer's bounds, or in another currency.
    FareOutOfBounds,
    /// The rider named no fare, so a quote must.
    FareRequired,
    /// Accepts of this offer take no fare.
    FareNotNegotiable,
}

impl Refusal {
    /// The stable error code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownRide => "unknown_ride",
            Self::UnknownOffer => "unknown_offer",
            Self::RideAlreadyExists => "ride_already_exists",
            Self::RideAlreadyCompleted => "ride_already_completed",
            Self::RideAlreadyCancelled => "ride_already_cancelled",
            Self::RideUnfulfilled => "ride_unfulfilled",
            Self::RideAlreadyAssigned => "ride_already_assigned",
            Self::RideNotAssigned => "ride_not_assigned",
            Self::NotAssignedDriver => "not_assigned_driver",
            Self::DriverNotArrived => "driver_not_arrived",
            Self::RideNotStarted => "ride_not_started",
            Self::RideAlreadyStarted => "ride_already_started",
            Self::OtpMismatch => "otp_mismatch",
            Self::AcceptPending => "accept_pending",
            Self::DriverOffline => "driver_offline",
            Self::RideIsForward => "ride_is_forward",
            Self::NotAtZone => "not_at_zone",
            Self::DriverOnRide => "driver_on_ride",
            Self::DriverNotEligible => "driver_not_eligible",
            Self::OtpAttemptsExhausted => "otp_attempts_exhausted",
            Self::NotQueued => "not_queued",
            Self::UnknownCall => "unknown_call",
            Self::UnknownQuote => "unknown_quote",
            Self::QuoteExpired => "quote_expired",
            Self::QuoteUnavailable => "quote_unavailable",
            Self::SelectionPending => "selection_pending",
            Self::FareOutOfBounds => "fare_out_of_bounds",
            Self::FareRequired => "fare_required",
            Self::FareNotNegotiable => "fare_not_negotiable",
        }
    }
}
