//! The membership of one service on Redis: arguments into scripts, answers out of them.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Script, ScriptInvocation};
use async_trait::async_trait;
use aws_lc_rs::digest;
use bytes::Bytes;
use tokio::sync::watch;

use super::link::Link;
use super::scripts;
use crate::membership::{
    GLIMPSE_BYTES_MAX, Glimpse, LeaseChange, LeaseHolder, MembershipStore, Pulse, Renewal, Sayer, Stored,
    Suspect, Swapped,
};
use crate::ring::RECORD_BYTES_MAX;
use crate::store::StoreError;

pub(super) struct RedisMembership {
    link: Arc<Link>,
    service: String,
    lease: Duration,
    /// Ring, leases, generations, state, suspects, observers: in the order that the scripts expect.
    keys: [String; 6],
    channel: String,
}

// === impl RedisMembership ===

impl RedisMembership {
    pub(super) fn new(link: Arc<Link>, service: &str, lease: Duration) -> Self {
        let name = |part: &str| format!("ringdial:{{{service}}}:{part}");
        let keys = ["ring", "leases", "generations", "state", "suspects", "observers"].map(name);
        Self { link, service: service.to_owned(), lease, keys, channel: name("notice") }
    }

    /// A script with the keys and the lease's length.
    fn invoke<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut invocation = script.prepare_invoke();
        invocation.key(&self.keys[..]).arg(u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX));
        invocation
    }

    fn unexpected(&self, cause: &str) -> StoreError {
        StoreError::Unexpected { address: self.link.address().to_owned(), cause: cause.to_owned() }
    }
}

#[async_trait]
impl MembershipStore for RedisMembership {
    fn service(&self) -> &str {
        &self.service
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    fn absence_may_be_loss(&self) -> bool {
        true
    }

    async fn read(&self) -> Result<Stored, StoreError> {
        let mut script = self.invoke(&scripts::READ);
        let (kind, bytes, record): (String, u64, Vec<u8>) =
            self.link.run(script.arg(RECORD_BYTES_MAX)).await?;
        Ok(match kind.as_str() {
            "none" => Stored::Absent,
            "string" if bytes > RECORD_BYTES_MAX as u64 => Stored::Oversized { bytes },
            "string" => Stored::Record(record.into()),
            _ => Stored::WrongType,
        })
    }

    async fn poll(&self, observer: Option<&str>) -> Result<Pulse, StoreError> {
        let mut script = self.invoke(&scripts::POLL);
        let (kind, line, bytes, leases, lapsed, suspected, due, observers, stalled, mended): Polled =
            self.link.run(script.arg(observer.unwrap_or_default())).await?;
        Ok(Pulse {
            glimpse: glimpse(&kind, line, bytes),
            leases,
            lapsed,
            suspects: suspects(&suspected),
            due: u64::try_from(due).ok().map(Duration::from_millis),
            observers,
            stalled,
            mended,
        })
    }

    async fn renew(&self, holder: LeaseHolder<'_>) -> Result<Renewal, StoreError> {
        let mut script = self.invoke(&scripts::RENEW);
        script.arg(holder.id).arg(holder.generation).arg(&self.channel);
        let (kind, line, bytes, held): (String, Vec<u8>, u64, u8) = self.link.run(&script).await?;
        Ok(Renewal { held: held == 1, glimpse: glimpse(&kind, line, bytes) })
    }

    async fn next_generation(&self, above: u64) -> Result<u64, StoreError> {
        let generation = self.link.run(self.invoke(&scripts::NEXT_GENERATION).arg(above)).await?;
        if generation > above { Ok(generation) } else { Err(self.unexpected("a generation that is not new")) }
    }

    async fn lapsed(&self, line: &[u8], members: &[LeaseHolder<'_>]) -> Result<Vec<String>, StoreError> {
        let mut script = self.invoke(&scripts::LAPSED);
        script.arg(line);
        holders(&mut script, members);
        self.link.run(&script).await
    }

    async fn suspect(
        &self,
        by: Sayer<'_>,
        dead: &[LeaseHolder<'_>],
        alive: &[LeaseHolder<'_>],
    ) -> Result<u64, StoreError> {
        let mut script = self.invoke(&scripts::SUSPECT);
        match by {
            Sayer::Member(LeaseHolder { id, generation }) => script.arg(format!("m{id}")).arg(generation),
            Sayer::Observer(name) => script.arg(format!("o{name}")).arg(""),
        };
        script.arg(&self.channel).arg(dead.len());
        holders(&mut script, dead);
        holders(&mut script, alive);
        self.link.run(&script).await
    }

    async fn take_turn(&self) -> Result<bool, StoreError> {
        let taken: u8 = self.link.run(&self.invoke(&scripts::TAKE_TURN)).await?;
        Ok(taken == 1)
    }

    async fn swap(
        &self,
        expected: &Stored,
        record: &Bytes,
        leases: LeaseChange<'_>,
    ) -> Result<Swapped, StoreError> {
        let mut script = self.invoke(&scripts::SWAP);
        match expected {
            Stored::Absent => script.arg("absent").arg(""),
            Stored::Record(bytes) => script.arg("record").arg(sha1_hex(bytes)),
            Stored::Oversized { bytes } => script.arg("oversized").arg(*bytes),
            Stored::WrongType => script.arg("other").arg(""),
        };
        script.arg(&record[..]).arg(&self.channel);
        lease_change(&mut script, leases);
        let outcome: String = self.link.run(&script).await?;
        match outcome.as_str() {
            "done" => Ok(Swapped::Done),
            "changed" => Ok(Swapped::Changed),
            "refused" => Ok(Swapped::Refused),
            _ => Err(self.unexpected("a swap ended in none of the known ways")),
        }
    }

    fn notices(&self) -> watch::Receiver<u64> {
        self.link.listen(&self.channel)
    }

    fn notices_arrive(&self) -> bool {
        self.link.hears()
    }
}

/// What the poll answers, see `lua/poll.lua`.
type Polled = (String, Vec<u8>, u64, u64, u64, Vec<Vec<u8>>, i64, u64, u64, u64);

/// Those of the answer that can be members.
fn suspects(answer: &[Vec<u8>]) -> Vec<Suspect> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let one =
        |pair: &[Vec<u8>]| Some(Suspect { id: text(&pair[0])?, generation: text(&pair[1])?.parse().ok()? });
    answer.chunks_exact(2).filter_map(one).collect()
}

fn lease_change(script: &mut ScriptInvocation<'_>, change: LeaseChange<'_>) {
    match change {
        LeaseChange::Keep => {
            script.arg("keep");
        }
        LeaseChange::Grant { holder, only_lapsed } => {
            script.arg("grant").arg(holder.id).arg(holder.generation).arg(u8::from(only_lapsed));
        }
        LeaseChange::End { id } => {
            script.arg("end").arg(id);
        }
        LeaseChange::Reap { ids, members } => {
            script.arg("reap").arg(members).arg(ids);
        }
        LeaseChange::Reset { holders: all } => {
            script.arg("reset");
            holders(script, all);
        }
    }
}

fn holders(script: &mut ScriptInvocation<'_>, holders: &[LeaseHolder<'_>]) {
    for holder in holders {
        script.arg(holder.id).arg(holder.generation);
    }
}

fn glimpse(kind: &str, head: Vec<u8>, bytes: u64) -> Glimpse {
    match kind {
        "none" => Glimpse::Absent,
        "string" => {
            let mut line = Bytes::from(head);
            let end = line.iter().position(|byte| *byte == b'\n').map_or(GLIMPSE_BYTES_MAX, |at| at + 1);
            line.truncate(end);
            Glimpse::Record { line, bytes }
        }
        _ => Glimpse::WrongType,
    }
}

/// What Redis compares the stored record with, instead of being sent the whole once more. An accident is all it must
/// tell: who can write the store needs no collision.
fn sha1_hex(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
