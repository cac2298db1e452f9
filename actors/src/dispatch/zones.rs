//! What the edges may ask of zones: queues, calls to gates, one-time passwords.

use std::sync::Arc;

use muster_engine::driver::DriverCommand;
use muster_engine::effect::{AcceptAnswer, Answer, Asker, Refusal, ReplyTo};
use muster_engine::id::{CallId, DriverId, MarketId, ServiceTierId, ZoneId};
use muster_engine::zone::{QueueOrder, QueueRecord, ZoneCommand};

use super::Dispatch;
use crate::error::CallError;

impl Dispatch {
    /// The durable order of a zone's queue.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`], [`CallError::UnknownZone`] also for a zone without a queue.
    pub fn zone_queue(
        &self,
        market: &MarketId,
        zone: &ZoneId,
    ) -> Result<Arc<QueueOrder>, CallError> {
        let runtime = self.runtime.market(market).ok_or(CallError::UnknownMarket)?;
        let known = runtime.market.zones().get(zone).filter(|zone| zone.queue.is_some());
        let known = known.ok_or(CallError::UnknownZone)?;
        let empty = || QueueRecord::new(market.clone(), known.id.clone());
        Ok(runtime.grid.queue(zone).unwrap_or_else(|| Arc::new(QueueOrder::of(Arc::new(empty())))))
    }

    /// Places a driver in a zone's queue: at `position` of a tier's queue, counted from 1, or at its
    /// end. One who has a place moves.
    ///
    /// # Errors
    /// [`CallError::UnknownDriver`] also for drivers of other markets, [`CallError::UnknownZone`];
    /// [`CallError::Refused`] when he is offline or does not serve the tier.
    pub async fn add_to_queue(
        &self,
        market: &MarketId,
        zone: &ZoneId,
        driver: &DriverId,
        service_tier: ServiceTierId,
        position: Option<usize>,
    ) -> Result<Arc<QueueRecord>, CallError> {
        self.zone_queue(market, zone)?;
        let handle = self.driver_handle(driver)?;
        let record = handle.board.durable().ok_or(CallError::UnknownDriver)?;
        if record.profile.market != *market {
            return Err(CallError::UnknownDriver);
        }
        if !record.online {
            return Err(CallError::Refused(Refusal::DriverOffline));
        }
        let tiers = record.profile.service_tiers.clone();
        if !tiers.contains(&service_tier) {
            return Err(CallError::Refused(Refusal::DriverNotEligible));
        }
        self.ask_zone(market, zone, |reply| ZoneCommand::Add {
            driver: driver.clone(),
            tiers,
            service_tier,
            position,
            reply: Some(reply),
        })
        .await
    }

    /// Takes a driver out of a zone's queue.
    ///
    /// # Errors
    /// [`CallError::UnknownZone`]; [`CallError::Refused`] when he has no place there.
    pub async fn remove_from_queue(
        &self,
        market: &MarketId,
        zone: &ZoneId,
        driver: &DriverId,
        note: Option<String>,
    ) -> Result<Arc<QueueRecord>, CallError> {
        self.zone_queue(market, zone)?;
        let driver = driver.clone();
        let ask = |reply| ZoneCommand::Remove { driver, note, reply: Some(reply) };
        self.ask_zone(market, zone, ask).await
    }

    /// A driver answers a call to a gate.
    ///
    /// # Errors
    /// [`CallError::UnknownZone`]; [`CallError::Refused`] when he has no such call.
    pub async fn answer_call(
        &self,
        market: &MarketId,
        zone: &ZoneId,
        driver: &DriverId,
        call: CallId,
        accept: bool,
    ) -> Result<Arc<QueueRecord>, CallError> {
        let driver = driver.clone();
        let ask = |reply| ZoneCommand::Respond { driver, call, accept, reply: Some(reply) };
        self.ask_zone(market, zone, ask).await
    }

    /// A driver at a zone enters a rider's one-time password.
    ///
    /// # Errors
    /// [`CallError::UnknownDriver`]; [`CallError::Refused`] when the password is wrong or he may not
    /// enter one.
    pub async fn enter_otp(
        &self,
        driver: &DriverId,
        otp: String,
    ) -> Result<AcceptAnswer, CallError> {
        let handle = self.driver_handle(driver)?;
        let ask = |reply| DriverCommand::EnterOtp { otp, asker: Some(Asker::Caller(reply)) };
        match self.ask(&handle, ask).await? {
            Answer::Accept(answer) => Ok(answer),
            Answer::Refused(refusal) => Err(CallError::Refused(refusal)),
            Answer::Ride(_) | Answer::Driver(_) | Answer::Queue(_) => Err(CallError::TimedOut),
        }
    }

    async fn ask_zone(
        &self,
        market: &MarketId,
        zone: &ZoneId,
        command: impl FnOnce(ReplyTo) -> ZoneCommand,
    ) -> Result<Arc<QueueRecord>, CallError> {
        let runtime = self.runtime.market(market).ok_or(CallError::UnknownMarket)?;
        let handle = runtime.zone(zone).ok_or(CallError::UnknownZone)?;
        let waiting = self.runtime.replies.wait();
        let deliver = self.deliver(command(waiting.reply), waiting.reply);
        handle.addr.try_send(deliver).map_err(|_| self.overloaded("zone"))?;
        match waiting.answer(self.runtime.limits.answer_within).await? {
            Answer::Queue(record) => Ok(record),
            Answer::Refused(refusal) => Err(CallError::Refused(refusal)),
            Answer::Ride(_) | Answer::Driver(_) | Answer::Accept(_) => Err(CallError::TimedOut),
        }
    }
}
