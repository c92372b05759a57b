//! The end by signals, in a process of its own: this test binary, started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The child: says each step on stderr, and never ends by itself once it was asked to.
#[tokio::test]
#[ignore = "started by the other test"]
async fn child() {
    let token = ringdial_edge::shutdown::on_signals().unwrap();
    writeln!(std::io::stderr(), "step ready").unwrap();
    token.cancelled().await;
    writeln!(std::io::stderr(), "step asked").unwrap();
    std::future::pending::<()>().await;
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
        wait_for(&mut lines, "step ready");
        kill_process(pid, first).unwrap();
        wait_for(&mut lines, "step asked");
        assert_eq!(child.try_wait().unwrap(), None, "it goes on after the first signal");
        kill_process(pid, second).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}
