//! WebSocket framing (RFC 6455) towards clients: what they send is read strictly, what they receive is encoded once
//! per message and written as it is.

mod decoder;
mod encoder;

pub use decoder::{Decoder, Event, Violation};
pub use encoder::{close, close_as, pong, text};
