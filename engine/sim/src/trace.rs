//! One line per transition, hashed as it is written.

use std::collections::VecDeque;

use muster_engine::driver::DriverCommand;
use muster_engine::matching::MarketCommand;
use muster_engine::offer::OfferKind;
use muster_engine::ride::RideCommand;
use muster_engine::zone::{QueueNews, ZoneCommand};

/// Lines kept when not all are.
const LINES_KEPT: usize = 400;

/// The trace of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    whole: bool,
    hash: u64,
}

impl Trace {
    pub(crate) const fn new(whole: bool) -> Self {
        Self { lines: VecDeque::new(), whole, hash: 0xcbf2_9ce4_8422_2325 }
    }

    pub(crate) fn line(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if !self.whole && self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// The last characters of a long id: enough to follow it through a trace.
pub(crate) fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(4)..).unwrap_or(id)
}

pub(crate) fn driver_command(command: &DriverCommand) -> String {
    match command {
        DriverCommand::PutProfile { profile, .. } => match profile.blocked_until {
            Some(until) => format!("put_profile blocked_until={until:?}"),
            None => "put_profile".to_owned(),
        },
        DriverCommand::Remove { .. } => "remove".to_owned(),
        DriverCommand::SetOnline { online, .. } => format!("set_online {online}"),
        DriverCommand::PositionChanged => "position_changed".to_owned(),
        DriverCommand::Offer { offer, redelivered } => {
            let again = if *redelivered { " again" } else { "" };
            let kind = match offer.kind {
                OfferKind::Instant => " unasked",
                OfferKind::Standby => " standby",
                OfferKind::Ride | OfferKind::Quote { .. } => "",
            };
            format!("offer {} of {}{again}{kind}", short(offer.id.as_str()), offer.ride)
        }
        DriverCommand::Withdraw { offer, reason } => {
            format!("withdraw {} {}", short(offer.as_str()), reason.name())
        }
        DriverCommand::AcceptAnswered { offer, answer } => match answer {
            muster_engine::effect::AcceptAnswer::Won(ride) => {
                format!("won {} v{}", short(offer.as_str()), ride.version)
            }
            muster_engine::effect::AcceptAnswer::Lost(reason) => {
                format!("lost {} {}", short(offer.as_str()), reason.name())
            }
            muster_engine::effect::AcceptAnswer::Quoted(terms) => {
                format!("quoted {} {}", short(offer.as_str()), terms.fare.amount)
            }
            muster_engine::effect::AcceptAnswer::Standby { expires_at } => {
                format!("stands by {} until {expires_at:?}", short(offer.as_str()))
            }
        },
        DriverCommand::RideUpdated { ride } => {
            format!("ride_updated {} v{} {}", ride.request.ride, ride.version, ride.status.name())
        }
        DriverCommand::ConfirmQuote { offer } => format!("confirm {}", short(offer.id.as_str())),
        DriverCommand::CallStandby { offer } => format!("call {}", short(offer.id.as_str())),
        DriverCommand::Accept { offer, .. } => format!("accept {}", short(offer.as_str())),
        DriverCommand::EnterOtp { otp, .. } => format!("enter_otp {otp}"),
        DriverCommand::Queue { news: QueueNews::OtpFound { standing, .. }, .. } => {
            format!("queue says otp of {}", standing.ride)
        }
        DriverCommand::Queue { news, .. } => format!("queue says {news:?}"),
        DriverCommand::Decline { offer, .. } => format!("decline {}", short(offer.as_str())),
        DriverCommand::Connect { session, last_seq } => {
            format!("connect {} last_seq={last_seq:?}", session.0)
        }
        DriverCommand::Disconnect { session } => format!("disconnect {}", session.0),
        DriverCommand::Ack { seq } => format!("ack {seq}"),
        DriverCommand::Get { .. } => "get".to_owned(),
    }
}

pub(crate) fn zone_command(command: &ZoneCommand) -> String {
    match command {
        ZoneCommand::Waits { ride } => {
            let otp = ride.standing.as_ref().map(|standing| standing.otp.as_str());
            format!("waits {} gate={:?} until={:?} otp={otp:?}", ride.ride, ride.gate, ride.until)
        }
        ZoneCommand::Resume
        | ZoneCommand::Join { .. }
        | ZoneCommand::Leave { .. }
        | ZoneCommand::AtGate { .. }
        | ZoneCommand::Skipped { .. }
        | ZoneCommand::Respond { .. }
        | ZoneCommand::WaitsNoMore { .. }
        | ZoneCommand::EnterOtp { .. }
        | ZoneCommand::Add { .. }
        | ZoneCommand::Remove { .. }
        | ZoneCommand::DriverRebuilt { .. } => format!("{command:?}"),
    }
}

pub(crate) fn market_command(command: &MarketCommand) -> String {
    match command {
        MarketCommand::Join(request) => format!("join {}", request.ride),
        MarketCommand::Leave { ride, .. } => format!("leave {ride}"),
        MarketCommand::Matched(outcome) => {
            let facts = outcome.facts;
            format!("matched {} of {}, {} drivers", facts.served, facts.requests, facts.drivers)
        }
        MarketCommand::Failed { .. } => "failed".to_owned(),
    }
}

pub(crate) fn ride_command(command: &RideCommand) -> String {
    match command {
        RideCommand::Request { .. } => "request".to_owned(),
        RideCommand::Resume => "resume".to_owned(),
        RideCommand::Candidates(found) => {
            format!("candidates {} forward {}", found.found.len(), found.forward.len())
        }
        RideCommand::Matched(matched) => {
            let found = &matched.candidates;
            let (idle, forward) = (found.found.len(), found.forward.len());
            format!("matched {idle} forward {forward}")
        }
        RideCommand::WindowUnavailable { .. } => "window_unavailable".to_owned(),
        RideCommand::OfferRefused { offer, reason } => {
            format!("refused {} {}", short(offer.as_str()), reason.name())
        }
        RideCommand::OfferDeclined { offer } => format!("declined {}", short(offer.as_str())),
        RideCommand::OfferAccepted { offer, driver, .. } => {
            format!("accepted {} by {driver}", short(offer.as_str()))
        }
        RideCommand::OtpEntered(entry) => format!("otp_entered by {}", entry.driver),
        RideCommand::OtpTaken { otp } => format!("otp_taken {otp}"),
        RideCommand::QuoteConfirmed { quote, driver } => {
            format!("confirmed {} by {driver}", short(quote.as_str()))
        }
        RideCommand::StandbyReady { offer, driver } => {
            format!("ready {} of {driver}", short(offer.as_str()))
        }
        RideCommand::SelectQuote { quote, .. } => format!("select {}", short(quote.as_str())),
        RideCommand::DriverRebuilt { driver } => format!("driver_rebuilt {driver}"),
        RideCommand::Progress { driver, step, .. } => format!("{step:?} by {driver:?}"),
        RideCommand::Cancel { by, .. } => format!("cancel by {}", by.name()),
        RideCommand::Retry { .. } => "retry".to_owned(),
        RideCommand::DriverLocated { driver, reading } => {
            format!("driver_located {driver} {}", reading.is_some())
        }
        RideCommand::ChangeDropoff { dropoff, .. } => format!("change_dropoff {dropoff:?}"),
        RideCommand::Forward { driver, news } => format!("{news:?} by {driver}"),
        RideCommand::TellDriver { driver } => format!("tell {driver}"),
        RideCommand::Get { .. } => "get".to_owned(),
    }
}
