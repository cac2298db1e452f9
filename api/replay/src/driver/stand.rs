//! A driver at a taxi stand takes the first rider in line by the code the rider shows.

use super::hands::Hands;
use super::machine::{DriverMachine, Phase, is_transient};
use crate::line::StandCode;
use crate::wire::ClientFrame;

/// Times a code without an answer is sent.
const ENTER_TRIES_MAX: u32 = 3;

/// A code that the server has not answered.
#[derive(Debug)]
pub(super) struct Entering {
    zone: String,
    code: StandCode,
    pub(super) sent_at_ms: i64,
    tries: u32,
}

impl DriverMachine {
    /// Looks whether a rider waits where the driver stands.
    pub(super) fn take_from_stand(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if self.considering.is_some() {
            return;
        }
        let Some(zone) = hands.vehicle.waits_at(now_ms).map(ToOwned::to_owned) else { return };
        let Some(code) = hands.line.next(&zone) else { return };
        hands.send(ClientFrame::EnterOtp { otp: code.otp.clone() });
        self.phase = Phase::Entering(Entering { zone, code, sent_at_ms: now_ms, tries: 1 });
    }

    /// The answer is missing: asks again, or leaves the rider to the next driver in the end.
    pub(super) fn enter_again(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        let Phase::Entering(entering) = &mut self.phase else { return };
        if entering.tries < ENTER_TRIES_MAX {
            entering.tries += 1;
            entering.sent_at_ms = now_ms;
            hands.send(ClientFrame::EnterOtp { otp: entering.code.otp.clone() });
        } else {
            self.leave_to_others(now_ms, hands);
        }
    }

    /// The server refused the code, or this driver.
    pub(super) fn refused_at_stand(&mut self, code: &str, now_ms: i64, hands: &mut Hands<'_>) {
        match code {
            // The rider has another code by now, or has gone.
            "otp_mismatch" => self.turned_away(now_ms, hands),
            _ if is_transient(code) => {}
            _ => self.leave_to_others(now_ms, hands),
        }
    }

    /// The ride is not to be had any more.
    pub(super) fn turned_away(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if matches!(self.phase, Phase::Entering(_)) {
            self.phase = Phase::Free;
            self.consider_next(now_ms, hands);
        }
    }

    fn leave_to_others(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if let Phase::Entering(Entering { zone, code, .. }) =
            std::mem::replace(&mut self.phase, Phase::Free)
        {
            hands.line.give_back(&zone, code);
            self.consider_next(now_ms, hands);
        }
    }
}

/// Refusals of a code, not of an answer to an offer.
pub(super) fn is_about_codes(code: &str) -> bool {
    let of_driver = ["not_at_zone", "driver_not_eligible", "driver_on_ride", "driver_offline"];
    code.starts_with("otp") || of_driver.contains(&code)
}
