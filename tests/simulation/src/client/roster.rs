//! Who is in a client's groups, as it is told: first everybody, then who comes and who goes, and never a change that is
//! none.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::connection::Connection;
use super::{Act, Client, Told};

impl Connection {
    /// It was told who is in a group.
    pub(super) fn presence(&mut self, frame: &Value) -> Result<(), String> {
        let topic = format!("g:{}", frame["group"].as_str().unwrap_or_default());
        let Some(roster) = self.rosters.get_mut(&topic) else {
            return Err(format!("did not ask who is there: {frame}"));
        };
        let names = |field: &str| -> Vec<String> {
            let names = frame[field].as_array().into_iter().flatten().filter_map(Value::as_str);
            names.map(str::to_owned).collect()
        };
        if frame.get("users").is_some() {
            if roster.is_some() {
                return Err(format!("was told before who is there: {frame}"));
            }
            *roster = Some(names("users").into_iter().collect());
        }
        let Some(roster) = roster else { return Err(format!("was not told who is there: {frame}")) };
        if let Some(user) = names("joined").into_iter().find(|user| !roster.insert(user.clone())) {
            return Err(format!("{user} was there already: {frame}"));
        }
        if let Some(user) = names("left").into_iter().find(|user| !roster.remove(user)) {
            return Err(format!("{user} was not there: {frame}"));
        }
        if frame["count"].as_u64() != Some(roster.len() as u64) {
            return Err(format!("{roster:?} are there: {frame}"));
        }
        Ok(())
    }
}

impl Client {
    /// On a new connection it asks again who is in its groups, as soon as it knows where it stands there.
    pub(super) fn watch_more(&mut self, socket: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        let (watches, mut asked) = (self.watches, self.asked);
        let Some(connection) = self.on(socket).filter(|connection| watches && !connection.detached) else {
            return acts;
        };
        let stands = connection.stands.iter().filter(|(topic, stand)| {
            let told = matches!(stand.told, Some(Told::Whole | Told::Partly));
            told && !connection.rosters.contains_key(*topic) && !connection.is_asked(topic)
        });
        let groups: Vec<String> =
            stands.filter_map(|(topic, _)| topic.strip_prefix("g:").map(str::to_owned)).collect();
        if connection.name.is_none() {
            return acts;
        }
        for group in groups {
            asked += 1;
            connection.rosters.insert(format!("g:{group}"), None);
            connection.watches(asked);
            let join = json!({ "op": "join", "ref": asked, "group": group, "presence": true });
            acts.push(Act::Say(socket, join.to_string()));
        }
        self.asked = asked;
        acts
    }

    /// Whether it knows who is in its groups.
    ///
    /// # Errors
    /// What it believes.
    pub(crate) fn check_rosters(&self, truth: impl Fn(&str) -> BTreeSet<String>) -> Result<(), String> {
        let Some(connection) = self.main().filter(|_| self.watches) else { return Ok(()) };
        for topic in self.topics.iter().filter(|topic| topic.starts_with("g:")) {
            let (told, truth) = (connection.rosters.get(topic).cloned().flatten(), truth(topic));
            if told.as_ref() != Some(&truth) {
                return Err(format!(
                    "{} was told that {told:?} are in {topic}, and {truth:?} are",
                    self.user
                ));
            }
        }
        Ok(())
    }
}
