//! The call that the work at hand goes back to.

use std::sync::Arc;

use muster_engine::origin::Origin;

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

/// The call at hand; nothing outside [`on_behalf`].
pub fn current_origin() -> Option<Arc<Origin>> {
    ORIGIN.try_with(Clone::clone).ok().flatten()
}
