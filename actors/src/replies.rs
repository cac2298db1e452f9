//! Callers that wait for a machine's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use muster_engine::effect::{Answer, ReplyTo};
use tokio::sync::oneshot;

use crate::error::CallError;
use crate::runtime::Runtime;

type Result = std::result::Result<Answer, CallError>;

/// The waiting callers of the process.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    waiting: DashMap<ReplyTo, oneshot::Sender<Result>>,
    issued: AtomicU64,
}

/// Goes with a command to a machine: dropped before the machine heard it, as with the mailbox of an
/// actor that left memory, it tells the caller so, who would wait in vain otherwise.
pub(crate) struct Caller {
    runtime: Option<Arc<Runtime>>,
    reply: ReplyTo,
}

impl Caller {
    pub(crate) const fn new(runtime: Arc<Runtime>, reply: ReplyTo) -> Self {
        Self { runtime: Some(runtime), reply }
    }

    pub(crate) fn was_heard(mut self) {
        self.runtime = None;
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.replies.resolve(self.reply, Err(CallError::Unheard));
        }
    }
}

/// A place in the queue for an answer; dropping it gives the place up.
pub(crate) struct Waiting<'a> {
    replies: &'a Replies,
    pub(crate) reply: ReplyTo,
    answer: oneshot::Receiver<Result>,
}

impl Replies {
    pub(crate) fn wait(&self) -> Waiting<'_> {
        let reply = ReplyTo(self.issued.fetch_add(1, Ordering::Relaxed));
        let (sender, answer) = oneshot::channel();
        self.waiting.insert(reply, sender);
        Waiting { replies: self, reply, answer }
    }

    /// Answers a caller, unless he gave up.
    pub(crate) fn resolve(&self, reply: ReplyTo, result: Result) {
        if let Some((_, sender)) = self.waiting.remove(&reply) {
            // A caller that just gave up does not want it.
            let _unwanted = sender.send(result);
        }
    }
}

impl Waiting<'_> {
    /// The answer, or [`CallError::TimedOut`] after `patience`.
    pub(crate) async fn answer(mut self, patience: Duration) -> Result {
        match tokio::time::timeout(patience, &mut self.answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(CallError::TimedOut),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.replies.waiting.remove(&self.reply);
    }
}
