//! What every request needs: the services, how callers are known, the keys of tickets, the counters.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cluster::grant::Grant;
use cluster::tokens::{Tickets, random_id};
use edge::admin::Reason;

use crate::api::access::{Admin, ApiKeys, admit};
use crate::caller::Callers;
use crate::decide::{RingView, Stamp, decide};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::request::{DEFAULT_SERVICE, LookupRequest, service_of};
use crate::service::Service;

/// The state of one lookup service. Nothing in it grows with lookups.
pub(crate) struct App {
    pub(crate) services: Vec<Service>,
    pub(crate) callers: Callers,
    pub(crate) tickets: Tickets,
    pub(crate) ticket_life_s: u64,
    /// Lookups that a node is given, a second, by all lookup services together.
    pub(crate) lookups_per_node: u32,
    /// What the pace of lookups counts time from.
    pub(crate) started: Instant,
    pub(crate) api_keys: ApiKeys,
    /// Bytes of a message's data, at most.
    pub(crate) message_bytes_max: usize,
    pub(crate) metrics: Metrics,
}

// === impl App ===

impl App {
    /// Answers a lookup, and counts it. This is the edge of [`decide`]: clock and randomness come in here.
    pub(crate) fn look_up(
        &self,
        authorization: Option<&[u8]>,
        request: Result<LookupRequest, Refusal>,
    ) -> Result<Grant, Refusal> {
        let begun = Instant::now();
        let outcome = request.and_then(|request| self.grant(authorization, request, begun));
        self.metrics.count(outcome.as_ref().err().copied(), begun.elapsed());
        outcome
    }

    fn grant(
        &self,
        authorization: Option<&[u8]>,
        request: LookupRequest,
        now: Instant,
    ) -> Result<Grant, Refusal> {
        let now_s = now_s();
        let caller = self.callers.identify(authorization, now_s)?;
        let service = self.service(request.service());
        let view = service.map_or(RingView::UnknownService, Service::view);
        let placement = decide(&view, caller, request)?;
        if let Some(service) = service {
            service.pace(&placement, self.lookups_per_node, now.saturating_duration_since(self.started))?;
        }
        placement.grant(&self.tickets, Stamp { now_s, life_s: self.ticket_life_s, jti: random_id() })
    }

    /// Whether somebody may use the back end's API.
    pub(crate) fn admit(&self, authorization: Option<&[u8]>) -> Result<Admin, Refusal> {
        admit(&self.api_keys, &self.callers, authorization, now_s())
    }

    /// The service of this name. There are few, so that looking at each is quicker than hashing.
    pub(crate) fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name() == name)
    }

    /// The service that a query names.
    ///
    /// # Errors
    /// [`Refusal::BadQuery`], [`Refusal::UnknownService`].
    pub(crate) fn service_of(&self, query: &str) -> Result<&Service, Refusal> {
        let name = service_of(query)?;
        self.service(name.as_deref().unwrap_or(DEFAULT_SERVICE)).ok_or(Refusal::UnknownService)
    }

    /// Why this process should get no lookups: a ring that was never read. A store that is gone is no reason, as the last
    /// view goes on serving.
    pub(crate) fn reasons(&self) -> Vec<Reason> {
        let unread = self.services.iter().filter(|service| matches!(service.view(), RingView::NotRead));
        unread
            .map(|service| {
                let detail = format!("the ring of {} has not been read yet", service.name());
                Reason::new(Refusal::RingNotRead.code(), detail)
            })
            .collect()
    }
}

/// Seconds since 1970; a clock from before counts as 1970, and then no token is believed.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
