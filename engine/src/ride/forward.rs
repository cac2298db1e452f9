//! A ride that waits until its driver has finished the one before: promoted when that has ended,
//! back to search when it cannot be waited for.

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{Effect, Outbox};
use crate::event::EventKind;
use crate::forward::{ForwardLink, ForwardNews, ForwardOutcome, ForwardReturn};
use crate::geo::Position;
use crate::id::DriverId;
use crate::policy::{AttemptKind, DispatchMode};
use crate::ride::command::ForwardPlaces;
use crate::ride::forward_search::ends_soon;
use crate::ride::machine::RideMachine;
use crate::ride::record::{RideEventKind, RideStatus};
use crate::ride::seeking::Seeking;
use crate::time::Timestamp;
use crate::travel::EtaSource;

impl RideMachine {
    /// The places that a search has for drivers on a trip. Idle drivers come first: only a search
    /// that has looked as far as it may asks drivers on a trip alone, and in sequential mode they
    /// are asked in no other case. A quote would keep a driver from his own ride's riders: none.
    pub(super) fn forward_places(&self, seeking: Seeking) -> Option<ForwardPlaces> {
        let sequential = self.policy.mode == DispatchMode::Sequential;
        let of_wave = self.policy.forward_wave_size.min(if sequential { 1 } else { u32::MAX });
        let limit = match seeking {
            Seeking::Wave | Seeking::Widest | Seeking::Window { .. } => of_wave,
            Seeking::Places(_) | Seeking::Instant | Seeking::Standby(_) => 0,
            Seeking::ForwardPlaces(places) => places,
        };
        let scheduled = self.record.request.pickup_at.is_some();
        let quotes = self.policy.mode == DispatchMode::Quotes;
        let wanted = !quotes && (!scheduled || self.policy.forward_scheduled);
        let widest = self.radius_of_next_wave() >= self.policy.search_radius_m_max;
        let alone = seeking != Seeking::Wave || widest;
        let places = ForwardPlaces { limit: limit as usize, beside_idle: !sequential, alone };
        (wanted && limit > 0).then_some(places)
    }

    /// What the driver who has, or had, this ride as his next one has to say.
    pub(super) fn on_forward_news(
        &mut self,
        driver: DriverId,
        news: ForwardNews,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let assigned = self.record.assignment.as_ref().map(|a| &a.driver.id);
        let his = assigned == Some(&driver) && self.record.status == RideStatus::Assigned;
        let link = self.record.forward().filter(|_| his).cloned();
        let Some(link) = link else {
            return self.tell_how_it_stands(driver, out);
        };
        match news {
            ForwardNews::Due => self.promote(now, out),
            ForwardNews::Infeasible(why) => self.return_to_search(driver, why, now, out),
            ForwardNews::DropoffMoved { from, dropoff } => {
                let link = ForwardLink { dropoff, ..link };
                self.follow(driver, link, from, now, out);
            }
        }
    }

    /// A driver who asks is answered, be the ride his or not; nobody is told of one that is not
    /// durable yet.
    pub(super) fn tell_how_it_stands(&self, driver: DriverId, out: &mut Outbox) {
        if self.told.version > 0 {
            let ride = Arc::clone(&self.told);
            out.push(Effect::ToDriver(driver, DriverCommand::RideUpdated { ride }));
        }
    }

    fn promote(&mut self, now: Timestamp, out: &mut Outbox) {
        if let Some(assignment) = self.record.assignment.as_mut() {
            assignment.forward = None;
        }
        self.watch_pickup(None, now);
        self.commit(RideEventKind::ForwardPromoted, now, None, out);
        self.publish(EventKind::Forward { outcome: ForwardOutcome::Promoted }, out);
        self.tell_driver(out);
    }

    /// The ride before has another drop-off: wait if a driver who stood so would be asked.
    fn follow(
        &mut self,
        driver: DriverId,
        link: ForwardLink,
        from: Option<Position>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let way = link.way(from.unwrap_or(link.dropoff), self.record.request.pickup);
        let policy = &self.policy;
        let far = way.distance.get() > f64::from(policy.forward_radius_m);
        if far || ends_soon(policy, way.remaining).is_err() {
            return self.return_to_search(driver, ForwardReturn::DropoffMoved, now, out);
        }
        let pickup_eta = policy.pickup_eta(way.distance);
        if let Some(assignment) = self.record.assignment.as_mut() {
            assignment.distance = way.distance;
            assignment.pickup_eta = pickup_eta;
            assignment.eta_source = EtaSource::GreatCircle;
            assignment.forward = Some(link);
        }
        self.commit(RideEventKind::ForwardUpdated, now, None, out);
        self.tell_driver(out);
    }

    /// A new attempt that nobody is to blame for: it counts for no limit, and the driver may be
    /// asked again.
    fn return_to_search(
        &mut self,
        driver: DriverId,
        why: ForwardReturn,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        self.record.attempt += 1;
        self.enter_search(AttemptKind::Reallocation, now);
        self.commit(RideEventKind::ForwardReturned, now, None, out);
        self.publish(EventKind::Forward { outcome: ForwardOutcome::Returned(why) }, out);
        self.tell_how_it_stands(driver, out);
        self.begin_wave(now, out);
    }
}
