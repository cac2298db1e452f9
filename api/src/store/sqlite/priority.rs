//! Threads that commit go before threads that compute.
//!
//! Every answer waits for a commit, and a commit needs little of a core; on a machine that is busy it
//! would still wait its turn behind threads that want much. So the connections that answers wait for
//! get a higher priority where the system allows it.

use std::io;
use std::path::Path;

use rustix::process::{Pid, setpriority_process};

/// The highest priority there is, as a nice value.
pub const THREAD_NICE_MIN: i32 = -20;

/// Gives all threads of this process with this name the nice value `nice`; 0 changes nothing. A
/// system that has no such threads to show, or does not allow it, leaves them as they are and is told
/// of in the log.
pub(super) fn prefer(thread: &str, nice: i32) {
    if nice == 0 {
        return;
    }
    match prefer_all(Path::new("/proc/self/task"), thread, nice) {
        Ok(threads) => tracing::debug!(thread, threads, nice, "threads of the store go first"),
        Err(error) => tracing::info!(
            thread,
            nice,
            %error,
            "threads of the store run like all others; CAP_SYS_NICE or a nice limit lets them go first"
        ),
    }
}

/// How many threads it found.
fn prefer_all(tasks: &Path, thread: &str, nice: i32) -> io::Result<usize> {
    let mut found = 0;
    for task in std::fs::read_dir(tasks)? {
        let task = task?;
        // A thread that ended meanwhile has no name any more.
        let Ok(name) = std::fs::read_to_string(task.path().join("comm")) else { continue };
        let id = task.file_name().to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        if let (Some(id), true) = (id, name.trim_end() == thread) {
            setpriority_process(Some(id), nice)?;
            found += 1;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use rustix::process::getpriority_process;
    use rustix::thread::gettid;

    use super::*;

    /// A thread of this name that lives until its sender is dropped.
    fn named(name: &str) -> (Pid, mpsc::Sender<()>) {
        let (end, ended) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let work = move || {
            tell.send(gettid()).unwrap();
            ended.recv().unwrap_err();
        };
        thread::Builder::new().name(name.to_owned()).spawn(work).unwrap();
        (told.recv().unwrap(), end)
    }

    /// Lower priorities are allowed to everyone, so that is what is tried.
    #[test]
    fn threads_of_the_name_and_no_others_are_changed() {
        let (one, _one_lives) = named("nice-one");
        let (other, _other_lives) = named("nice-other");
        let before = getpriority_process(Some(other)).unwrap();
        assert_eq!(prefer_all(Path::new("/proc/self/task"), "nice-one", 15).unwrap(), 1);
        assert_eq!(getpriority_process(Some(one)).unwrap(), 15);
        assert_eq!(getpriority_process(Some(other)).unwrap(), before);
    }

    #[test]
    fn a_system_without_a_list_of_threads_is_an_error_and_no_panic() {
        assert!(prefer_all(Path::new("/nowhere"), "any", 5).is_err());
    }
}
