//! A lookup service with three nodes on the memory store, to be measured from outside:
//!
//! ```sh
//! cargo build --release -p lookup-service --example measured
//! taskset -c 0 target/release/examples/measured > /tmp/measured &
//! taskset -c 1 wrk -t1 -c64 -d10 -H "$(sed -n 2p /tmp/measured)" "$(sed -n 3p /tmp/measured)/lookup?id=user"
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write;

use support::{Lookup, jwt};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let lookup = Lookup::with_nodes(3).await;
    let mut out = std::io::stdout();
    writeln!(out, "Authorization: Bearer {}\nhttp://{}", jwt("user"), lookup.public)?;
    out.flush()?;
    std::future::pending().await
}
