//! A view as a process holds it: the ring, and the record that vouches for it and can be passed on.

use std::sync::Arc;

use bytes::Bytes;

use super::LeaseHolder;
use super::keys::RecordKeys;
use crate::ring::{Record, Ring};

/// A ring with its sealed record. Cloning shares both.
#[derive(Clone, Debug)]
pub struct Held {
    /// The ring.
    pub ring: Arc<Ring>,
    /// Its record, sealed by this process or by another.
    pub record: Bytes,
}

// === impl Held ===

impl Held {
    /// Seals a ring of this process's own making.
    pub fn seal(ring: Ring, keys: &RecordKeys) -> Self {
        let record = Record::seal(&ring, keys.sealing()).into_bytes();
        Self { ring: Arc::new(ring), record }
    }

    /// The record's header line, with its line end.
    pub fn line(&self) -> &[u8] {
        let end = self.record.iter().position(|byte| *byte == b'\n').map_or(self.record.len(), |at| at + 1);
        &self.record[..end]
    }

    /// All members, as leases know them.
    pub fn lease_holders(&self) -> Vec<LeaseHolder<'_>> {
        self.ring
            .members()
            .map(|member| LeaseHolder { id: &member.id, generation: member.generation })
            .collect()
    }
}
