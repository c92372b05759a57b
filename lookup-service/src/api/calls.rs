//! Doing what was asked: each call's answer, out of the nodes, the log and the membership.

use std::sync::Arc;

use cluster::log::{Epoch, LogError, Topic};
use cluster::membership::KeeperError;
use cluster::ring::{Member, Ring};
use cluster::wire::codes::ErrorCode;
use cluster::wire::topic;
use edge::problem::Problem;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::access::Admin;
use super::backend::{Backend, OutMessage, PresenceState, Sent, UserState};
use super::history::HistoryRequest;
use super::message::{self, Messages, Terms};
use super::routes::Call;
use crate::refusal::Refusal;
use crate::service::Service;

/// A call with what belongs to it.
pub(crate) struct Request<'a> {
    /// What is asked for.
    pub(crate) call: Call,
    /// By whom.
    pub(crate) admin: &'a Admin,
    /// The query, as it came.
    pub(crate) query: &'a str,
    /// The body; empty where none is wanted.
    pub(crate) body: &'a [u8],
    /// Bytes of a message's data, at most.
    pub(crate) data_bytes_max: usize,
}

/// An answer that is no problem.
#[derive(Debug)]
pub(crate) struct Reply {
    /// 200, 202 or 207.
    pub(crate) status: StatusCode,
    /// JSON.
    pub(crate) body: Vec<u8>,
}

/// What became of one message.
#[derive(Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// A user of several whom a message did not reach.
#[derive(Serialize)]
struct Failed {
    user: String,
    code: ErrorCode,
    temporary: bool,
}

/// Does it.
///
/// # Errors
/// Why it could not be done.
pub(crate) async fn perform(service: &Service, request: Request<'_>) -> Result<Reply, Refusal> {
    let ring = service.ring()?;
    match request.call {
        Call::Send => send(nodes_of(service, &ring)?, &request).await,
        Call::User(user) => {
            let UserState { online, sessions, settling } = nodes_of(service, &ring)?.user(&user).await?;
            done(json!({ "user": user, "online": online, "sessions": sessions, "settling": settling }))
        }
        Call::EndSessions(user) => {
            let sessions = nodes_of(service, &ring)?.end_sessions(&user).await?;
            done(json!({ "user": user, "sessions": sessions }))
        }
        Call::Presence(group) => {
            let state = nodes_of(service, &ring)?.presence(&group).await?;
            let PresenceState { count, users, settling } = state;
            let mut answer = json!({ "group": group, "count": count, "settling": settling });
            if let (Some(users), Some(fields)) = (users, answer.as_object_mut()) {
                fields.insert("users".to_owned(), users.into());
            }
            done(answer)
        }
        Call::History(group) => history(service, &ring, &group, request.query).await,
        Call::SetMember { group, user, member } => {
            let sessions = nodes_of(service, &ring)?.set_member(&group, &user, member).await?;
            done(json!({ "group": group, "user": user, "sessions": sessions }))
        }
        Call::Nodes => done(nodes(service, &ring).await?),
        Call::Drain(id) => drain(service, &id).await,
        // Has headers of its own, and is answered before this.
        Call::Ring => Err(Refusal::NotFound),
    }
}

/// The nodes, if there are any to ask.
fn nodes_of<'a>(service: &'a Service, ring: &Ring) -> Result<&'a Arc<dyn Backend>, Refusal> {
    if ring.member_count() == 0 { Err(Refusal::NoNodes) } else { service.backend() }
}

async fn send(backend: &Arc<dyn Backend>, request: &Request<'_>) -> Result<Reply, Refusal> {
    let terms = Terms { from: &request.admin.from, data_bytes_max: request.data_bytes_max };
    match message::read(request.body, terms)? {
        Messages::One(message) => {
            let sent = backend.send(vec![message]).await.pop().ok_or(Refusal::Internal)??;
            let outcome = Outcome::of(Ok(sent));
            Reply::new(outcome.status(), &outcome)
        }
        Messages::Batch(messages) => {
            let outcomes = send_all(backend, messages).await;
            let whole = outcomes.iter().all(|outcome| outcome.status() == StatusCode::OK);
            let status = if whole { StatusCode::OK } else { StatusCode::MULTI_STATUS };
            Reply::new(status, &json!({ "results": outcomes }))
        }
    }
}

/// Sends what can be sent; the outcomes are in the order of the messages.
async fn send_all(backend: &Arc<dyn Backend>, messages: Vec<Result<OutMessage, Refusal>>) -> Vec<Outcome> {
    let (mut good, mut refusals) = (Vec::with_capacity(messages.len()), Vec::with_capacity(messages.len()));
    for message in messages {
        match message {
            Ok(message) => {
                good.push(message);
                refusals.push(None);
            }
            Err(refusal) => refusals.push(Some(refusal)),
        }
    }
    let sent = if good.is_empty() { Vec::new() } else { backend.send(good).await };
    let mut sent = sent.into_iter();
    let outcome = |refusal| match refusal {
        Some(refusal) => Err(refusal),
        None => sent.next().unwrap_or(Err(ErrorCode::Unavailable)).map_err(Refusal::Node),
    };
    refusals.into_iter().map(outcome).map(Outcome::of).collect()
}

async fn history(service: &Service, ring: &Ring, group: &str, query: &str) -> Result<Reply, Refusal> {
    let asked = HistoryRequest::from_query(query)?;
    let name = topic::group(group);
    let topic = Topic { name: &name, slot: ring.key().slot(&name) };
    let found = service.log().read(&asked.of(topic)).await.map_err(|error| match error {
        LogError::Unavailable(_) => Refusal::LogUnavailable,
        error => {
            tracing::error!(code = error.code(), "the log did not take a request: {error}");
            Refusal::Internal
        }
    })?;
    Reply::new(StatusCode::OK, &asked.answer(group, &found)?)
}

async fn nodes(service: &Service, ring: &Ring) -> Result<Value, Refusal> {
    let nodes = described(service, ring, ring.members().collect()).await?;
    let version = json!({ "version": ring.version().as_u64(), "signature": ring.signature().to_string() });
    Ok(json!({ "service": service.name(), "ring": version, "nodes": nodes }))
}

/// What is known of members, and how many sessions those have that say so. Nobody waits for one that seems dead.
async fn described(service: &Service, ring: &Ring, members: Vec<&Member>) -> Result<Vec<Value>, Refusal> {
    let suspects = service.suspects();
    let asked: Vec<&str> =
        members.iter().filter(|member| !suspects.contains(member)).map(|member| member.id.as_str()).collect();
    let mut counts = service.backend()?.sessions(&asked).await.into_iter();
    let node = |member: &Member| {
        let suspected = suspects.contains(member);
        let sessions = if suspected { None } else { counts.next().flatten() };
        node(ring, member, suspected, sessions)
    };
    Ok(members.into_iter().map(node).collect())
}

fn node(ring: &Ring, member: &Member, suspected: bool, sessions: Option<u32>) -> Value {
    let mut node = json!({
        "id": member.id,
        "url": member.url,
        "weight": member.weight,
        "state": member.state.as_str(),
        "suspected": suspected,
        "slots": ring.slot_count(&member.id),
        "generation": member.generation,
    });
    if let (Some(sessions), Some(fields)) = (sessions, node.as_object_mut()) {
        fields.insert("sessions".to_owned(), sessions.into());
    }
    node
}

async fn drain(service: &Service, id: &str) -> Result<Reply, Refusal> {
    let known = service.keeper()?.drain_member(id).await.map_err(|error| match error {
        KeeperError::Store { .. } => Refusal::StoreUnavailable,
        _ => Refusal::Internal,
    })?;
    // Read again: the keeper knows of the change already.
    let ring = service.ring()?;
    match ring.member(id) {
        Some(member) if known => {
            let node = described(service, &ring, vec![member]).await?.pop();
            Reply::new(StatusCode::ACCEPTED, &node.ok_or(Refusal::Internal)?)
        }
        _ => Err(Refusal::UnknownNode),
    }
}

fn done(answer: Value) -> Result<Reply, Refusal> {
    Reply::new(StatusCode::OK, &answer)
}

// === impl Reply ===

impl Reply {
    fn new(status: StatusCode, answer: &impl Serialize) -> Result<Self, Refusal> {
        let body = serde_json::to_vec(answer).map_err(|_| Refusal::Internal)?;
        Ok(Self { status, body })
    }
}

// === impl Outcome ===

impl Outcome {
    fn of(result: Result<Sent, Refusal>) -> Self {
        match result {
            Ok(Sent { online, position, failed }) => Self {
                online,
                epoch: position.map(|position| position.epoch),
                offset: position.map(|position| position.offset),
                failed: failed
                    .into_iter()
                    .map(|(user, code)| Failed { user, code, temporary: code.temporary() })
                    .collect(),
                error: None,
            },
            Err(refusal) => {
                let error = Some(refusal.problem());
                Self { online: None, epoch: None, offset: None, failed: Vec::new(), error }
            }
        }
    }

    /// 200 if nothing failed.
    fn status(&self) -> StatusCode {
        let whole = self.error.is_none() && self.failed.is_empty();
        if whole { StatusCode::OK } else { StatusCode::MULTI_STATUS }
    }
}
