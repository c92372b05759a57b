//! What the redis crate's errors mean to callers of a store.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;

/// The store's error for one of the server at `address`.
pub(super) fn translate(address: &str, error: &RedisError) -> StoreError {
    let (address, cause) = (address.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::Io => StoreError::Unreachable { address, cause },
        ErrorKind::AuthenticationFailed => StoreError::Denied { address, cause },
        ErrorKind::RESP3NotSupported => StoreError::Unsupported {
            cause: format!("the server at {address} is older than Redis 6: {cause}"),
        },
        ErrorKind::Server(kind) => server_error(address, cause, kind),
        ErrorKind::Extension => extension_error(address, cause, error.code().unwrap_or_default()),
        _ => StoreError::Unexpected { address, cause },
    }
}

fn server_error(address: String, cause: String, kind: ServerErrorKind) -> StoreError {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ReadOnly
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown => StoreError::NotReady { address, cause },
        ServerErrorKind::NoPerm => StoreError::Denied { address, cause },
        ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot => {
            StoreError::Unsupported { cause: format!("the server at {address} is part of a Redis Cluster") }
        }
        _ => StoreError::Unexpected { address, cause },
    }
}

/// Codes that the redis crate passes on without a kind of their own.
fn extension_error(address: String, cause: String, code: &str) -> StoreError {
    match code {
        "OOM" | "MISCONF" | "NOREPLICAS" | "BUSY" | "UNBLOCKED" => StoreError::NotReady { address, cause },
        "NOAUTH" | "WRONGPASS" => StoreError::Denied { address, cause },
        _ => StoreError::Unexpected { address, cause },
    }
}
