//! Names that stand for another field in every rule.

use magsentinel_bus_schema::Class;
use rsigma_parser::{CorrelationCondition, CorrelationRule, FieldAlias};
use serde_json::{Map, Value};

/// The parser drops what is no mapping of names to names: not here.
pub(super) fn check(title: &str, correlation: &Map<String, Value>, wrong: &mut Vec<String>) {
    let Some(aliases) = correlation.get("aliases") else { return };
    let good = aliases.as_object().is_some_and(|aliases| {
        let named =
            |alias: &Value| alias.as_object().is_some_and(|of| of.values().all(Value::is_string));
        !aliases.is_empty() && aliases.values().all(named)
    });
    if !good {
        wrong.push(format!("{title:?}: correlation.aliases must map names to fields by rule"));
    }
}

/// The field that each rule gives a name, in the order of the rules; one for all where it is no
/// alias.
pub(super) fn fields<'c>(
    correlation: &'c CorrelationRule,
    name: &'c str,
) -> Result<Vec<&'c str>, String> {
    let Some(alias) = correlation.aliases.iter().find(|alias| alias.alias == name) else {
        return Ok(vec![name]);
    };
    let of = |rule: &'c String| {
        let field = alias.mapping.get(rule).map(String::as_str);
        field.ok_or_else(|| format!("alias {name:?} gives the rule {rule:?} no field"))
    };
    correlation.rules.iter().map(of).collect()
}

/// The classes that give the key, and by rule where an alias names different ones.
pub(super) fn keys(
    correlation: &CorrelationRule,
    otherwise: &[String],
) -> Result<(Vec<Class>, Vec<Class>), String> {
    sound(correlation)?;
    let [first] = correlation.group_by.as_slice() else {
        return Err("group-by must name exactly one class of entity".to_owned());
    };
    let by_rule = fields(correlation, first)?;
    let by_rule = by_rule.into_iter().map(class).collect::<Result<Vec<_>, _>>()?;
    let mut each: Vec<Class> = Vec::new();
    for class in &by_rule {
        if !each.contains(class) {
            each.push(*class);
        }
    }
    if each.len() > 1 {
        if !otherwise.is_empty() {
            let what = "otherwise cannot be combined with an alias of different classes";
            return Err(what.to_owned());
        }
        return Ok((each, by_rule));
    }
    for name in otherwise {
        let class = class(name)?;
        if each.contains(&class) {
            return Err(format!("group-by and otherwise name {name:?} twice"));
        }
        each.push(class);
    }
    Ok((each, Vec::new()))
}

fn class(name: &str) -> Result<Class, String> {
    let known: Vec<_> = Class::ALL.iter().map(|c| c.token()).collect();
    Class::from_token(name)
        .ok_or_else(|| format!("group-by {name:?} is no class of entity ({known:?})"))
}

/// Every alias is used, is no field itself, and speaks of rules that there are.
fn sound(correlation: &CorrelationRule) -> Result<(), String> {
    let counted = match &correlation.condition {
        CorrelationCondition::Threshold { field, .. } => field.as_deref().unwrap_or_default(),
        CorrelationCondition::Extended(_) => &[],
    };
    let used = |alias: &FieldAlias| {
        correlation.group_by.iter().chain(counted).any(|name| *name == alias.alias)
    };
    for alias in &correlation.aliases {
        let name = &alias.alias;
        if super::condition::is_field(name) {
            return Err(format!("alias {name:?} is the name of a field: choose another"));
        }
        if !used(alias) {
            return Err(format!("alias {name:?} is used by neither group-by nor condition.field"));
        }
        if let Some(rule) = alias.mapping.keys().filter(|r| !correlation.rules.contains(r)).min() {
            return Err(format!(
                "alias {name:?} speaks of the rule {rule:?}, which is none of its"
            ));
        }
    }
    Ok(())
}
