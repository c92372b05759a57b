//! Text that must not be shown: secrets, and addresses with a password inside.

use std::fmt;

/// A value whose `Debug` shows nothing. It has no `Display`, so that it cannot slip into a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

// === impl Hidden ===

impl Hidden {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
