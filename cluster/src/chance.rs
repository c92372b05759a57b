//! Randomness, in one place: the operating system's, or, for a simulation that must be able to repeat itself, a stream
//! that follows from a seed.
//!
//! Only builds with the feature `simulation` can be seeded, and only the thread that asks for it.

use aws_lc_rs::rand;

/// There was no randomness to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoChance;

/// Fills `bytes` with what nobody can guess.
///
/// # Errors
/// [`NoChance`]; `bytes` are then not to be used.
pub fn fill(bytes: &mut [u8]) -> Result<(), NoChance> {
    #[cfg(feature = "simulation")]
    if simulated::fill(bytes) {
        return Ok(());
    }
    rand::fill(bytes).map_err(|_| NoChance)
}

/// Eight random bytes as a number.
///
/// # Errors
/// As [`fill`].
pub fn number() -> Result<u64, NoChance> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(feature = "simulation")]
pub use self::simulated::{is_seeded, seed};

#[cfg(feature = "simulation")]
mod simulated {
    use std::cell::Cell;

    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on this thread's randomness follows from `seed`; `None` gives it the operating system's back.
    pub fn seed(seed: Option<u64>) {
        STATE.set(seed);
    }

    /// Whether this thread's randomness follows from a seed.
    pub fn is_seeded() -> bool {
        STATE.get().is_some()
    }

    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        let Some(mut state) = STATE.get() else { return false };
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&next(&mut state).to_le_bytes()[..chunk.len()]);
        }
        STATE.set(Some(state));
        true
    }

    /// Splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseeded_it_never_repeats() {
        assert_ne!(number(), number());
    }

    #[cfg(feature = "simulation")]
    #[test]
    fn seeded_it_repeats() {
        let run = || {
            seed(Some(7));
            let numbers = [number(), number()];
            seed(None);
            numbers
        };
        assert_eq!(run(), run());
        assert_ne!(run()[0], run()[1]);
    }
}
