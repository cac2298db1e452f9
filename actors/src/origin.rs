//! The call that the work at hand goes back to.

use std::sync::Arc;

use muster_engine::origin::Origin;

use crate::ports::{Span, Tracer};

tokio::task_local! {
    static ORIGIN: Option<Arc<Origin>>;
}

/// Runs `work` on behalf of the call `origin`: what [`Dispatch`](crate::Dispatch) and
/// [`DriverLink`](crate::DriverLink) are asked in it carries it, and so do the transitions that come of
/// it.
pub fn on_behalf<F: Future>(
    origin: Option<Arc<Origin>>,
    work: F,
) -> impl Future<Output = F::Output> {
    ORIGIN.scope(origin, work)
}

/// A span beneath a call, with the call that what comes of it goes back to.
pub(crate) struct Step {
    pub(crate) origin: Option<Arc<Origin>>,
    /// Nothing where no trace is kept.
    pub(crate) span: Option<Box<dyn Span>>,
}

impl Step {
    /// Begins a step of an actor.
    pub(crate) fn begin(
        tracer: Option<&Arc<dyn Tracer>>,
        actor: &'static str,
        step: &'static str,
        origin: Option<Arc<Origin>>,
    ) -> Self {
        let Some((tracer, call)) = tracer.zip(origin.as_deref()) else {
            return Self { origin, span: None };
        };
        let Some(span) = tracer.begin(actor, step, &call.traceparent) else {
            return Self { origin, span: None };
        };
        let correlation_id = call.correlation_id.clone();
        let origin = Origin { correlation_id, traceparent: span.traceparent() };
        Self { origin: Some(Arc::new(origin)), span: Some(span) }
    }
}

/// The call at hand; nothing outside [`on_behalf`].
pub fn current_origin() -> Option<Arc<Origin>> {
    ORIGIN.try_with(Clone::clone).ok().flatten()
}
