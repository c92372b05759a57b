//! docs/openapi.json as tests hold answers against it: a small checker of just those keywords of JSON Schema that the
//! document uses. Any other keyword is an error, so that nothing goes unchecked.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Keywords that only explain.
const ANNOTATIONS: [&str; 2] = ["description", "default"];

pub struct Described(pub Value);

impl Described {
    pub fn load() -> Self {
        Self(serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap())
    }

    /// Every operation: path, method, and what is said of it.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// What is where a reference points, or the thing itself.
    pub fn resolved<'a>(&'a self, node: &'a Value) -> &'a Value {
        match node["$ref"].as_str() {
            None => node,
            Some(path) => {
                let found = self.0.pointer(path.strip_prefix('#').unwrap());
                self.resolved(found.unwrap_or_else(|| panic!("{path} leads nowhere")))
            }
        }
    }

    /// Whether an answer is one that the document promises for this request. `path` is without its query.
    pub fn promises(&self, method: &str, path: &str, answer: (u16, &str, &[u8])) -> Result<(), String> {
        let (status, kind, body) = answer;
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
        let known = self.operations().find(|(template, takes, _)| *takes == method && fits(template, path));
        let Some((_, _, operation)) = known else {
            return self.refuses_elsewhere(path, answer);
        };
        let response = self.resolved(&operation["responses"][status.to_string()]);
        if response.is_null() {
            return Err(format!("{method} {path} does not promise {status}"));
        }
        self.body_fits(response, kind, body)
    }

    /// What is said where there is no operation: no such path, or no such method there.
    fn refuses_elsewhere(&self, path: &str, (status, kind, body): (u16, &str, &[u8])) -> Result<(), String> {
        let there = self.operations().any(|(template, _, _)| fits(template, path));
        let (name, expected) = if there { ("MethodNotAllowed", 405) } else { ("NotFound", 404) };
        if status != expected {
            return Err(format!("{path} answers {status} where nothing is"));
        }
        self.body_fits(&self.0["components"]["responses"][name], kind, body)
    }

    fn body_fits(&self, response: &Value, kind: &str, body: &[u8]) -> Result<(), String> {
        let Some(content) = response["content"].as_object() else {
            return if body.is_empty() { Ok(()) } else { Err("a body where none is promised".to_owned()) };
        };
        let media = content.get(kind).ok_or_else(|| format!("{kind:?} is not promised"))?;
        if body.is_empty() {
            return Ok(());
        }
        let value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        self.check(&media["schema"], &value, kind)
    }

    /// Whether a value is what a schema says; `place` is for the message.
    pub fn check(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        let all = schema.as_object().ok_or_else(|| format!("{place}: no schema"))?;
        all.iter().try_for_each(|(keyword, told)| self.keyword((keyword, told), all, value, place))
    }

    fn keyword(
        &self,
        (keyword, told): (&str, &Value),
        schema: &Map<String, Value>,
        value: &Value,
        place: &str,
    ) -> Result<(), String> {
        let count = || told.as_u64().unwrap() as usize;
        let within =
            |fits: bool| if fits { Ok(()) } else { Err(format!("{place}: {value} is not {keyword} {told}")) };
        let of_those = |told: &Value| {
            let fit = |schema: &&Value| self.check(schema, value, place).is_ok();
            told.as_array().unwrap().iter().filter(fit).count()
        };
        let length = value.as_str().map(|text| text.chars().count());
        match keyword {
            "$ref" => self.check(self.resolved(&Value::Object(schema.clone())), value, place),
            "allOf" => told.as_array().unwrap().iter().try_for_each(|one| self.check(one, value, place)),
            "anyOf" => within(of_those(told) > 0),
            "oneOf" => within(of_those(told) == 1),
            "type" => within(types(told).any(|name| is(name, value))),
            "enum" => within(told.as_array().unwrap().contains(value)),
            "const" => within(told == value),
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                within(!value.is_object() || told.as_array().unwrap().iter().all(has))
            }
            "properties" => told.as_object().unwrap().iter().try_for_each(|(name, schema)| {
                value.get(name).map_or(Ok(()), |inner| self.check(schema, inner, &format!("{place}.{name}")))
            }),
            "additionalProperties" => {
                value.as_object().into_iter().flatten().try_for_each(|(name, inner)| {
                    let named = schema.get("properties").is_some_and(|named| named.get(name).is_some());
                    if named { Ok(()) } else { self.check(told, inner, &format!("{place}.{name}")) }
                })
            }
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .try_for_each(|item| self.check(told, item, &format!("{place}[]"))),
            "minItems" => within(value.as_array().is_none_or(|items| items.len() >= count())),
            "maxItems" => within(value.as_array().is_none_or(|items| items.len() <= count())),
            "minProperties" => within(value.as_object().is_none_or(|fields| fields.len() >= count())),
            "maxProperties" => within(value.as_object().is_none_or(|fields| fields.len() <= count())),
            "minLength" => within(length.is_none_or(|length| length >= count())),
            "maxLength" => within(length.is_none_or(|length| length <= count())),
            "minimum" => within(value.as_f64().is_none_or(|number| number >= told.as_f64().unwrap())),
            "maximum" => within(value.as_f64().is_none_or(|number| number <= told.as_f64().unwrap())),
            "pattern" => within(value.as_str().is_none_or(|text| matches(told.as_str().unwrap(), text))),
            _ if ANNOTATIONS.contains(&keyword) => Ok(()),
            _ => Err(format!("{place}: the checker does not know {keyword}")),
        }
    }

    /// All codes that answers of this status may have, anywhere.
    pub fn codes(&self) -> BTreeSet<(u16, String)> {
        let of_operations = self.operations().flat_map(|(_, _, operation)| {
            operation["responses"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(status, response)| (status.clone(), response))
        });
        let not_found = [("404".to_owned(), &self.0["components"]["responses"]["NotFound"])];
        of_operations
            .chain(not_found)
            .flat_map(|(status, response)| {
                let schema = &self.resolved(response)["content"]["application/problem+json"]["schema"];
                let codes = schema["allOf"][1]["properties"]["code"]["enum"].as_array().into_iter().flatten();
                let told = codes.map(|code| (status.parse().unwrap(), code.as_str().unwrap().to_owned()));
                told.collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Whether a path is one that a template with braces stands for.
fn fits(template: &str, path: &str) -> bool {
    let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len()
        && wanted.iter().zip(&given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

fn types(told: &Value) -> impl Iterator<Item = &str> {
    told.as_str().into_iter().chain(told.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => panic!("no type is called {name}"),
    }
}

/// Patterns of the form `^[characters]{from,to}$`, with `{count}` and `+` for the same; no others are used.
fn matches(pattern: &str, text: &str) -> bool {
    let inner = pattern.strip_prefix("^[").and_then(|rest| rest.strip_suffix('$')).unwrap();
    let (class, times) = inner.split_once(']').unwrap();
    let times = times.trim_matches(['{', '}']);
    let (from, to) = match times.split_once(',') {
        Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
        None if times == "+" => (1, usize::MAX),
        None => (times.parse().unwrap(), times.parse().unwrap()),
    };
    let class: Vec<char> = class.chars().collect();
    let in_class = |c: char| {
        let in_range = class.windows(3).any(|part| part[1] == '-' && (part[0]..=part[2]).contains(&c));
        in_range || class.contains(&c)
    };
    (from..=to).contains(&text.chars().count()) && text.chars().all(in_class)
}
