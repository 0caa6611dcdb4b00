//! Printing recipes: TOML with the doc of each key, canonical JSON, JSON schema, differences.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use toml::Value as Toml;

use super::{KEYS, Recipe};

/// One key in which two recipes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    /// Its value in the one recipe.
    pub left: String,
    /// Its value in the other.
    pub right: String,
}

impl Recipe {
    /// The recipe as TOML, every key with its doc above it; reads back as the same recipe.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in KEYS {
            if key.section != section {
                section = key.section;
                let _ = write!(text, "\n#{}\n[{section}]\n", key.section_doc);
            }
            key.doc.iter().for_each(|line| text.push_str(&format!("#{line}\n")));
            let _ = writeln!(text, "{} = {}", key.name, short(&(key.get)(self)));
        }
        text
    }

    /// The recipe as a JSON object: every key, sorted.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        for key in KEYS {
            let value = json_of(&(key.get)(self));
            match key.section {
                "" => drop(object.insert(key.name.into(), value)),
                section => {
                    let entry = object.entry(section).or_insert_with(|| json!({}));
                    entry[key.name] = value;
                }
            }
        }
        Json::Object(object)
    }

    /// [`Recipe::to_json`] without white space. Two recipes are the same if and only if these bytes
    /// are.
    pub fn canonical_json(&self) -> String {
        self.to_json().to_string()
    }

    /// SHA-256 of [`Recipe::canonical_json`], lower-case hex.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.canonical_json()))
    }

    /// The keys in which the recipes differ, in the order of the documentation.
    pub fn differences(&self, other: &Recipe) -> Vec<Difference> {
        let pairs = KEYS.iter().map(|key| (key, short(&(key.get)(self)), short(&(key.get)(other))));
        let differing = pairs.filter(|(_, left, right)| left != right);
        differing.map(|(key, left, right)| Difference { key: key.dotted(), left, right }).collect()
    }
}

/// The JSON schema of recipes (their TOML or JSON form), draft 2020-12.
pub fn toml_schema() -> Json {
    let mut properties = Map::new();
    for key in KEYS {
        let mut schema = (key.schema)();
        schema["description"] = key.sentence().into();
        schema["default"] = json_of(&(key.default)());
        match key.section {
            "" => drop(properties.insert(key.name.into(), schema)),
            section => {
                let entry = properties.entry(section).or_insert_with(|| {
                    let doc = key.section_doc.trim();
                    json!({"type": "object", "description": doc, "additionalProperties": false, "properties": {}})
                });
                entry["properties"][key.name] = schema;
            }
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dcmshard recipe",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Every key with its default and its sentence: what `convert --help` ends with.
pub fn key_list() -> String {
    let mut text = String::from("Recipe keys (--set KEY=VALUE), with the values of recipe `head`:\n");
    for key in KEYS {
        let _ = write!(text, "  {} = {}\n      {}\n", key.dotted(), short(&(key.default)()), key.sentence());
    }
    text
}

/// TOML as a person writes it: 40 rather than 40.0.
fn short(value: &Toml) -> String {
    match value {
        Toml::Float(number) => number.to_string(),
        Toml::Array(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn json_of(value: &Toml) -> Json {
    match value {
        Toml::Boolean(b) => json!(b),
        Toml::Integer(n) => json!(n),
        Toml::Float(n) => json!(n),
        Toml::Array(items) => items.iter().map(json_of).collect(),
        other => json!(other.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::SHIPPED;
    use super::*;

    #[test]
    fn shipped_files_are_as_the_program_prints_them() {
        for shipped in SHIPPED {
            let name = shipped.name;
            let recipe = Recipe::shipped(name).unwrap_or_else(|| panic!("{name} reads"));
            assert_eq!(recipe.to_toml(), shipped.toml, "examples/recipes/{name}.toml: run `make schemas`");
        }
    }

    #[test]
    fn canonical_json_has_every_key_and_no_space() {
        let json = Recipe::head().canonical_json();
        assert!(json.starts_with(r#"{"crop_pad":{"background":"low","crop":true,"size":512},"decode""#), "{json}");
        assert_eq!(Recipe::head().hash().len(), 64);
        assert_ne!(Recipe::head().hash(), Recipe::seed().hash());
    }

    #[test]
    fn differences_name_the_key_and_both_values() {
        let mut other = Recipe::head();
        other.tilt.max_angle_deg = 30.0;
        let want = Difference { key: "tilt.max_angle_deg".into(), left: "45".into(), right: "30".into() };
        assert_eq!(Recipe::head().differences(&other), [want]);
    }
}
