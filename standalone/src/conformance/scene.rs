//! The names of the scenes, in the order in which they are played.

macro_rules! scenes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// A part of a run that is played with a client of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Scene { $($(#[doc = $doc])+ $name,)+ }

        impl Scene {
            /// Every scene, in the order of the run.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name, for `--only`.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

scenes! {
    /// Lookup, hello, a ping, what is unknown.
    Begin = "begin";
    /// 4000-4099.
    AtOnce = "at-once";
    /// 4100-4199, and ends without a code.
    BackOff = "back-off";
    /// Refused lookups that say when to come again.
    Refused = "refused";
    /// A node that cannot be reached.
    Unreachable = "unreachable";
    /// 4400-4499.
    Stopped = "stopped";
    /// 4401.
    Token = "token";
    /// A move to another node, with sends under way.
    Move = "move";
    /// A move to a node that cannot be reached.
    FailedMove = "failed-move";
    /// Positions, gaps and pending topics over several connections.
    Resume = "resume";
    /// Sends that are refused for the time being.
    Repeat = "repeat";
    /// The client is closed.
    Close = "close";
}
