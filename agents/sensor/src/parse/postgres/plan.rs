//! auto_explain's plan: how many rows a statement really returned.

use crate::parse::{
    Reject,
    statement::{Read, reads},
};
use serde::Deserialize;
use serde_json::Value;

/// What a plan says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) text: String,
    /// What the statement reads; none when it writes only.
    pub(super) read: Option<Read>,
    /// Rows that it returned or copied; absent without `auto_explain.log_analyze`.
    pub(super) rows: Option<u64>,
}

#[derive(Deserialize)]
struct Explained {
    #[serde(rename = "Query Text")]
    text: String,
    #[serde(rename = "Plan")]
    root: Value,
}

/// Deepest nesting that is searched for a table.
const DEPTH_MAX: usize = 64;

pub(super) fn read(json: &str) -> Result<Plan, Reject> {
    let Explained { text, root } = serde_json::from_str(json)
        .map_err(|e| Reject::new(format!("plan of auto_explain is no JSON plan: {e}")))?;
    let writes = node_type(&root) == "ModifyTable";
    let inserts = root.get("Operation").and_then(Value::as_str) == Some("Insert");
    // A ModifyTable returns nothing; what it inserted is what its input returned.
    let counted = if writes { child(&root) } else { Some(&root) };
    let rows = counted.and_then(|node| node.get("Actual Rows")).and_then(whole);
    let read = match first_relation(&root, writes, 0) {
        _ if writes && !inserts => None,
        Some(relation) => Some(choose(reads(&text), relation, inserts)),
        None => None,
    };
    Ok(Plan { text, read, rows })
}

/// A text may hold several statements, each with a plan of its own: the plan's table decides.
fn choose(found: Vec<Read>, relation: String, inserts: bool) -> Read {
    let table = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let single = found.len() == 1;
    let same = |r: &Read| single || table(&r.resource) == table(&relation);
    found.into_iter().find(same).unwrap_or(Read {
        action: if inserts { "insert_select" } else { "select" },
        resource: relation,
        destination: None,
    })
}

fn node_type(node: &Value) -> &str {
    node.get("Node Type").and_then(Value::as_str).unwrap_or_default()
}

fn child(node: &Value) -> Option<&Value> {
    node.get("Plans")?.as_array()?.first()
}

/// Version 18 writes averages (`2.00`), earlier ones whole numbers.
fn whole(value: &Value) -> Option<u64> {
    if let Some(n) = value.as_u64() {
        return Some(n);
    }
    let n = value.as_f64().filter(|n| n.is_finite() && *n >= 0.0)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    Some(n.round() as u64)
}

/// The first table that the plan scans, in the plan's order.
fn first_relation(node: &Value, skip_own: bool, depth: usize) -> Option<String> {
    if depth > DEPTH_MAX {
        return None;
    }
    let text = |field: &str| node.get(field).and_then(Value::as_str);
    if !skip_own && let Some(relation) = text("Relation Name") {
        return Some(match text("Schema") {
            Some(schema) => format!("{schema}.{relation}"),
            None => relation.to_owned(),
        });
    }
    let children = node.get("Plans")?.as_array()?;
    children.iter().find_map(|child| first_relation(child, false, depth + 1))
}
