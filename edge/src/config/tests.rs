//! Mistakes, all at once and with their remedies; secrets never among them.

use std::time::Duration;

use super::load::outcome;
use super::shared::{self, Public};
use super::*;

static COMMAND: Command = Command {
    name: "demo",
    about: "A demonstration.",
    groups: &[
        Group { title: "Ports", flags: &[shared::listen("127.0.0.1:0", "Where clients connect.")] },
        Group { title: "Limits and TLS", flags: &shared::PUBLIC },
        Group { title: "Store", flags: &shared::STORE },
        Group { title: "Secrets", flags: &shared::SECRETS },
        Group { title: "Peers", flags: &shared::PEERING },
        Group { title: "Operations", flags: &shared::OPERATIONS },
        Group { title: "Own", flags: &[Flag::switch("insecure-ids", "For development.")] },
    ],
};

/// Arguments and environment.
type Input<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

const NONE: [(&str, &str); 0] = [];
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn parse(args: &[&str], env: &[(&str, &str)]) -> Settings {
    Settings::parse(&COMMAND, args, env.iter().copied())
}

/// Reads all there is.
fn all(settings: &mut Settings) -> (Public, shared::Store, shared::SecretTexts, bool) {
    let read = (
        shared::public(settings),
        shared::store(settings),
        shared::secrets(settings, true),
        settings.switch("insecure-ids"),
    );
    shared::peering(settings);
    shared::operations(settings);
    read
}

/// The lines that a user would see.
fn lines(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    let ending = outcome(&COMMAND, parse(args, env), all).unwrap_err();
    assert_eq!(ending.code, EXIT_CONFIGURATION);
    ending.text.lines().map(str::to_owned).collect()
}

#[test]
fn flags_beat_variables_beat_defaults() {
    let args = ["--redis", "redis://h:1", "--max-connections=5", "--insecure-ids", "--grace=1500ms"];
    let env = [
        ("RINGDIAL_MAX_CONNECTIONS", "6"),
        ("RINGDIAL_LEASE_MS", "600"),
        ("RINGDIAL_TLS_HANDSHAKE_TIMEOUT", "3"),
        ("RINGDIAL_SECRET", SECRET),
        ("RINGDIAL_TLS_CERT", ""),
        ("PATH", "/bin"),
        ("ringdial_x", "not ours"),
    ];
    let ((public, store, secrets, insecure), warnings) = outcome(&COMMAND, parse(&args, &env), all).unwrap();
    assert_eq!(public.limits.connections_max, 5);
    assert_eq!(public.limits.header_timeout, Duration::from_secs(10));
    assert_eq!(public.limits.tls_handshake_timeout, Duration::from_secs(3));
    assert_eq!(public.limits.grace, Duration::from_millis(1500));
    assert_eq!(public.tls, None);
    assert_eq!((store.lease, store.redis_wait), (Duration::from_millis(600), Duration::from_secs(30)));
    assert_eq!(store.redis.expose(), "redis://h:1");
    assert_eq!(secrets.current.unwrap().expose(), SECRET);
    assert!(insecure);
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Two places say what the limits are without flags.
#[test]
fn the_defaults_of_the_flags_are_those_of_the_limits() {
    let mut settings = parse(&[], &NONE);
    let read = format!("{:?}", shared::public(&mut settings).limits);
    assert_eq!(read, format!("{:?}", crate::limits::Limits::default()));
}

#[test]
fn every_mistake_is_named_at_once_with_its_remedy() {
    let args = [
        "--lisen",
        "1.2.3.4:5",
        "--listen=nonsense",
        "--max-connections",
        "0",
        "stray",
        "--tls-cert",
        "c.pem",
        "--log-format",
        "xml",
        "--header-timeout",
        "5 parsecs",
        "--redis",
        "http://h",
        "--log-level",
    ];
    let env = [
        ("RINGDIAL_LEASE_MSS", "1"),
        ("RINGDIAL_LEASE_MS", "ten"),
        ("RINGDIAL_WHATEVER", "x"),
        ("RINGDIAL_INSECURE_IDS", "maybe"),
        ("RINGDIAL_SECRET", "short"),
        ("RINGDIAL_PEER_ADDRESS", "nowhere"),
    ];
    let mut found = lines(&args, &env);
    found.sort();
    let mut expected = vec![
        "demo: --lisen: unknown flag; did you mean --listen?",
        "demo: --listen: \"nonsense\" is not an address to listen on; write IP:PORT, such as 127.0.0.1:0 or [::]:8080",
        "demo: --max-connections: \"0\" is out of range; write one from 1 to 10000000",
        "demo: argument 6: it belongs to no flag; write settings as --flag value or --flag=value, and quote values with spaces",
        "demo: --tls-cert: there is no key to it; give --tls-key too",
        "demo: --log-format: \"xml\" is not one of its words; write text or json",
        "demo: --header-timeout: \"5 parsecs\" is not a time; write a time from 100ms to 10m",
        "demo: --redis: the value cannot be used: the url does not begin with redis:// or rediss://; write redis://HOST:PORT, or rediss://HOST:PORT for TLS, of one Redis 7 primary",
        "demo: --log-level: its value is missing; write --log-level LEVEL",
        "demo: RINGDIAL_LEASE_MSS: demo has no such setting; did you mean RINGDIAL_LEASE_MS?",
        "demo: RINGDIAL_LEASE_MS: \"ten\" is not a time; write a time from 500ms to 1m",
        "demo: RINGDIAL_WHATEVER: demo has no such setting; unset it, or see demo --help for all variables",
        "demo: RINGDIAL_INSECURE_IDS: \"maybe\" is neither on nor off; write true or false",
        "demo: RINGDIAL_SECRET: it has fewer than 32 bytes; write random ones, such as of: openssl rand -hex 32",
        "demo: RINGDIAL_PEER_ADDRESS: \"nowhere\" is not an address to connect to; write HOST:PORT",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_is_required_is_asked_for_once() {
    assert_eq!(
        lines(&["--redis"], &NONE),
        [
            "demo: --redis: its value is missing; write --redis URL",
            "demo: --secret: it is required; give RINGDIAL_SECRET or --secret-file FILE",
        ]
    );
    assert_eq!(
        lines(&[], &[("RINGDIAL_SECRET", SECRET)]),
        ["demo: --redis: it is required; give --redis URL or RINGDIAL_REDIS",]
    );
}

#[test]
fn a_store_that_cannot_be_connected_to_is_a_mistake_beside_the_others() {
    for (url, cause) in [
        ("redis://a:1,b:2", "several hosts (Redis Cluster) are not supported yet"),
        ("redis+cluster://a:1", "Redis Cluster is not supported yet"),
        ("redis+sentinel://a:1/main", "Redis Sentinel is not supported yet"),
        ("redis://:hunter2@a:port", "the url cannot be read"),
        ("redis://a:99999", "the url cannot be read"),
        ("redis://", "the url cannot be read"),
        ("unix:///run/redis.sock", "the url does not begin with redis:// or rediss://"),
    ] {
        let secrets = [SECRET; 5].join(",");
        let found =
            lines(&["--redis", url], &[("RINGDIAL_SECRET", SECRET), ("RINGDIAL_PREVIOUS_SECRETS", &secrets)]);
        let remedy = "write redis://HOST:PORT, or rediss://HOST:PORT for TLS, of one Redis 7 primary";
        let expected = [
            format!("demo: --redis: the value cannot be used: {cause}; {remedy}"),
            "demo: RINGDIAL_PREVIOUS_SECRETS: there are 5, and 4 are taken at most; leave out the oldest"
                .into(),
        ];
        assert_eq!(found, expected, "{url}");
    }
}

#[test]
fn no_value_of_a_secret_is_ever_repeated() {
    let leak = "hunter2hunter2";
    let cases: [Input; 7] = [
        (&["--secret", leak], &NONE),
        (&["--secrte", leak], &NONE),
        (&["--secrte=hunter2hunter2"], &NONE),
        (&["-secret", leak], &NONE),
        (&[leak], &NONE),
        (&["--redis", "hunter2hunter2"], &NONE),
        (&[], &[("RINGDIAL_PREVIOUS_SECRETS", "a,hunter2hunter2"), ("RINGDIAL_SECRETS", leak)]),
    ];
    for (args, env) in cases {
        let text = lines(args, env).join("\n");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(format!("{:?}", Hidden::new(leak)), "(hidden)");
}

#[test]
fn a_secret_on_the_command_line_works_with_a_warning() {
    let args = ["--redis=redis://h", "--secret", SECRET];
    let ((.., secrets, _), warnings) = outcome(&COMMAND, parse(&args, &NONE), all).unwrap();
    assert_eq!(secrets.current.unwrap().expose(), SECRET);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("--secret-file") && !warnings[0].contains(SECRET), "{warnings:?}");
}

#[test]
fn secrets_come_from_files_without_their_last_line_end() {
    let path = std::env::temp_dir().join(format!("ringdial-secret-{}", std::process::id()));
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let path = path.to_str().unwrap();
    let args = ["--redis=redis://h", "--secret-file", path, "--previous-secrets-file", path];
    let ((.., secrets, _), warnings) = outcome(&COMMAND, parse(&args, &NONE), all).unwrap();
    assert_eq!(secrets.current.unwrap().expose(), SECRET);
    assert_eq!(secrets.previous, [Hidden::new(SECRET)]);
    assert!(warnings.is_empty());
    let both = ["--redis=redis://h", "--secret-file", path];
    let found = lines(&both, &[("RINGDIAL_SECRET", SECRET)]);
    assert_eq!(
        found,
        ["demo: RINGDIAL_SECRET: it is given twice, directly and by file; give one of the two"]
    );
    std::fs::remove_file(path).unwrap();
    let found = lines(&["--redis=redis://h", "--secret-file", path], &NONE);
    assert!(
        found.len() == 1 && found[0].contains("cannot be read") && found[0].contains("; name a text file"),
        "{found:?}"
    );
}

#[test]
fn certificate_files_are_looked_at_with_everything_else() {
    let args = [
        "--redis=redis://h",
        "--tls-cert=/no/cert.pem",
        "--tls-key=/dev/null",
        "--peer-tls-ca",
        "/dev/null",
        "--peer-tls-cert=/no/peer.pem",
        "--peer-tls-key=/no/peer.key",
    ];
    assert_eq!(
        lines(&args, &[("RINGDIAL_SECRET", SECRET)]),
        [
            "demo: --tls-cert: /no/cert.pem: cannot be read (No such file or directory (os error 2)); \
         name a file that this process may read",
            "demo: --tls-key: /dev/null: holds no private key; it should begin with -----BEGIN PRIVATE KEY-----",
            "demo: --peer-tls-cert: /no/peer.pem: cannot be read (No such file or directory (os error 2)); \
         name a file that this process may read",
            "demo: --peer-tls-key: /no/peer.key: cannot be read (No such file or directory (os error 2)); \
         name a file that this process may read",
            "demo: --peer-tls-ca: /dev/null: holds no certificate; it should begin with -----BEGIN CERTIFICATE-----",
        ]
    );
}

#[test]
fn a_peer_listener_in_the_open_without_tls_is_said_loudly() {
    let args = ["--redis=redis://h", "--peer-listen", "192.0.2.1:0"];
    let (_, warnings) = outcome(&COMMAND, parse(&args, &[("RINGDIAL_SECRET", SECRET)]), all).unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("has no TLS"), "{warnings:?}");
}

#[test]
fn other_nodes_are_told_an_address_that_they_can_connect_to() {
    let peering = |args: &[&str]| {
        let mut settings = parse(args, &NONE);
        let read = shared::peering(&mut settings);
        settings.finish().map(|_| read).map_err(|mistakes| mistakes.to_string())
    };
    for anywhere in ["0.0.0.0:7", "[::]:7", "[::ffff:0.0.0.0]:7"] {
        assert_eq!(
            peering(&["--peer-listen", anywhere]).unwrap_err(),
            format!(
                "--peer-address: it is required beside --peer-listen {anywhere}, to which nobody can connect; \
                 give HOST:PORT as the other nodes reach it, or an address of this host to --peer-listen"
            )
        );
        let told = peering(&["--peer-listen", anywhere, "--peer-address", "n1.internal:7"]).unwrap();
        assert_eq!(told.address.as_deref(), Some("n1.internal:7"));
        let none = peering(&["--peer-listen", anywhere, "--peer-address", anywhere]).unwrap_err();
        assert!(
            none.contains("nobody can connect to; write HOST:PORT") && none.lines().count() == 1,
            "{none}"
        );
    }
    let unreadable = peering(&["--peer-listen", "0.0.0.0"]).unwrap_err();
    assert_eq!(unreadable.lines().count(), 1, "{unreadable}");
}

#[test]
fn twice_is_a_mistake_and_a_value_may_begin_with_one_dash() {
    let mut settings = parse(&["--tls-key", "-x", "--tls-key=y"], &NONE);
    assert_eq!(settings.path_opt("tls-key"), Some("-x".into()));
    let mistakes = settings.finish().unwrap_err();
    assert_eq!(mistakes.to_string(), "--tls-key: given twice; give it once; lists are separated by commas");
}

#[test]
fn times_have_units() {
    let time = |flag: &str, text: &str| {
        let flags = [format!("--{flag}={text}")];
        let mut settings = Settings::parse(&COMMAND, &flags, NONE);
        let time = settings.duration(flag, Duration::ZERO..=Duration::from_secs(7200));
        settings.finish().ok().map(|_| time.as_millis())
    };
    assert_eq!(time("redis-wait", "30"), Some(30_000));
    assert_eq!(time("redis-wait", "300ms"), Some(300));
    assert_eq!(time("redis-wait", "2m"), Some(120_000));
    assert_eq!(time("redis-wait", "1 h"), Some(3_600_000));
    assert_eq!(time("lease-ms", "300"), Some(300));
    for bad in ["3h", "-1s", "1.5s", "s", "", "99999999999999999999", "5d"] {
        assert_eq!(time("redis-wait", bad), None, "{bad}");
    }
}

#[test]
fn help_lists_every_flag_with_default_and_twin_and_beats_mistakes() {
    let ending = outcome(&COMMAND, parse(&["--nonsense", "--help"], &NONE), all).unwrap_err();
    assert_eq!(ending.code, 0);
    for flag in COMMAND.flags() {
        let line = ending
            .text
            .lines()
            .find(|line| line.trim_start().split(' ').next() == Some(&format!("--{}", flag.name)));
        let line = line.unwrap_or_else(|| panic!("{} is not in the help", flag.name));
        assert!(line.contains(&format!("[{}]", flag.variable())), "{line}");
        assert!(flag.default.is_none_or(|default| line.contains(&format!("[default: {default}]"))), "{line}");
    }
    assert!(ending.text.lines().all(|line| line.len() <= 110), "{}", ending.text);
    let version = outcome(&COMMAND, parse(&["-V"], &NONE), all).unwrap_err();
    assert_eq!((version.code, version.text.split(' ').next()), (0, Some("demo")));
}
