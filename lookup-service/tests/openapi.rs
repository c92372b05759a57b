//! docs/openapi.json, as it is served: sound in itself, its examples fit its schemas, and lookups answer as it says.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use support::client::Answer;
use support::described::Described;
use support::{API_KEY, Lookup, jwt, jwt_with, now_s};

#[tokio::test]
async fn it_is_served_with_a_page_to_read_it() {
    let lookup = Lookup::with_nodes(1).await;
    let served = lookup.get("/openapi.json").send().await;
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, "application/json"));
    assert_eq!(served.json(), Described::load().0);
    let page = lookup.get("/docs").send().await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"),
        "{policy}"
    );
    let links = ["href=\"", "src=\""].into_iter().flat_map(|name| page.text().split(name).skip(1));
    let links: BTreeSet<&str> = links.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links, BTreeSet::from(["data:,", "docs.css", "docs.mjs", "openapi.json"]));
    for path in ["/docs.css", "/docs.mjs"] {
        assert_eq!(lookup.get(path).send().await.status, 200, "{path}");
    }
}

#[test]
fn it_is_sound() {
    let described = Described::load();
    assert_eq!(described.0["openapi"], "3.1.0");
    assert_eq!(described.0["info"]["version"], env!("CARGO_PKG_VERSION"));
    let tags: Vec<&Value> = described.0["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut names = BTreeSet::new();
    for (path, method, operation) in described.operations() {
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
        assert!(
            operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag)),
            "{method} {path}"
        );
        assert!(operation["summary"].is_string() && operation["security"].is_array(), "{method} {path}");
        let shared = described.0["paths"][path]["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<&Value> = shared
            .chain(operation["parameters"].as_array().into_iter().flatten())
            .map(|parameter| described.resolved(parameter))
            .collect();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let in_braces = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(in_path, in_braces, "{method} {path}");
        let named = |name| parameters.iter().any(|parameter| parameter["name"] == name);
        assert!(named("service") || !path.starts_with("/v1"), "{method} {path}");
        for response in operation["responses"].as_object().unwrap().values() {
            assert!(described.resolved(response)["description"].is_string(), "{method} {path}");
        }
    }
    references(&described, &described.0);
}

/// Whatever is referred to is there.
fn references(described: &Described, node: &Value) {
    described.resolved(node);
    match node {
        Value::Object(fields) => fields.values().for_each(|inner| references(described, inner)),
        Value::Array(items) => items.iter().for_each(|inner| references(described, inner)),
        _ => {}
    }
}

#[test]
fn examples_fit_their_schemas() {
    let described = Described::load();
    let mut count = 0;
    for (path, method, operation) in described.operations() {
        let responses = operation["responses"].as_object().unwrap().values();
        let bodies =
            responses.map(|response| described.resolved(response)).chain([&operation["requestBody"]]);
        for media in
            bodies.filter_map(|body| body["content"].as_object()).flat_map(|content| content.values())
        {
            for (name, example) in media["examples"].as_object().into_iter().flatten() {
                let fits = described.check(&media["schema"], &example["value"], name);
                fits.unwrap_or_else(|fault| panic!("{method} {path}: {fault}"));
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
}

/// The checker itself sees what is wrong.
#[test]
fn what_does_not_fit_is_found() {
    let described = Described::load();
    let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    for (name, wrong) in [
        ("Id", json!("")),
        ("Id", json!(7)),
        ("Epoch", json!("00000000000000fg")),
        ("Epoch", json!("0ff")),
        ("NodeState", json!("gone")),
        ("EndedSessions", json!({ "user": "bob" })),
        ("EndedSessions", json!({ "user": "bob", "sessions": -1 })),
        ("EndedSessions", json!({ "user": "bob", "sessions": 1.5 })),
        ("Target", json!({ "user": "a", "group": "g" })),
        ("Target", json!({ "match": { "class": [3] } })),
        ("Message", json!({ "to": { "user": "a" } })),
        ("Batch", json!({ "messages": [7] })),
        (
            "Problem",
            json!({ "type": "about:blank", "title": "", "status": 400, "code": "A", "detail": "", "temporary": false }),
        ),
    ] {
        assert!(described.check(&schema(name), &wrong, name).is_err(), "{name}: {wrong}");
    }
    let unknown = described.check(&json!({ "type": "string", "format": "uuid" }), &json!("x"), "x");
    assert_eq!(unknown, Err("x: the checker does not know format".to_owned()));
}

#[tokio::test]
async fn lookups_answer_as_it_says() {
    let lookup = Lookup::with_nodes(2).await;
    let described = Described::load();
    let holds = |method: &str, path: &str, answer: &Answer| {
        let path = path.split('?').next().unwrap();
        let told = (answer.status.as_u16(), answer.header("content-type"), &answer.body[..]);
        described.promises(method, path, told).unwrap_or_else(|fault| panic!("{method} {path}: {fault}"));
    };
    for path in [
        "/lookup",
        "/lookup?id=bob",
        "/lookup?id=",
        "/lookup?service=dc",
        "/lookup/x",
        "/ring",
        "/ring?service=dc",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = lookup.ask(method, path).token(&jwt("alice")).send().await;
            holds(method, path, &answer);
        }
    }
    for (token, status) in [
        (API_KEY.to_owned(), 200),
        (jwt_with(json!({ "sub": "back end", "exp": now_s() + 60, "scope": "admin" })), 200),
        (jwt("alice"), 403),
        (jwt_with(json!({ "sub": "alice", "exp": now_s() - 60, "scope": "admin" })), 401),
        ("nonsense".to_owned(), 401),
    ] {
        let answer = lookup.get("/v1/nodes").token(&token).send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        holds("GET", "/v1/nodes", &answer);
    }
    let unchanged = lookup.get("/ring").header("if-none-match", "*").send().await;
    holds("GET", "/ring", &unchanged);
    let large = lookup.post("/lookup", &"x".repeat(20_000)).token(&jwt("alice")).send().await;
    holds("POST", "/lookup", &large);
}
