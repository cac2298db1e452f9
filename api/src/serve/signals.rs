//! What stops the server.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Waits until a signal or an operator's call asks to stop, and says which it was.
pub(super) async fn stop_requested(mut draining: watch::Receiver<bool>) -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the process ends the hard way, which recovery is made for.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = draining.wait_for(|draining| *draining) => "admin",
    }
}
