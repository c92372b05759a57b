//! A real Redis server of a test's own: on a free port, keeping nothing, ended with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::{Client, Connection};

/// A running `redis-server`.
pub struct Server {
    pub port: u16,
    arguments: Vec<String>,
    directory: PathBuf,
    child: Child,
}

/// Runs a test of such a server, on a runtime that works on while a thread waits.
pub fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

impl Server {
    /// Starts a server with these arguments beside the usual ones.
    pub fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let directory =
            std::env::temp_dir().join(format!("ringdial-redis-{}-{}", std::process::id(), serial()));
        std::fs::create_dir_all(&directory).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = spawn(port, &arguments, &directory);
        let mut server = Self { port, arguments, directory, child };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection of the test's own.
    pub fn connection(&self) -> Connection {
        let client = Client::open(self.url()).unwrap();
        let connection = client.get_connection_with_timeout(Duration::from_secs(5)).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection
    }

    /// Kills the server; what it knew is lost.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on its port, empty.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.arguments, &self.directory);
        self.wait();
    }

    /// Stops the process as a debugger would, or lets it go on.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill {signal}");
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert_eq!(self.child.try_wait().unwrap(), None, "redis-server ended; its port is {}", self.port);
            assert!(Instant::now() < deadline, "redis-server does not listen on port {}", self.port);
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already, and there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn spawn(port: u16, arguments: &[String], directory: &Path) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--dir", &directory.to_string_lossy()]).args(arguments);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    spawned.unwrap_or_else(|error| {
        panic!("these tests need the program `redis-server` of Redis 7 (Debian: apt install redis-server): {error}")
    })
}

/// A port that no other test of this process is ever given: one that restarts its server must not find another's there.
/// From below the range of outgoing connections, so that no client's socket sits on one.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_240;
    const COUNT: u32 = 21_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes begin far apart.
    let begin = std::process::id().wrapping_mul(4_099);
    loop {
        let number = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + number).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn serial() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
