//! What the checker can be told.

use std::net::SocketAddr;

use edge::config::{Command, Flag, Group, Settings};
use edge::logging::{Format, Log};

use super::scene::Scene;

const FLAGS: [Flag; 3] = [
    Flag::value(
        "listen",
        "IP:PORT",
        "Where the client under test looks up. The nodes that it is sent to listen on free ports of the same address.",
    )
    .default("127.0.0.1:8090"),
    Flag::value("only", "SCENE,...", "Play these scenes only: begin, at-once, back-off, refused, unreachable, stopped, token, move, failed-move, resume, repeat, close."),
    Flag::switch("json", "Write the report as JSON, one object a line."),
];

/// The subcommand's flags.
pub(super) static COMMAND: Command = Command {
    name: "ringdial conformance",
    about: "Judges a client, in any language: plays a lookup service and nodes that move, drop, repeat, delay and refuse, \
            and says for each rule of the protocol whether the client kept it. What the client has to do for it, and the \
            rules: docs/CONFORMANCE.md. Exits with 0 if all mandatory rules were kept, 1 if not, 2 for a bad configuration.",
    groups: &[Group { title: "The run", flags: &FLAGS }],
};

/// The configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Where lookups are.
    pub(super) listen: SocketAddr,
    /// The scenes that are played, in their order.
    pub(super) scenes: Vec<Scene>,
    /// Whether the report is for programs.
    pub(super) json: bool,
    /// Logs are for trouble only.
    pub(super) log: Log,
}

/// Reads all flags.
pub(super) fn read(settings: &mut Settings) -> Config {
    let scenes = settings.optional("only", scenes).unwrap_or_else(|| Scene::ALL.to_vec());
    let log = Log { format: Format::Text, level: "warn".to_owned() };
    Config { listen: settings.address("listen"), scenes, json: settings.switch("json"), log }
}

fn scenes(text: &str) -> Result<Vec<Scene>, String> {
    let named: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let unknown = named.iter().any(|name| Scene::ALL.iter().all(|scene| scene.name() != *name));
    if unknown || named.is_empty() {
        let all: Vec<_> = Scene::ALL.iter().map(|scene| scene.name()).collect();
        return Err(format!("is not a list of scenes; write one or several of {}", all.join(",")));
    }
    Ok(Scene::ALL.iter().copied().filter(|scene| named.contains(&scene.name())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(args: &[&str]) -> Result<Config, Vec<String>> {
        let mut settings = Settings::parse(&COMMAND, args, Vec::<(String, String)>::new());
        let config = read(&mut settings);
        settings
            .finish()
            .map(|_| config)
            .map_err(|mistakes| mistakes.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn scenes_are_played_in_their_order() {
        assert_eq!(told(&[]).unwrap().scenes, Scene::ALL);
        assert_eq!(told(&["--only", "move, begin"]).unwrap().scenes, [Scene::Begin, Scene::Move]);
    }

    #[test]
    fn every_mistake_is_named_with_its_remedy() {
        let mistakes = told(&["--only=moves", "--listen=here", "--jsn"]).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(
            mistakes.iter().any(|text| text.contains("--only") && text.contains("failed-move")),
            "{mistakes:?}"
        );
    }

    #[test]
    fn the_document_has_these_flags() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFORMANCE.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("| `--")?.split('`').next()).collect();
        assert_eq!(rows, COMMAND.flags().map(|flag| flag.name).collect::<Vec<_>>());
    }

    #[test]
    fn help_names_every_scene() {
        let help = COMMAND.flag("only").unwrap().help;
        assert!(Scene::ALL.iter().all(|scene| help.contains(scene.name())), "{help}");
    }
}
