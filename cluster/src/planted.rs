//! Bugs planted on purpose, to see whether the simulation finds them. Without the feature `simulation` there are none;
//! with it, a thread has the one that it asked for.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// One frame of a link in ten thousand is lost and nobody is told.
    DropFrame,
    /// What is sent again is taken for something new.
    SendTwice,
    /// A durable message is acknowledged before the log has it.
    AckEarly,
    /// A process takes messages as their home without asking the ring.
    SkipVersion,
    /// After a stall of the store everybody whose lease ran out is taken out at once.
    ReapMany,
    /// The log takes appends of former homes.
    StaleAppend,
    /// A session whose home did not change is asked to move.
    MoveOneMore,
    /// Two messages change places.
    SwapTwo,
    /// When the ring changes the interest of a topic is not told to its new home.
    ForgetInterest,
    /// What was lost of the log is continued under the old epoch.
    ReuseEpoch,
    /// The last entry of a replay is left out.
    LoseReplayed,
    /// A node that is told to drain closes its sessions at once.
    CloseOnDrain,
    /// A node that drains sends its sessions to a node that is not their next home.
    DrainAstray,
    /// While the store is away a node goes by the dead.
    TrustDead,
    /// Of several recipients the last one is not sent the message, and counted as if.
    SkipLast,
    /// A node that drains asks nobody to move.
    DrainSilently,
    /// Who stands in for a dead home stores what is sent to it.
    StoreForDead,
    /// A crowd that comes back is let through at once.
    NoPace,
    /// Once the log has lost something, whoever comes back is told of a gap, whatever there is.
    FalseGap,
    /// Who leaves a group stays on its list.
    StayListed,
}

/// Whether this thread has that bug.
#[cfg(not(feature = "simulation"))]
#[inline]
pub const fn is(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "simulation")]
pub use self::planting::{is, plant};

#[cfg(feature = "simulation")]
mod planting {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Gives this thread a bug, or takes it away.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this thread has that bug.
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

// === impl Bug ===

impl Bug {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::DropFrame,
        Self::SendTwice,
        Self::AckEarly,
        Self::SkipVersion,
        Self::ReapMany,
        Self::StaleAppend,
        Self::MoveOneMore,
        Self::SwapTwo,
        Self::ForgetInterest,
        Self::ReuseEpoch,
        Self::LoseReplayed,
        Self::CloseOnDrain,
        Self::DrainAstray,
        Self::TrustDead,
        Self::SkipLast,
        Self::DrainSilently,
        Self::StoreForDead,
        Self::NoPace,
        Self::FalseGap,
        Self::StayListed,
    ];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DropFrame => "drop-frame",
            Self::SendTwice => "send-twice",
            Self::AckEarly => "ack-early",
            Self::SkipVersion => "skip-version",
            Self::ReapMany => "reap-many",
            Self::StaleAppend => "stale-append",
            Self::MoveOneMore => "move-one-more",
            Self::SwapTwo => "swap-two",
            Self::ForgetInterest => "forget-interest",
            Self::ReuseEpoch => "reuse-epoch",
            Self::LoseReplayed => "lose-replayed",
            Self::CloseOnDrain => "close-on-drain",
            Self::DrainAstray => "drain-astray",
            Self::TrustDead => "trust-dead",
            Self::SkipLast => "skip-last",
            Self::DrainSilently => "drain-silently",
            Self::StoreForDead => "store-for-dead",
            Self::NoPace => "no-pace",
            Self::FalseGap => "false-gap",
            Self::StayListed => "stay-listed",
        }
    }
}
