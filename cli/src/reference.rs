//! `reference`: the generated pages of docs/reference.

use crate::{roles, settings};
use anyhow::{Context, Result};
use clap::Args;
use magsentinel_bus_schema::{Kind, Stream, Tenant, reference};
use magsentinel_patrol::patrols::TABLE;
use serde_json::Value;
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

#[derive(Args, Clone)]
pub struct ReferenceArgs {
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Writes every page.
pub fn run(args: &ReferenceArgs) -> Result<()> {
    let schemas = args.out.join("schema");
    std::fs::create_dir_all(&schemas).with_context(|| format!("{}", schemas.display()))?;
    for (name, schema) in reference::messages() {
        write(&schemas, &format!("{name}.json"), &pretty(&schema)?)?;
    }
    // A file of its own, for editors to check while it is written.
    let policy = schemars::schema_for!(magsentinel_responder::Policy);
    write(&schemas, "policy.json", &pretty(&policy)?)?;
    for (name, schema) in reference::bodies() {
        write(&schemas, &format!("body-{name}.json"), &pretty(&schema)?)?;
    }
    write(&args.out, "subjects.md", &subjects()?)?;
    write(&args.out, "patrols.md", &patrols()?)?;
    write(&args.out, "config.md", &config()?)
}

fn pretty(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn subjects() -> Result<String> {
    let tenant = Tenant::default();
    let mut text = "# Subjects and streams\n\n\
        Generated from `bus-schema/src/subject.rs`; the tenant here is `default`.\n\n\
        | stream | subjects |\n| --- | --- |\n"
        .to_owned();
    for stream in Stream::ALL {
        let subjects = stream.subjects(&tenant).join("`, `");
        writeln!(text, "| `{}` | `{subjects}` |", stream.name(&tenant))?;
    }
    text.push_str("\nEvent kinds: ");
    let kinds: Vec<String> = Kind::ALL.iter().map(|k| format!("`{k}`")).collect();
    writeln!(text, "{}.", kinds.join(", "))?;
    let roles: Vec<String> = roles::all().iter().map(|r| format!("`{r}`")).collect();
    writeln!(text, "\nRoles: {}.", roles.join(", "))?;
    Ok(text)
}

fn patrols() -> Result<String> {
    let mut text = "# Patrols\n\nGenerated from `agents/patrol/src/patrols.rs`.\n\n\
        | patrol | scores | keeps state by | configuration |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for entry in TABLE {
        let spec = entry.spec;
        let keys: Vec<&str> = spec.keys.iter().map(|class| class.token()).collect();
        let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
        writeln!(
            text,
            "| `{}` | `{}` | {keys} | `patrols.{}` |",
            spec.name,
            spec.kinds_told().replace(", ", "`, `"),
            entry.section
        )?;
    }
    Ok(text)
}

fn config() -> Result<String> {
    let mut text = "# Configuration\n\n\
        Defaults < file < `MAGSENTINEL__SECTION__KEY` < `--set section.key=value`. Unknown keys \
        are errors.\n\nGenerated from the `Config` types.\n"
        .to_owned();
    for (name, defaults, schema) in settings::reference() {
        writeln!(text, "\n## {name}\n\n| key | default | meaning |\n| --- | --- | --- |")?;
        let definitions = schema.get("$defs").cloned().unwrap_or_default();
        keys(&mut text, name, &schema, &defaults, &definitions)?;
    }
    Ok(text)
}

/// One row a key, nested sections flattened.
fn keys(
    text: &mut String,
    path: &str,
    schema: &Value,
    defaults: &Value,
    definitions: &Value,
) -> Result<()> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (key, property) in properties {
        let path = format!("{path}.{key}");
        let default = defaults.get(key).unwrap_or(&Value::Null);
        let inner = resolve(property, definitions);
        if inner.get("properties").is_some() && default.is_object() {
            keys(text, &path, inner, default, definitions)?;
            continue;
        }
        let meaning = property.get("description").or_else(|| inner.get("description"));
        let meaning = meaning.and_then(Value::as_str).unwrap_or_default();
        let meaning = meaning.replace('\n', " ").replace('|', "\\|");
        let default = if default.is_null() { "unset".to_owned() } else { default.to_string() };
        writeln!(text, "| `{path}` | `{default}` | {meaning} |")?;
    }
    Ok(())
}

fn resolve<'a>(property: &'a Value, definitions: &'a Value) -> &'a Value {
    let reference = property.get("$ref").and_then(Value::as_str);
    let name = reference.and_then(|r| r.strip_prefix("#/$defs/"));
    name.and_then(|n| definitions.get(n)).unwrap_or(property)
}
