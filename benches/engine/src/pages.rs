//! Memory as the server has it.

use rustix::thread::disable_transparent_huge_pages;

/// Has the kernel give out memory in small pages, as the server does: what is measured here would else be
/// a process in which address translation costs less.
pub fn use_small_pages() {
    // A kernel without huge pages has none to refuse.
    let _unknown = disable_transparent_huge_pages(true);
}
