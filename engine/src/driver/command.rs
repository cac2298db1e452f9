//! Everything that can be said to a driver's machine, and what it says to his phone.

use std::sync::Arc;

use crate::driver::record::{DriverProfile, DriverView};
use crate::effect::{AcceptAnswer, Asker, Refusal, ReplyTo, SessionId};
use crate::forward::ForwardReturn;
use crate::id::{CallId, OfferId, ZoneId};
use crate::offer::{Offer, WithdrawReason};
use crate::ride::RideRecord;
use crate::units::Money;
use crate::zone::{GateCall, LeaveReason, QueueNews};

/// A command to a [`DriverMachine`](super::DriverMachine).
#[derive(Debug, Clone, PartialEq)]
pub enum DriverCommand {
    /// Create or replace the profile.
    PutProfile {
        /// The new profile, validated.
        profile: Box<DriverProfile>,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Begin or end work.
    SetOnline {
        /// Whether he wants to work.
        online: bool,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Remove the driver, once he is bound to nothing any more. The answer comes when that is
    /// durable, not when he is gone.
    Remove {
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// The driver slot has a new fix that may change a decision: another cell, or the first fix
    /// after a silence.
    PositionChanged,
    /// A ride offers itself.
    Offer {
        /// The offer.
        offer: Box<Offer>,
        /// The offer was shown before a restart: take it back in without new checks.
        redelivered: bool,
    },
    /// The rider chose this driver's quote: say whether he can still take the ride.
    ConfirmQuote {
        /// The offer with its quote, for a machine that was rebuilt since.
        offer: Box<Offer>,
    },
    /// The ride that this driver stands by for needs him: say whether he can still take it.
    CallStandby {
        /// The offer he accepted, for a machine that was rebuilt since.
        offer: Box<Offer>,
    },
    /// A ride takes its offer back.
    Withdraw {
        /// The offer.
        offer: OfferId,
        /// Why.
        reason: WithdrawReason,
    },
    /// A ride answers an accept.
    AcceptAnswered {
        /// The offer.
        offer: OfferId,
        /// Won, lost or quoted.
        answer: AcceptAnswer,
    },
    /// A ride of this driver stands differently.
    RideUpdated {
        /// How it stands.
        ride: Arc<RideRecord>,
    },
    /// The driver says yes.
    Accept {
        /// The offer.
        offer: OfferId,
        /// What he asks for it, where offers are answered with quotes.
        fare: Option<Money>,
        /// Who says so and is answered.
        asker: Option<Asker>,
    },
    /// The driver entered a rider's one-time password at a zone.
    EnterOtp {
        /// What he entered.
        otp: String,
        /// Who says so and is answered.
        asker: Option<Asker>,
    },
    /// The queue of a zone says something about the driver.
    Queue {
        /// The zone.
        zone: ZoneId,
        /// What.
        news: QueueNews,
    },
    /// The driver says no.
    Decline {
        /// The offer.
        offer: OfferId,
        /// Why.
        reason: Option<String>,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// A phone connected.
    Connect {
        /// The connection.
        session: SessionId,
        /// The newest frame the phone has seen.
        last_seq: Option<u64>,
    },
    /// A phone's connection ended.
    Disconnect {
        /// The connection.
        session: SessionId,
    },
    /// The phone has received all frames up to `seq`.
    Ack {
        /// The newest frame received.
        seq: u64,
    },
    /// Tell how the driver stands.
    Get {
        /// Who waits for the answer.
        reply: ReplyTo,
    },
}

/// What a driver's phone is told. Frames with a `seq` are kept until acknowledged or void.
#[derive(Debug, Clone, PartialEq)]
pub enum PhoneFrame {
    /// The first frame of a session.
    Welcome {
        /// The newest sequence number given out.
        seq: u64,
        /// The whole state.
        driver: Box<DriverView>,
    },
    /// A new offer.
    Offer {
        /// Sequence number.
        seq: u64,
        /// The offer.
        offer: Box<Offer>,
    },
    /// An offer is off the table.
    OfferWithdrawn {
        /// Sequence number.
        seq: u64,
        /// The offer.
        offer: OfferId,
        /// Why.
        reason: WithdrawReason,
    },
    /// The driver has a ride.
    Assigned {
        /// Sequence number.
        seq: u64,
        /// The ride.
        ride: Arc<RideRecord>,
    },
    /// The driver does not come nearer to the pickup.
    Nudge {
        /// Sequence number.
        seq: u64,
        /// The ride.
        ride: Arc<RideRecord>,
    },
    /// The ride is off.
    RideCancelled {
        /// Sequence number.
        seq: u64,
        /// The ride.
        ride: Arc<RideRecord>,
    },
    /// The next ride will be another driver's: it could not wait.
    ForwardReturned {
        /// Sequence number.
        seq: u64,
        /// The ride.
        ride: Arc<RideRecord>,
        /// Why.
        why: ForwardReturn,
    },
    /// The driver is called to a gate of the zone in whose queue he waits, or his yes is known.
    QueueCall {
        /// Sequence number.
        seq: u64,
        /// The zone.
        zone: ZoneId,
        /// The call.
        call: GateCall,
    },
    /// A call to a gate is over.
    QueueCallOver {
        /// Sequence number.
        seq: u64,
        /// The zone.
        zone: ZoneId,
        /// The call.
        call: CallId,
    },
    /// The driver has a place in the queue of a zone.
    QueueJoined {
        /// The zone.
        zone: ZoneId,
    },
    /// The driver has no place in the queue of a zone any more.
    QueueLeft {
        /// The zone.
        zone: ZoneId,
        /// Why.
        reason: LeaveReason,
    },
    /// A one-time password that this phone entered takes no ride.
    OtpRefused {
        /// Why.
        refusal: Refusal,
    },
    /// An accept of this phone is decided.
    AcceptResult {
        /// The offer.
        offer: OfferId,
        /// Won or lost.
        answer: AcceptAnswer,
    },
    /// An accept of this phone cannot be decided.
    AcceptRefused {
        /// The offer.
        offer: OfferId,
        /// Why.
        refusal: Refusal,
    },
    /// The ride made a step.
    RideUpdated {
        /// The ride.
        ride: Arc<RideRecord>,
    },
}

impl PhoneFrame {
    /// The sequence number, for frames that are kept.
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Offer { seq, .. }
            | Self::OfferWithdrawn { seq, .. }
            | Self::Assigned { seq, .. }
            | Self::Nudge { seq, .. }
            | Self::RideCancelled { seq, .. }
            | Self::ForwardReturned { seq, .. }
            | Self::QueueCall { seq, .. }
            | Self::QueueCallOver { seq, .. } => Some(*seq),
            Self::Welcome { .. }
            | Self::QueueJoined { .. }
            | Self::QueueLeft { .. }
            | Self::OtpRefused { .. }
            | Self::AcceptResult { .. }
            | Self::AcceptRefused { .. }
            | Self::RideUpdated { .. } => None,
        }
    }
}
