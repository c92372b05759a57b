//! The binary `ringdial`; everything is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    ringdial::process().await
}
