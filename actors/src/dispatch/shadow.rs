//! Shadows: what another policy would decide.

use std::future::Future;

use actix::MailboxError;
use muster_engine::id::{MarketId, RideId};
use muster_engine::policy::PolicyPatch;
use muster_engine::shadow::Comparison;

use super::Dispatch;
use crate::error::CallError;
use crate::shadow_actor::ShadowReport;

impl Dispatch {
    /// Has the shadow of a market decide by the market's policies with other keys, or no more. It
    /// follows when the market's policies change; while the keys do not fit them it decides nothing,
    /// which is logged.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`].
    pub fn set_shadow(
        &self,
        market: &MarketId,
        patch: Option<PolicyPatch>,
    ) -> Result<(), CallError> {
        self.runtime.market(market).ok_or(CallError::UnknownMarket)?.shadow_by(patch);
        Ok(())
    }

    /// How the shadow of a market stands; nothing when it decides nothing.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`], `TimedOut`.
    pub async fn shadow(&self, market: &MarketId) -> Result<Option<ShadowReport>, CallError> {
        let market = self.runtime.market(market).ok_or(CallError::UnknownMarket)?;
        self.in_time(market.shadow_report()).await
    }

    /// What came of a ride of a market by the shadow; nothing when that is not known, or no longer.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`], `TimedOut`.
    pub async fn shadow_of(
        &self,
        market: &MarketId,
        ride: &RideId,
    ) -> Result<Option<Comparison>, CallError> {
        let market = self.runtime.market(market).ok_or(CallError::UnknownMarket)?;
        self.in_time(market.shadow_of(ride)).await
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, MailboxError>>,
    ) -> Result<T, CallError> {
        let answer = tokio::time::timeout(self.runtime.limits.answer_within, answer).await;
        answer.ok().and_then(Result::ok).ok_or(CallError::TimedOut)
    }
}
