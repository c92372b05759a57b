//! Configuration: flags, their environment twins `RINGDIAL_<FLAG>`, and every mistake at once.
//!
//! A binary declares a [`Command`] (a table of [`Flag`]s) and a function that reads typed values out of
//! [`Settings`]. Values arrive as text first; each getter checks one and notes what is wrong with it, so that one run
//! names all mistakes. Nothing is opened before [`load`] returns.
//!
//! ```
//! use ringdial_edge::config::{Command, Flag, Group};
//! static FLAGS: &[Flag] = &[Flag::value("listen", "HOST:PORT", "where clients connect").default("127.0.0.1:0")];
//! static COMMAND: Command = Command { name: "demo", about: "A demo.", groups: &[Group { title: "Ports", flags: FLAGS }] };
//! # use ringdial_edge::config::Settings;
//! let mut settings = Settings::parse(&COMMAND, ["--listen=0.0.0.0:80"], [("RINGDIAL_LISTEN", "ignored: the flag wins")]);
//! let listen = settings.address("listen");
//! settings.finish().unwrap();
//! assert_eq!(listen.port(), 80);
//! ```

mod flag;
mod help;
mod hidden;
mod load;
mod mistake;
mod parse;
mod settings;
pub mod shared;
pub mod value;

pub use flag::{Command, Flag, Group};
pub use hidden::Hidden;
pub use load::{EXIT_CONFIGURATION, load, load_after};
pub use mistake::{Mistake, Mistakes};
pub use settings::Settings;

#[cfg(test)]
mod tests;
