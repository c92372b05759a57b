//! Flags in, configuration or mistakes out.

use std::collections::BTreeSet;

use super::*;

fn told(args: &[&str]) -> Result<(Config, Vec<String>), Vec<String>> {
    let mut settings = Settings::parse(&COMMAND, args, Vec::<(String, String)>::new());
    let config = read(&mut settings);
    match settings.finish() {
        Ok(warnings) => Ok((config, warnings)),
        Err(mistakes) => Err(mistakes.0.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn nothing_need_be_said() {
    let (config, warnings) = told(&[]).unwrap();
    assert_eq!(config.public.listen.to_string(), "127.0.0.1:7000");
    assert_eq!((config.nodes, config.node_ip.to_string()), (3, "127.0.0.1".to_owned()));
    assert_eq!(config.lease, Duration::from_secs(3));
    assert!(matches!(config.callers, Callers::Anyone));
    assert_eq!(warnings, Vec::<String>::new());
    assert!(config.own_origins && !told(&["--cors-origin=*"]).unwrap().0.own_origins);
}

#[test]
fn a_random_secret_is_long_enough_and_another_each_time() {
    let secret = || told(&[]).unwrap().0.secrets.current.unwrap();
    assert!(secret().expose().len() >= shared::SECRET_BYTES_MIN);
    assert_ne!(secret(), secret());
    let given = "a cluster secret of at least 32 bytes";
    let (config, _) = told(&["--secret", given]).unwrap();
    assert_eq!(config.secrets.current.unwrap().expose(), given);
    assert!(!config.random_secret && told(&[]).unwrap().0.random_secret);
}

#[test]
fn a_random_api_key_is_made_only_where_nothing_else_opens_the_api() {
    let key = |args: &[&str]| told(args).unwrap().0.random_api_key;
    assert!(key(&[]).unwrap().expose().len() >= ApiKeys::BYTES_MIN);
    assert_ne!(key(&[]), key(&[]));
    assert!(!told(&[]).unwrap().0.api_keys.is_empty());
    assert_eq!(key(&["--api-key", "a key of my own of 32 bytes or more".replace(' ', "-").as_str()]), None);
    assert_eq!(key(&["--jwt-secret", "an application secret of 32 bytes"]), None);
}

#[test]
fn every_mistake_is_named_at_once() {
    let mistakes = told(&[
        "--nodes=17",
        "--node-listen-ip=0.0.0.0",
        "--secret=short",
        "--jwt-secret=short",
        "--lease-ms=1",
        "--heartbeat=never",
        "--listen=nowhere",
    ])
    .err()
    .unwrap();
    let flags = ["nodes", "node-listen-ip", "secret", "jwt-secret", "lease-ms", "heartbeat", "listen"];
    for flag in flags {
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(&format!("--{flag}: "))), "{mistakes:?}");
    }
    assert_eq!(mistakes.len(), flags.len(), "{mistakes:?}");
}

#[test]
fn an_open_door_is_warned_of() {
    for open in ["--listen=0.0.0.0:7000", "--node-listen-ip=192.0.2.1"] {
        let (_, warnings) = told(&[open]).unwrap();
        assert!(warnings.iter().any(|warning| warning.contains("not on loopback")), "{open}: {warnings:?}");
        let (_, guarded) = told(&[open, "--jwt-secret=an application secret, 32 bytes or more"]).unwrap();
        assert!(!guarded.iter().any(|warning| warning.contains("not on loopback")), "{open}: {guarded:?}");
    }
}

#[test]
fn no_two_parts_have_a_flag_of_the_same_name() {
    let mut names = BTreeSet::new();
    for flag in COMMAND.flags() {
        assert!(names.insert(flag.name), "{} is there twice", flag.name);
    }
}
