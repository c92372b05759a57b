//! What a binary can be told: the tables behind parsing and `--help`.

/// One binary and all that it can be told.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// The binary's name.
    pub name: &'static str,
    /// What it does, for the head of `--help`.
    pub about: &'static str,
    /// Its flags, grouped for `--help`.
    pub groups: &'static [Group],
}

/// Flags that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The heading in `--help`.
    pub title: &'static str,
    /// The flags, in the order of `--help`.
    pub flags: &'static [Flag],
}

/// One setting: `--<name>` or `RINGDIAL_<NAME>`.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// In kebab-case, without dashes.
    pub name: &'static str,
    /// What `--help` calls the value; `None` for a switch.
    pub value_name: Option<&'static str>,
    /// The value if none is given.
    pub default: Option<&'static str>,
    /// One or two sentences.
    pub help: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// Whether it may be given several times. Its values count together, separated by `;` as in its variable.
    pub repeated: bool,
}

/// The prefix of every environment twin. A variable with it that no flag claims is a mistake.
pub(super) const PREFIX: &str = "RINGDIAL_";

// === impl Command ===

impl Command {
    /// All flags, in the order of `--help`.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.groups.iter().flat_map(|group| group.flags)
    }

    /// The flag of this name.
    pub fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.flags().find(|flag| flag.name == name)
    }
}

// === impl Flag ===

impl Flag {
    /// A flag with a value and without a default.
    pub const fn value(name: &'static str, value_name: &'static str, help: &'static str) -> Self {
        Self { name, value_name: Some(value_name), default: None, help, secret: false, repeated: false }
    }

    /// A flag that is on or off; off by default.
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self { name, value_name: None, default: None, help, secret: false, repeated: false }
    }

    /// The same with a default.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// The same with a value that is never shown, in mistakes or elsewhere.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same for a flag that may be given several times.
    #[must_use]
    pub const fn repeated(mut self) -> Self {
        self.repeated = true;
        self
    }

    /// The environment twin: `peer-listen` is `RINGDIAL_PEER_LISTEN`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }
}
