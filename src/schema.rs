//! Prints of what is declared elsewhere: columns, reasons, exit codes, recipe keys.
//!
//! `make schemas` writes them into `schemas/`; a test holds the files against the program.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use crate::column::{Column, Kind};
use crate::error::{Error, ExitCode};
use crate::identity::Key;
use crate::pipeline::Pipeline;
use crate::reason::Reason;
use crate::recipe::{self, Layout, Privacy, Recipe, SHIPPED};

/// The name of the tensor column.
pub const IMAGE: &str = "image";

/// Every file that `make schemas` writes: its path below the checkout, and its text.
pub fn files() -> Vec<(String, String)> {
    let every_column = Recipe { privacy: Privacy::Uids, ..Recipe::head() };
    let mut files = vec![
        ("schemas/columns.md".into(), columns_markdown(&every_column)),
        ("schemas/slice.schema.json".into(), to_text(&slice_schema(&every_column))),
        ("schemas/reasons.md".into(), reasons_markdown()),
        ("schemas/recipe.schema.json".into(), to_text(&recipe::toml_schema())),
    ];
    for shipped in SHIPPED {
        if let Some(recipe) = Recipe::shipped(shipped.name) {
            files.push((format!("examples/recipes/{}.toml", shipped.name), recipe.to_toml()));
        }
    }
    files
}

/// Writes [`files`] below `checkout`.
///
/// # Errors
/// [`Error::OutputIo`] where a file cannot be written.
pub fn write_all(checkout: &Path) -> Result<(), Error> {
    for (name, text) in files() {
        let path = checkout.join(name);
        fs::write(&path, text).map_err(|source| Error::OutputIo { doing: "write", path, source })?;
    }
    Ok(())
}

/// JSON as the files of `schemas/` have it: indented, with a last line feed.
pub fn to_text(json: &Json) -> String {
    format!("{json:#}\n")
}

/// The columns of a shard as a Markdown document, by the step that fills them.
pub fn columns_markdown(recipe: &Recipe) -> String {
    let mut text = String::from("# Columns of a shard\n\nPrinted by `dcmshard schema`; one row is one slice.\n");
    let _ = write!(text, "\n| column | type | null | what it is |\n|---|---|---|---|\n");
    let _ = writeln!(text, "| `{IMAGE}` | {} | | {} |", image_type(recipe), image_doc(recipe));
    for (step, columns) in steps(recipe) {
        let _ = write!(text, "\n## {step}\n\n| column | type | null | what it is |\n|---|---|---|---|\n");
        for column in columns {
            let null = if column.nullable { "yes" } else { "" };
            let _ = writeln!(text, "| `{}` | {} | {null} | {} |", column.name, arrow_name(column.kind), column.doc);
        }
    }
    text
}

/// The columns of a shard as a JSON schema of one row, draft 2020-12.
pub fn slice_schema(recipe: &Recipe) -> Json {
    let mut properties = Map::new();
    let image = json!({"description": image_doc(recipe), "x-arrow": image_type(recipe)});
    properties.insert(IMAGE.into(), image);
    let mut required = vec![IMAGE];
    for (step, columns) in steps(recipe) {
        for column in columns {
            properties.insert(column.name.into(), column_schema(column, step));
            required.extend((!column.nullable).then_some(column.name));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "one row of a dcmshard shard",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    })
}

/// Reasons and exit codes as a Markdown document.
pub fn reasons_markdown() -> String {
    let mut text = String::from(
        "# Reasons and exit codes\n\nPrinted by the program. Every slice or input found is in exactly one class: \
         `found = written + rejected + duplicate + filtered`.\n\n\
         ## Reasons\n\n| reason | class | what it means | what to do |\n|---|---|---|---|\n",
    );
    for reason in Reason::all() {
        let (class, meaning, remedy) = (reason.class().as_str(), reason.meaning(), reason.remedy());
        let _ = writeln!(text, "| `{reason}` | {class} | {meaning} | {remedy} |");
    }
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in ExitCode::all() {
        let _ = writeln!(text, "| {} | {meaning} |", *code as u8);
    }
    text
}

/// The line of `recipe`, step by step, with the columns each fills.
fn steps(recipe: &Recipe) -> Vec<(&'static str, Vec<&'static Column>)> {
    // The columns do not depend on the key.
    let pipeline = Pipeline::new(recipe, &Key::new([0; 32]));
    (0..pipeline.steps()).map(|step| (pipeline.step_name(step), pipeline.step_columns(step).to_vec())).collect()
}

fn image_type(recipe: &Recipe) -> String {
    let (channels, size) = (recipe.channels(), recipe.crop_pad.size);
    match recipe.output.layout {
        Layout::Binary => format!("fixed_size_binary[{}]", recipe.tensor_bytes()),
        Layout::Tensor => {
            format!("fixed_shape_tensor<{}>[{channels}, {size}, {size}]", recipe.output.dtype.as_str())
        }
    }
}

fn image_doc(recipe: &Recipe) -> String {
    let (channels, size) = (recipe.channels(), recipe.crop_pad.size);
    let dtype = recipe.output.dtype.as_str();
    format!("The tensor, {dtype} [{channels}, {size}, {size}] = (channel, row, column), C order, little-endian.")
}

fn column_schema(column: &Column, step: &str) -> Json {
    let one = |name: &str| if column.nullable { json!([name, "null"]) } else { json!(name) };
    let list = |item: &str| json!({"type": one("array"), "items": {"type": item}});
    let mut schema = match column.kind {
        Kind::Bool => json!({"type": one("boolean")}),
        Kind::Int32 => json!({"type": one("integer")}),
        Kind::Float64 => json!({"type": one("number")}),
        Kind::Text => json!({"type": one("string")}),
        Kind::ListInt32 => list("integer"),
        Kind::ListFloat64 => list("number"),
        Kind::ListText => list("string"),
    };
    schema["description"] = column.doc.into();
    schema["x-arrow"] = arrow_name(column.kind).into();
    schema["x-step"] = step.into();
    schema
}

/// The Arrow type of a column, as its documentation prints it.
pub const fn arrow_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Int32 => "int32",
        Kind::Float64 => "float64",
        Kind::Text => "string",
        Kind::ListInt32 => "list<int32>",
        Kind::ListFloat64 => "list<float64>",
        Kind::ListText => "list<string>",
    }
}
