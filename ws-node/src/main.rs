//! The binary `ws-node`; everything is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    ws_node::process().await
}
