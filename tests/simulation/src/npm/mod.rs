//! The npm client in the simulation: the very modules that the package ships, run by a JavaScript engine on simulated
//! sockets, lookups, timers and chance. And bugs planted into it, to see whether the judges see them.

mod engine;
mod judge;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::engine::{Act, Engine};
pub(crate) use self::judge::{Application, Judge};

/// The client's modules, by their paths below `dist/plain`: before the build shortens their private names.
#[derive(Debug, Clone)]
pub struct Program(Arc<BTreeMap<String, String>>);

/// A bug to be planted into the client: in a module, something is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// Its name.
    pub name: &'static str,
    module: &'static str,
    from: &'static str,
    to: &'static str,
}

/// All of them.
pub const PLANTED: [Planted; 8] = [
    Planted {
        name: "npm-forget-positions",
        module: "machine/topics.js",
        from: "const place = placeOf(topic);",
        to: "const place = undefined;",
    },
    Planted {
        name: "npm-forget-sends",
        module: "machine/outbox.js",
        from: "remove(t, (entry) => entry.ephemeral && entry.socket === socket, \"unconfirmed\", true);",
        to: "t.sends = t.sends.filter((entry) => entry.socket !== socket);",
    },
    Planted {
        name: "npm-repeat-ephemeral",
        module: "machine/outbox.js",
        from: "remove(t, (entry) => entry.ephemeral && entry.socket === socket, \"unconfirmed\", true);",
        to: "t.sends = t.sends.map((entry) => (entry.socket === socket ? { ...entry, socket: 0 } : entry));",
    },
    Planted {
        name: "npm-deliver-twice",
        module: "machine/topics.js",
        from: "offset <= after)",
        to: "offset < after)",
    },
    Planted {
        name: "npm-swallow-gap",
        module: "machine/topics.js",
        from: "act(t, \"emit\", \"gap\", gap);",
        to: "",
    },
    Planted { name: "npm-third-socket", module: "machine/connected.js", from: "if (old)", to: "if (false)" },
    Planted {
        name: "npm-bear-silence",
        module: "machine/connected.js",
        from: "return lost(t, before, failure(\"lost\", \"silent\"));",
        to: "return guard(t, before);",
    },
    Planted {
        name: "npm-swap-sends",
        module: "machine/outbox.js",
        from: "t.sends = t.sends.flatMap(",
        to: "t.sends = [...t.sends].reverse().flatMap(",
    },
];

impl Program {
    /// The client as it was built last.
    ///
    /// # Errors
    /// It was not; how to build it.
    pub fn built() -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../js-client/dist/plain");
        let mut modules = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(below) = folders.pop() {
            let entries = std::fs::read_dir(folder.join(&below)).map_err(|error| missing(&folder, &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| missing(&folder, &error))?;
                let name = below.join(entry.file_name());
                if entry.path().is_dir() {
                    folders.push(name);
                } else if name.extension().is_some_and(|extension| extension == "js") {
                    let text =
                        std::fs::read_to_string(entry.path()).map_err(|error| missing(&folder, &error))?;
                    modules.insert(name.to_string_lossy().into_owned(), text);
                }
            }
        }
        Ok(Self(Arc::new(modules)))
    }

    /// The same with a bug.
    ///
    /// # Errors
    /// The client does not have the place any more where it is planted.
    pub fn with(&self, planted: Planted) -> Result<Self, String> {
        let mut modules = BTreeMap::clone(&self.0);
        let text = modules.get_mut(planted.module).filter(|text| text.matches(planted.from).count() == 1);
        let text = text.ok_or(format!(
            "{} is planted where {} has {:?} once, and it has not: say in npm/mod.rs what it has now",
            planted.name, planted.module, planted.from
        ))?;
        *text = text.replace(planted.from, planted.to);
        Ok(Self(Arc::new(modules)))
    }

    fn modules(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

fn missing(folder: &Path, error: &std::io::Error) -> String {
    format!(
        "no npm client in {}: {error}\nbuild it: (cd js-client && npm ci && npm run build)",
        folder.display()
    )
}
