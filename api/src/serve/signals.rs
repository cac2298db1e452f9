//! What stops the server, and what must not.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// SIGXFSZ on Linux: a write beyond the process's file size limit.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// Makes a write beyond the file size limit an error of that write, as a full disk is, instead of
/// the end of the process. Holds as long as the result lives.
pub(super) fn survive_file_size_limit() -> Option<Signal> {
    signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED)).ok()
}

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
