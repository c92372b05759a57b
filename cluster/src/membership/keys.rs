//! The keys that seal and open records.

use crate::ring::RecordKey;

/// The record keys of a process, never empty: the first seals, all open, so that secrets can be rotated.
#[derive(Clone, Debug)]
pub struct RecordKeys(Vec<RecordKey>);

// === impl RecordKeys ===

impl RecordKeys {
    /// Seals with `sealing`; opens with it and with `previous`.
    pub fn new(sealing: RecordKey, previous: impl IntoIterator<Item = RecordKey>) -> Self {
        Self(std::iter::once(sealing).chain(previous).collect())
    }

    /// The key that seals.
    pub fn sealing(&self) -> &RecordKey {
        &self.0[0]
    }

    /// The keys that open.
    pub fn opening(&self) -> &[RecordKey] {
        &self.0
    }
}
