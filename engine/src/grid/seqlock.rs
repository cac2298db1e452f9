//! A sequence lock: a few words that many threads read without waiting for one another.
//!
//! ```text
//! sequence   4         5 (odd: being written)         6
//! writer     claim 4→5 │ store the words             │ publish 6
//! reader               read 5: wait          read 6, load the words, still 6: done
//! ```

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// `N` words that are always read as one writer wrote them.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SeqLock<const N: usize> {
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> SeqLock<N> {
    /// A lock that holds `words`.
    pub(super) fn new(words: [u64; N]) -> Self {
        Self { sequence: AtomicU64::new(0), words: words.map(AtomicU64::new) }
    }

    /// Replaces all words. The caller sees to it that writers take turns.
    pub(super) fn write(&self, words: [u64; N]) {
        let even = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(even + 1, Ordering::Relaxed);
        // Orders the odd sequence before the words for readers that fence after loading them.
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.sequence.store(even + 2, Ordering::Release);
    }

    /// All words of one write; tries again while a writer is at work.
    #[inline]
    pub(super) fn read(&self) -> [u64; N] {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            if before & 1 == 0 {
                let words = std::array::from_fn(|i| self.words[i].load(Ordering::Relaxed));
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == before {
                    return words;
                }
            }
            hint::spin_loop();
        }
    }

    /// Counts writes twice; says nothing of the words.
    #[inline]
    pub(super) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn readers_never_see_words_of_two_writes() {
        let lock = SeqLock::new([0_u64; 6]);
        let (turn, done) = (Mutex::new(()), AtomicBool::new(false));
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2_u64)
                .map(|writer| {
                    let (lock, turn) = (&lock, &turn);
                    scope.spawn(move || {
                        for i in 0..50_000 {
                            let _mine = turn.lock().unwrap();
                            lock.write([i * 2 + writer; 6]);
                        }
                    })
                })
                .collect();
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let words = lock.read();
                        assert!(words.iter().all(|word| *word == words[0]), "torn: {words:?}");
                    }
                });
            }
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(lock.sequence(), 200_000);
    }
}
