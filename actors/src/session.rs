//! A phone's connection: positions straight into the driver slot, everything else to the actor.

mod moved;

use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll};

use muster_engine::driver::{DriverCommand, PhoneFrame};
use muster_engine::effect::{Asker, SessionId};
use muster_engine::grid::{AppliedAll, Fix, FixRejection};
use muster_engine::id::{DriverId, OfferId};
use muster_engine::units::Money;
use tokio::sync::mpsc;

use crate::origin::current_origin;
use crate::registry::DriverHandle;
use crate::runtime::Runtime;
use crate::shell::Deliver;

/// Frames that wait for a phone to read; with one more the phone is disconnected.
pub const SESSION_FRAMES_MAX: usize = 256;

/// What a session is told.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionFrame {
    /// A frame for the phone.
    Phone(Box<PhoneFrame>),
    /// A newer session of the same driver took over: say goodbye and close.
    Superseded,
    /// The driver's actor was rebuilt: close, the phone reconnects.
    Restarted,
}

/// One phone's connection to its driver's actor. Dropping it disconnects.
pub struct DriverLink {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) handle: Arc<DriverHandle>,
    pub(crate) session: SessionId,
    pub(crate) frames: mpsc::Receiver<SessionFrame>,
}

impl DriverLink {
    /// The session's id, unique in the process.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Whose link this is.
    pub fn driver(&self) -> &DriverId {
        self.handle.board.driver()
    }

    /// The next thing to tell the phone. Nothing when the phone has read too slowly and was let go.
    pub async fn next(&mut self) -> Option<SessionFrame> {
        self.frames.recv().await
    }

    /// As [`next`](Self::next), for a session that waits for more than one thing in one place.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<SessionFrame>> {
        self.frames.poll_recv(context)
    }

    /// Applies one fix.
    ///
    /// # Errors
    /// [`FixRejection`] when it is not applied.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn apply(&self, fix: &Fix) -> Result<(), FixRejection> {
        let mut refused = Ok(());
        self.apply_all(iter::once(Ok(*fix)), |_, why| refused = Err(why));
        refused
    }

    /// Applies fixes that arrived together, as [`DriverSlot::apply_all`](muster_engine::grid::DriverSlot::apply_all)
    /// does. Where a decision may change by them the driver's actor hears of it, once for all of them and
    /// behind whatever else this thread has to do at once, with all others of whom that is true: their
    /// threads are woken once and not for each.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn apply_all(
        &self,
        fixes: impl Iterator<Item = Result<Fix, FixRejection>>,
        refused: impl FnMut(usize, FixRejection),
    ) -> AppliedAll {
        let done = write(&self.runtime, &self.handle, fixes, refused);
        if done.applied.matters() {
            moved::note(&self.runtime, &self.handle);
        }
        done
    }

    /// The phone says yes, for a fare where accepts are quotes; the answer is a frame. Tells whether
    /// the driver's mailbox took it.
    pub fn accept(&self, offer: OfferId, fare: Option<Money>) -> bool {
        let asker = Some(Asker::Phone(self.session));
        let accept = DriverCommand::Accept { offer, fare, asker };
        let deliver = Deliver::new(accept).on_behalf(current_origin());
        let taken = self.handle.addr.try_send(deliver).is_ok();
        if !taken {
            self.runtime.meter.mailbox_full("driver");
        }
        taken
    }

    /// The phone enters a rider's one-time password; the answer is a frame. Tells whether the
    /// driver's mailbox took it.
    pub fn enter_otp(&self, otp: String) -> bool {
        let asker = Some(Asker::Phone(self.session));
        let deliver =
            Deliver::new(DriverCommand::EnterOtp { otp, asker }).on_behalf(current_origin());
        let taken = self.handle.addr.try_send(deliver).is_ok();
        if !taken {
            self.runtime.meter.mailbox_full("driver");
        }
        taken
    }

    /// The phone has received all frames up to `seq`.
    pub fn acknowledge(&self, seq: u64) {
        // An acknowledgement that finds the mailbox full is made up for by the next one.
        let _full = self.handle.addr.try_send(Deliver::new(DriverCommand::Ack { seq }));
    }
}

impl Drop for DriverLink {
    fn drop(&mut self) {
        let session = self.session;
        self.handle.addr.do_send(Deliver::new(DriverCommand::Disconnect { session }));
    }
}

/// Writes fixes that arrived together into the driver's slot and tells the actor at once when a decision
/// may change by them.
pub(crate) fn apply_fixes(
    runtime: &Runtime,
    handle: &DriverHandle,
    fixes: impl Iterator<Item = Fix>,
    refused: impl FnMut(usize, FixRejection),
) {
    if write(runtime, handle, fixes.map(Ok), refused).applied.matters() {
        tell_moved(runtime, handle);
    }
}

fn write(
    runtime: &Runtime,
    handle: &DriverHandle,
    fixes: impl Iterator<Item = Result<Fix, FixRejection>>,
    refused: impl FnMut(usize, FixRejection),
) -> AppliedAll {
    let (slot, market) = (&handle.board.slot, &handle.board.market.market);
    slot.apply_all(fixes, runtime.clock.now(), &runtime.fix_limits, market, refused)
}

fn tell_moved(runtime: &Runtime, handle: &DriverHandle) {
    if handle.addr.try_send(Deliver::new(DriverCommand::PositionChanged)).is_err() {
        // The mailbox is full: the next fix tries again.
        runtime.meter.mailbox_full("driver");
        handle.board.slot.request_attention();
    }
}
