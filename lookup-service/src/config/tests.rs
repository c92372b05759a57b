//! What the flags say, and every mistake in them.

use super::*;

const SECRET: &str = "a cluster secret of at least 32 bytes";
const JWT_SECRET: &str = "an application secret, 32 bytes or more";

fn told(args: &[&str]) -> Result<(Told, Vec<String>), String> {
    let mut settings = Settings::parse(&COMMAND, args, [("RINGDIAL_SECRET", SECRET)]);
    let told = read(&mut settings);
    settings.finish().map(|warnings| (told, warnings)).map_err(|mistakes| mistakes.to_string())
}

fn with(more: &[&str]) -> Result<Told, String> {
    let usual = ["--redis", "redis://127.0.0.1:1"];
    told(&[&usual, more].concat()).map(|(told, _)| told)
}

fn mistake(more: &[&str]) -> String {
    with(more).err().unwrap_or_default()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let told = with(&["--jwt-secret", JWT_SECRET]).unwrap();
    assert_eq!(told.public.listen.to_string(), "127.0.0.1:7000");
    assert_eq!(told.services, ["default"]);
    assert_eq!(told.answers, Answers { ticket_life_s: 30, origins: Origins::Any });
    assert_eq!(told.lookups_per_node, crate::LOOKUPS_PER_NODE);
    assert!(matches!(told.callers, Callers::Tokens(_)));
    assert!(told.api_keys.is_empty());
    assert_eq!(told.message_bytes_max, cluster::limits::MESSAGE_BYTES_MAX);
}

#[test]
fn api_keys_are_long_and_fit_a_header() {
    let count =
        |keys: &str| with(&["--insecure-ids", "--api-key", keys]).map(|told| format!("{:?}", told.api_keys));
    let key = |letter: &str| letter.repeat(32);
    assert_eq!(count(&key("a")), Ok("ApiKeys(1)".to_owned()));
    assert_eq!(count(&format!("{}, {},", key("a"), key("b"))), Ok("ApiKeys(2)".to_owned()));
    for bad in [
        key("a")[1..].to_owned(),
        format!("{},short", key("a")),
        format!("a {}", key("b")),
        key("ü"),
        vec![key("a"); 9].join(","),
    ] {
        let mistake = count(&bad).unwrap_err();
        assert!(mistake.starts_with("--api-key: ") && !mistake.contains("aaa"), "{mistake}");
    }
}

#[test]
fn callers_are_known_in_exactly_one_way() {
    assert!(mistake(&[]).contains("--insecure-ids"));
    assert!(mistake(&["--jwt-secret", JWT_SECRET, "--insecure-ids"]).contains("give one of the two"));
    assert!(matches!(with(&["--insecure-ids"]).unwrap().callers, Callers::Anyone));
    let short = mistake(&["--jwt-secret", "too short, this"]);
    assert!(short.contains("--jwt-secret") && !short.contains("too short, this"), "{short}");
    let mut settings = Settings::parse(&COMMAND, ["--jwt-issuer", "x"], [("", "")]);
    assert!(matches!(callers(&mut settings, true), Callers::Anyone), "an embedded default needs neither");
    assert_eq!(settings.finish(), Ok(vec![]));
}

#[test]
fn services_are_a_list_of_names() {
    let services = |names| with(&["--insecure-ids", "--services", names]).map(|told| told.services);
    assert_eq!(services("wecheck, dc"), Ok(vec!["dc".to_owned(), "wecheck".to_owned()]));
    for bad in ["dc,", "d c", "dc,dc", "ü", "a/b"] {
        assert!(services(bad).unwrap_err().contains("--services"), "{bad}");
    }
}

#[test]
fn origins_are_written_as_browsers_write_them() {
    let given = |text| with(&["--insecure-ids", "--cors-origin", text]).map(|told| told.answers.origins);
    assert_eq!(given("*"), Ok(Origins::Any));
    let two = vec!["https://a.example.com".to_owned(), "http://localhost:5173".to_owned()];
    assert_eq!(given("https://a.example.com, http://localhost:5173"), Ok(Origins::Only(two)));
    for bad in [
        "a.example.com",
        "https://a.example.com/",
        "https://A.example.com",
        "https://*.a.com",
        "*,https://a.com",
        "https://",
        "null",
    ] {
        assert!(given(bad).unwrap_err().contains("--cors-origin"), "{bad}");
    }
}

#[test]
fn every_mistake_is_named_at_once_and_no_secret_is_shown() {
    let args = [
        "--listen",
        "nowhere",
        "--lease-ms",
        "soon",
        "--ticket-life-s",
        "0",
        "--tls-cert",
        "/no/such/file",
        "--tls-key",
        "/no/such/key",
    ];
    let mistakes =
        told(&[&args[..], &["--secret", "hush", "--previous-secrets", "hush-hush"]].concat()).err().unwrap();
    let places = [
        "--listen",
        "--lease-ms",
        "--ticket-life-s",
        "--tls-cert",
        "--tls-key",
        "--redis",
        "--secret",
        "--previous-secrets",
        "--jwt-secret",
    ];
    for place in places {
        assert!(mistakes.lines().any(|line| line.starts_with(place)), "{place} in:\n{mistakes}");
    }
    assert_eq!(mistakes.lines().count(), places.len(), "{mistakes}");
    assert!(!mistakes.contains("hush"), "{mistakes}");
}

#[test]
fn secrets_can_rotate() {
    let told =
        with(&["--insecure-ids", "--previous-secrets", "the previous secret of thirty-two bytes"]).unwrap();
    assert_eq!(told.secrets.unwrap().ticket_keys().iter().count(), 2);
}
