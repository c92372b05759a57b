//! The table of the API's paths: from method and path to the call that is meant. docs/openapi.json has the same paths.

use cluster::limits::is_id;

use crate::refusal::Refusal;
use crate::request::decoded_segment;

/// One path and what can be done there.
struct Route {
    /// Its segments; one in braces stands for any.
    template: &'static str,
    /// What `Allow` says.
    allow: &'static str,
    /// What its methods mean.
    operations: &'static [Operation],
}

/// Method, name, call.
struct Operation(&'static str, &'static str, fn(Params) -> Call);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Send a message, or many.
    Send,
    /// How a user stands.
    User(String),
    /// End a user's sessions.
    EndSessions(String),
    /// Who is in a group.
    Presence(String),
    /// What a group's log holds.
    History(String),
    /// Make a user's sessions join or leave a group.
    SetMember {
        /// The group.
        group: String,
        /// The user.
        user: String,
        /// Join, or leave.
        member: bool,
    },
    /// Which nodes there are.
    Nodes,
    /// Drain a node.
    Drain(String),
    /// The ring document.
    Ring,
}

/// The segments that stand for something, decoded, in their order.
#[derive(Default)]
struct Params {
    first: String,
    second: String,
}

/// All paths of the API.
const ROUTES: &[Route] = &[
    Route {
        template: "/v1/messages",
        allow: "POST, OPTIONS",
        operations: &[Operation("POST", "sendMessages", |_| Call::Send)],
    },
    Route {
        template: "/v1/users/{user}",
        allow: "GET, HEAD, OPTIONS",
        operations: &[Operation("GET", "getUser", |params| Call::User(params.first))],
    },
    Route {
        template: "/v1/users/{user}/sessions",
        allow: "DELETE, OPTIONS",
        operations: &[Operation("DELETE", "endSessions", |params| Call::EndSessions(params.first))],
    },
    Route {
        template: "/v1/groups/{group}/presence",
        allow: "GET, HEAD, OPTIONS",
        operations: &[Operation("GET", "getPresence", |params| Call::Presence(params.first))],
    },
    Route {
        template: "/v1/groups/{group}/history",
        allow: "GET, HEAD, OPTIONS",
        operations: &[Operation("GET", "getHistory", |params| Call::History(params.first))],
    },
    Route {
        template: "/v1/groups/{group}/members/{user}",
        allow: "PUT, DELETE, OPTIONS",
        operations: &[
            Operation("PUT", "addMember", |params| set_member(params, true)),
            Operation("DELETE", "removeMember", |params| set_member(params, false)),
        ],
    },
    Route {
        template: "/v1/nodes",
        allow: "GET, HEAD, OPTIONS",
        operations: &[Operation("GET", "getNodes", |_| Call::Nodes)],
    },
    Route {
        template: "/v1/nodes/{node}/drain",
        allow: "POST, OPTIONS",
        operations: &[Operation("POST", "drainNode", |params| Call::Drain(params.first))],
    },
    Route {
        template: "/v1/ring",
        allow: "GET, HEAD, OPTIONS",
        operations: &[Operation("GET", "getServiceRing", |_| Call::Ring)],
    },
];

/// The call that a method and a path, as it came, mean, with its name.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::Method`], and what is wrong with the ids in the path.
pub(crate) fn find(method: &str, path: &str) -> Result<(&'static str, Call), Refusal> {
    let (route, segments) =
        ROUTES.iter().find_map(|route| Some((route, route.matches(path)?))).ok_or(Refusal::NotFound)?;
    // Whoever asks for the head alone is answered as if for all.
    let method = if method == "HEAD" { "GET" } else { method };
    let operation = route.operations.iter().find(|Operation(takes, ..)| *takes == method);
    let Operation(_, name, call) = operation.ok_or(Refusal::Method(route.allow))?;
    let [first, second] = segments.map(|segment| segment.map_or(Ok(String::new()), id));
    Ok((name, call(Params { first: first?, second: second? })))
}

// === impl Route ===

impl Route {
    /// What stands in the places of the braces, if the path is one of ours.
    fn matches<'a>(&self, path: &'a str) -> Option<[Option<&'a str>; 2]> {
        let mut found = [None, None];
        let mut free = found.iter_mut();
        let mut given = path.split('/');
        for wanted in self.template.split('/') {
            let segment = given.next()?;
            if wanted.starts_with('{') {
                *free.next()? = Some(segment);
            } else if segment != wanted {
                return None;
            }
        }
        given.next().is_none().then_some(found)
    }
}

fn set_member(params: Params, member: bool) -> Call {
    Call::SetMember { group: params.first, user: params.second, member }
}

fn id(segment: &str) -> Result<String, Refusal> {
    let text = decoded_segment(segment)?;
    if is_id(&text) { Ok(text) } else { Err(Refusal::BadId) }
}

/// Method, path and name of every operation.
#[cfg(test)]
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ROUTES.iter().flat_map(|route| {
        route.operations.iter().map(|Operation(method, name, _)| (*method, route.template, *name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, path: &str) -> Result<Call, Refusal> {
        find(method, path).map(|(_, call)| call)
    }

    #[test]
    fn paths_mean_calls() {
        let member = |group: &str, user: &str, member| Call::SetMember {
            group: group.to_owned(),
            user: user.to_owned(),
            member,
        };
        for (method, path, expected) in [
            ("POST", "/v1/messages", Call::Send),
            ("GET", "/v1/users/bob", Call::User("bob".to_owned())),
            ("HEAD", "/v1/users/bob", Call::User("bob".to_owned())),
            ("DELETE", "/v1/users/bob/sessions", Call::EndSessions("bob".to_owned())),
            ("GET", "/v1/groups/class%203/presence", Call::Presence("class 3".to_owned())),
            ("GET", "/v1/groups/a%2Fb+c/history", Call::History("a/b+c".to_owned())),
            ("PUT", "/v1/groups/gr%C3%BC%C3%9Fe/members/presence", member("grüße", "presence", true)),
            ("DELETE", "/v1/groups/g/members/%25", member("g", "%", false)),
            ("GET", "/v1/nodes", Call::Nodes),
            ("POST", "/v1/nodes/n1/drain", Call::Drain("n1".to_owned())),
            ("GET", "/v1/ring", Call::Ring),
        ] {
            assert_eq!(call(method, path), Ok(expected), "{method} {path}");
        }
    }

    #[test]
    fn other_paths_are_refused_for_a_reason() {
        let long = format!("/v1/users/{}", "x".repeat(257));
        for (method, path, refusal) in [
            ("GET", "/v1", Refusal::NotFound),
            ("GET", "/v1/users", Refusal::NotFound),
            ("GET", "/v1/users/bob/", Refusal::NotFound),
            ("GET", "/v1/nodes/n1", Refusal::NotFound),
            ("GET", "/v1/groups/a/b/presence", Refusal::NotFound),
            ("GET", "/V1/nodes", Refusal::NotFound),
            ("GET", "/v1//nodes", Refusal::NotFound),
            ("GET", "/v1/messages", Refusal::Method("POST, OPTIONS")),
            ("POST", "/v1/users/%zz", Refusal::Method("GET, HEAD, OPTIONS")),
            ("GET", "/v1/users/%zz", Refusal::BadPath),
            ("GET", "/v1/users/%FF", Refusal::BadPath),
            ("GET", "/v1/users/", Refusal::BadId),
            ("GET", "/v1/users/a%0Ab", Refusal::BadId),
            ("PUT", "/v1/groups/g/members/", Refusal::BadId),
            ("GET", &long, Refusal::BadId),
        ] {
            assert_eq!(call(method, path), Err(refusal), "{method} {path}");
        }
    }

    #[test]
    fn allow_names_what_is_taken_and_no_name_comes_twice() {
        for route in ROUTES {
            let heads =
                |method: &'static str| if method == "GET" { vec!["GET", "HEAD"] } else { vec![method] };
            let taken =
                route.operations.iter().flat_map(|Operation(method, ..)| heads(method)).chain(["OPTIONS"]);
            assert_eq!(route.allow, taken.collect::<Vec<_>>().join(", "), "{}", route.template);
        }
        let mut names: Vec<_> =
            ROUTES.iter().flat_map(|route| route.operations).map(|Operation(_, name, _)| *name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (10, 10));
    }
}
