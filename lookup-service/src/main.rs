//! The binary `lookup-service`; everything is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    lookup_service::process().await
}
