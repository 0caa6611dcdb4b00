//! Reading recipes: TOML, `--set key=value`, JSON. Every mistake is found before any is reported.

use toml::{Table, Value as Toml};

use super::key::{KeyType, dotted};
use super::{KEYS, Recipe, RecipeError, RecipeErrors};

impl Recipe {
    /// Reads a recipe from TOML, with `settings` ("section.key=value", as of `--set`) laid over it.
    /// Keys that are not named have the value of recipe `head`.
    ///
    /// # Errors
    /// Every mistake at once: TOML that does not parse, unknown keys, wrong types, values out of
    /// range, and keys that contradict each other.
    pub fn from_toml(text: &str, settings: &[String]) -> Result<Recipe, RecipeErrors> {
        match text.parse::<Table>() {
            Ok(table) => Recipe::from_table(table, settings),
            Err(error) => Err(RecipeErrors(vec![not_toml(text, &error)])),
        }
    }

    /// Reads a recipe from the JSON object that [`Recipe::to_json`] wrote.
    ///
    /// # Errors
    /// As [`Recipe::from_toml`].
    pub fn from_json(json: &serde_json::Value) -> Result<Recipe, RecipeErrors> {
        match Table::try_from(json) {
            Ok(table) => Recipe::from_table(table, &[]),
            Err(error) => Err(RecipeErrors(vec![RecipeError { key: "recipe".into(), problem: error.to_string() }])),
        }
    }

    fn from_table(table: Table, settings: &[String]) -> Result<Recipe, RecipeErrors> {
        let mut reader = Reader { table, errors: Vec::new() };
        settings.iter().for_each(|setting| reader.lay_over(setting));
        let recipe = Recipe::take(&mut reader);
        reader.refuse_what_is_left();
        let mut errors = reader.errors;
        recipe.check(&mut errors);
        // A key whose value cannot be read has its default for the checks; one mistake, one line.
        let mut said = Vec::new();
        errors.retain(|error| {
            !said.contains(&error.key) && {
                said.push(error.key.clone());
                true
            }
        });
        if errors.is_empty() { Ok(recipe) } else { Err(RecipeErrors(errors)) }
    }
}

/// Hands out the keys of a table one by one; what is left at the end is unknown.
pub(super) struct Reader {
    table: Table,
    errors: Vec<RecipeError>,
}

impl Reader {
    /// A reader in which every key has its default.
    pub fn empty() -> Reader {
        Reader { table: Table::new(), errors: Vec::new() }
    }

    /// Takes one key out; `default` where it is absent or cannot be read.
    pub fn key<T: KeyType>(&mut self, section: &str, name: &str, default: T) -> T {
        let value = match section {
            "" => self.table.remove(name),
            _ => self.table.get_mut(section).and_then(Toml::as_table_mut).and_then(|table| table.remove(name)),
        };
        match value.as_ref().map(T::from_toml) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.errors.push(RecipeError { key: dotted(section, name), problem });
                default
            }
        }
    }

    /// Lays one `section.key=value` over the table. The value is TOML; what is no TOML is a word,
    /// so that `privacy=uids` needs no quotes.
    fn lay_over(&mut self, setting: &str) {
        let Some((key, text)) = setting.split_once('=') else {
            let place = if setting.is_empty() { "--set" } else { setting };
            return self.error(place, "found no `=`, expected key=value, as tilt.max_angle_deg=30");
        };
        let (key, text) = (key.trim(), text.trim());
        if key.is_empty() {
            return self.error("--set", &format!("found no key before `={text}`, expected key=value"));
        }
        let value = one_value(text).unwrap_or_else(|| Toml::String(text.to_owned()));
        match key.split_once('.') {
            None => drop(self.table.insert(key.to_owned(), value)),
            Some((section, name)) => {
                let table = self.table.entry(section).or_insert_with(|| Toml::Table(Table::new()));
                match table.as_table_mut() {
                    Some(table) => drop(table.insert(name.to_owned(), value)),
                    None => self.error(section, "found a value, expected a section"),
                }
            }
        }
    }

    fn refuse_what_is_left(&mut self) {
        for (section, value) in std::mem::take(&mut self.table) {
            match value {
                Toml::Table(table) if KEYS.iter().any(|key| key.section == section) => {
                    table.keys().for_each(|name| self.unknown(&dotted(&section, name)));
                }
                _ if KEYS.iter().any(|key| key.section == section) => {
                    self.error(&section, "found a value, expected a section");
                }
                _ => self.unknown(&section),
            }
        }
    }

    fn unknown(&mut self, key: &str) {
        let known = KEYS.iter().map(|known| known.dotted());
        let nearest = known.map(|known| (edit_distance(key, &known), known)).min();
        // where more than half of the letters differ, a guess helps nobody
        let near = nearest.filter(|(distance, known)| 2 * distance <= known.len().max(key.len()));
        let hint = near.map(|(_, near)| format!("; did you mean {near}?")).unwrap_or_default();
        self.error(key, &format!("unknown key{hint} (`dcmshard recipe head` prints all)"));
    }

    fn error(&mut self, key: &str, problem: &str) {
        self.errors.push(RecipeError { key: key.to_owned(), problem: problem.to_owned() });
    }
}

/// `text` as one TOML value. More than one is none: a second line would be lost without a word.
fn one_value(text: &str) -> Option<Toml> {
    let mut table = format!("value = {text}").parse::<Table>().ok()?;
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

fn not_toml(text: &str, error: &toml::de::Error) -> RecipeError {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map(|line| format!("line {line}")).unwrap_or_else(|| "recipe".into());
    RecipeError { key: place, problem: format!("found no valid TOML: {}", error.message()) }
}

/// How many letters must be put in, taken out or changed to make `a` into `b` (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::super::{Compression, Privacy, Window};
    use super::*;

    fn errors(toml: &str, settings: &[&str]) -> Vec<String> {
        let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
        match Recipe::from_toml(toml, &settings) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn every_mistake_is_reported_at_once_each_with_its_key() {
        let toml = "privacy = \"open\"\n[hu_window]\nguide = [40, 0]\n[tilt]\nmax_angel_deg = 3\n[x]\ny = 1";
        let got = errors(toml, &["output.rows_per_shard=0", "crop_pad.size=huge"]);
        let expected = [
            r#"recipe: privacy: found "open", expected "strict" or "uids""#,
            r#"recipe: crop_pad.size: found "huge", expected a whole number, 0 or above"#,
            "recipe: tilt.max_angel_deg: unknown key; did you mean tilt.max_angle_deg? (`dcmshard recipe head` prints all)",
            "recipe: x: unknown key (`dcmshard recipe head` prints all)",
            "recipe: hu_window.guide: found width 0, expected 1 or above",
            "recipe: output.rows_per_shard: found 0, expected 1 to 1000000",
        ];
        for line in expected {
            assert!(got.iter().any(|g| *g == line), "{line}\nnot in\n{}", got.join("\n"));
        }
        assert_eq!(got.len(), expected.len(), "{}", got.join("\n"));
    }

    #[test]
    fn settings_need_no_quotes_and_win_over_the_file() -> Result<(), RecipeErrors> {
        let settings = ["privacy=uids", "hu_window.guide=[30, 60]", "output.compression=zstd:3", "tilt.enabled=false"];
        let recipe = Recipe::from_toml("privacy = \"strict\"", &settings.map(str::to_owned))?;
        assert_eq!(recipe.privacy, Privacy::Uids);
        assert_eq!(recipe.hu_window.guide, Window { center: 30.0, width: 60.0 });
        assert_eq!(recipe.output.compression, Compression::Zstd(3));
        assert!(!recipe.tilt.enabled);
        Ok(())
    }

    #[test]
    fn a_recipe_that_is_no_toml_names_the_line() {
        assert!(errors("version = 1\n[tilt\n", &[])[0].starts_with("recipe: line 2: found no valid TOML"));
        assert_eq!(
            errors("", &["tilt.enabled"])[0],
            "recipe: tilt.enabled: found no `=`, expected key=value, as tilt.max_angle_deg=30"
        );
    }

    #[test]
    fn a_setting_is_one_value_and_its_mistake_one_line() {
        let two_lines = errors("", &["tilt.enabled=false\ntilt.method=x"]);
        assert_eq!(two_lines.len(), 1, "{two_lines:?}");
        assert!(two_lines[0].starts_with("recipe: tilt.enabled: found "), "{two_lines:?}");
        assert_eq!(errors("privacy = '''a\nb'''", &[]).len(), 1);
        assert!(errors("", &[""])[0].starts_with("recipe: --set: found no `=`"));
        assert!(errors("", &["=3"])[0].starts_with("recipe: --set: found no key before `=3`"));
        assert!(errors("", &["hu_window.windows=[[40, 80],\n[80, 200]]"]).is_empty());
    }

    #[test]
    fn windows_editors_may_write_recipes() {
        let toml = "\u{feff}version = 1\r\n[tilt]\r\nmax_angle_deg = 30\r\n";
        assert_eq!(Recipe::from_toml(toml, &[]).map(|recipe| recipe.tilt.max_angle_deg), Ok(30.0));
    }

    #[test]
    fn a_later_format_is_refused_by_its_version() {
        assert_eq!(errors("version = 2", &[]), ["recipe: version: found 2, expected 1"]);
    }

    #[test]
    fn json_reads_back_what_it_wrote() {
        assert_eq!(Recipe::from_json(&Recipe::seed().to_json()), Ok(Recipe::seed()));
    }
}
