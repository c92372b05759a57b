//! Out of file descriptors. Alone in its process, since the limit is the process'.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::File;
use std::time::Duration;

use common::{GET, Server, eventually, rest};
use ringdial_edge::metrics::{Page, labels};
use ringdial_edge::serve::Options;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

fn accept_errors(page: &Page) -> u64 {
    let text = page.text().unwrap();
    let line = text.lines().find(|line| line.starts_with("ringdial_accept_errors_total")).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn without_descriptors_the_loop_waits_and_recovers() {
    let server = Server::start(Options::http1(), None);
    let mut page = Page::default();
    page.add(labels([("listener", "public")]), server.counts.clone());
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum }).unwrap();
    let mut all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    all.pop(); // one descriptor is left: the client's own
    let mut client = server.connect().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    eventually("the accept fails", || accept_errors(&page) > 0).await;
    sleep(Duration::from_millis(500)).await;
    let tries = accept_errors(&page);
    assert!(tries < 20, "{tries} tries in half a second: it spins");
    drop(all);
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 200"));
}
