//! The end by signals, in a process of its own: this test binary, started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use ringdial_edge::logging::{self, Format, Log};
use rustix::process::{Pid, Signal, kill_process};

/// The child: says each step on stderr, and never ends by itself once it was asked to.
#[tokio::test]
#[ignore = "started by the other test"]
async fn child() {
    logging::init(&Log { format: Format::Json, level: "info".into() });
    let token = ringdial_edge::shutdown::on_signals().unwrap();
    let panicked = tokio::spawn(async { panic!("on purpose") }).await;
    assert!(panicked.is_err());
    writeln!(std::io::stderr(), "step ready").unwrap();
    token.cancelled().await;
    writeln!(std::io::stderr(), "step asked").unwrap();
    std::future::pending::<()>().await;
}

/// The next log line that is JSON.
fn logged(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> serde_json::Value {
    lines.find_map(|line| serde_json::from_str(&line.unwrap()).ok()).unwrap()
}

fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, step: &str) {
    assert!(lines.any(|line| line.unwrap().contains(step)), "the child ended before: {step}");
}

#[test]
fn the_first_signal_asks_and_the_second_ends_at_once() {
    for (first, second, code) in [(Signal::TERM, Signal::TERM, 143), (Signal::TERM, Signal::INT, 130)] {
        let mut child: Child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child", "--nocapture"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let panic = logged(&mut lines);
        assert_eq!((&panic["code"], &panic["panic"]), (&"panic".into(), &"on purpose".into()), "{panic}");
        wait_for(&mut lines, "step ready");
        kill_process(pid, first).unwrap();
        let stopping = logged(&mut lines);
        assert_eq!((&stopping["level"], &stopping["signal"]), (&"INFO".into(), &"SIGTERM".into()));
        wait_for(&mut lines, "step asked");
        assert_eq!(child.try_wait().unwrap(), None, "it goes on after the first signal");
        kill_process(pid, second).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}
