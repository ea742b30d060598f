//! From what a correlation counts, and its predicates, to a condition.

use super::alias;
use crate::chain::{Condition, Counted, MILLIONTHS, Measure, NumberField, Range, ValueField};
use magsentinel_bus_schema::Class;
use rsigma_parser::{ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType};
use std::ops::Bound;

/// What a condition may hold.
pub(super) const KEYS: &[&str] = &["gt", "gte", "lt", "lte", "eq", "neq", "field", "percentile"];

/// The condition, and by rule the field that counts where an alias names different ones.
pub(super) fn of(correlation: &CorrelationRule) -> Result<(Condition, Vec<Counted>), String> {
    let kind = correlation.correlation_type;
    let CorrelationCondition::Threshold { predicates, field, percentile } = &correlation.condition
    else {
        return Err("a condition that combines rules is not supported".to_owned());
    };
    let fields = field.as_deref().unwrap_or_default();
    if percentile.is_some() && kind != CorrelationType::ValuePercentile {
        return Err(format!("a {} correlation takes no percentile", kind.as_str()));
    }
    if matches!(kind, CorrelationType::Temporal | CorrelationType::TemporalOrdered) {
        return Ok((temporal(correlation, predicates, fields)?, Vec::new()));
    }
    let field = match fields {
        [] => None,
        [field] => Some(field.as_str()),
        _ => return Err("condition.field must be one field".to_owned()),
    };
    let by_rule = match field {
        Some(name) => alias::fields(correlation, name)?,
        None => Vec::new(),
    };
    let different = by_rule.iter().any(|name| by_rule.first() != Some(name));
    let mut counted = Vec::new();
    if different {
        for name in &by_rule {
            counted.push(match kind {
                CorrelationType::ValueCount => Counted::Value(value_field(name)?),
                _ => Counted::Number(number_field(name)?),
            });
        }
    }
    let scale = |of: &Counted| match of {
        Counted::Number(field) => Some(field.most()),
        Counted::Value(_) => None,
    };
    if counted.iter().any(|of| scale(of) != counted.first().and_then(scale)) {
        return Err("condition.field is an alias of numbers of different scale".to_owned());
    }
    let measure = measure(kind, by_rule.first().copied(), *percentile)?;
    let range = range(predicates)?;
    possible(measure, range)?;
    let condition = monotone(measure, range)?.unwrap_or(Condition::Judged { measure, range });
    Ok((condition, counted))
}

/// Without a condition, or with one that asks for all rules.
fn temporal(
    correlation: &CorrelationRule,
    predicates: &[(ConditionOperator, u64)],
    fields: &[String],
) -> Result<Condition, String> {
    let kind = correlation.correlation_type;
    let rules = correlation.rules.len() as u64;
    // The parser makes `gte: 1` of a missing condition.
    let all = matches!(predicates, [(ConditionOperator::Gte, n)] if *n == 1 || *n == rules);
    if !all || !fields.is_empty() {
        return Err(format!(
            "a {} correlation takes no condition but gte with the number of its rules",
            kind.as_str()
        ));
    }
    Ok(match kind {
        CorrelationType::Temporal => Condition::Together,
        _ => Condition::Ordered,
    })
}

fn measure(
    kind: CorrelationType,
    field: Option<&str>,
    percentile: Option<u64>,
) -> Result<Measure, String> {
    let name = kind.as_str();
    let field = match (kind, field) {
        (CorrelationType::EventCount, None) => return Ok(Measure::Count),
        (CorrelationType::EventCount, Some(_)) => {
            return Err("event_count takes no condition.field".to_owned());
        }
        (_, Some(field)) => field,
        (_, None) => return Err(format!("{name} needs condition.field")),
    };
    Ok(match kind {
        CorrelationType::ValueCount => Measure::Distinct(value_field(field)?),
        CorrelationType::ValueSum => Measure::Sum(number_field(field)?),
        CorrelationType::ValueAvg => Measure::Average(number_field(field)?),
        CorrelationType::ValueMedian => Measure::Percentile(number_field(field)?, 50),
        CorrelationType::ValuePercentile => {
            let of = percentile.ok_or("value_percentile needs condition.percentile, 0 to 100")?;
            let of = u8::try_from(of).ok().filter(|of| *of <= 100);
            let of = of.ok_or("condition.percentile must be between 0 and 100")?;
            Measure::Percentile(number_field(field)?, of)
        }
        _ => return Err(format!("type {name} is not supported")),
    })
}

fn range(predicates: &[(ConditionOperator, u64)]) -> Result<Range, String> {
    let mut range = Range::ALL;
    for (operator, n) in predicates {
        let (bound, to) = match operator {
            ConditionOperator::Gte => (&mut range.least, Bound::Included(*n)),
            ConditionOperator::Gt => (&mut range.least, Bound::Excluded(*n)),
            ConditionOperator::Lte => (&mut range.most, Bound::Included(*n)),
            ConditionOperator::Lt => (&mut range.most, Bound::Excluded(*n)),
            ConditionOperator::Neq => {
                range.except = Some(*n);
                continue;
            }
            ConditionOperator::Eq if predicates.len() == 1 => {
                let exactly = Bound::Included(*n);
                return Ok(Range { least: exactly, most: exactly, except: None });
            }
            ConditionOperator::Eq => return Err("eq stands alone in a condition".to_owned()),
        };
        if std::mem::replace(bound, to) != Bound::Unbounded {
            return Err("condition has two bounds on one side: keep one of them".to_owned());
        }
    }
    Ok(range)
}

/// What a measure can be: whole numbers or any, from and up to.
fn values(measure: Measure) -> (bool, u64, Option<u64>) {
    match measure {
        Measure::Count | Measure::Distinct(_) => (true, 1, None),
        Measure::Sum(_) => (false, 0, None),
        Measure::Average(field) | Measure::Percentile(field, _) => {
            (false, 0, Some(field.most() / MILLIONTHS))
        }
    }
}

/// A range that no value lies in, or every value, is a mistake.
fn possible(measure: Measure, range: Range) -> Result<(), String> {
    let (whole, from, to) = values(measure);
    let (least, strictly_more) = match range.least {
        Bound::Included(n) => (n, false),
        Bound::Excluded(n) if whole => (n.saturating_add(1), false),
        Bound::Excluded(n) => (n, true),
        Bound::Unbounded => (0, false),
    };
    let (most, strictly_less) = match range.most {
        Bound::Included(n) => (n, false),
        Bound::Excluded(n) if whole && n > 0 => (n - 1, false),
        Bound::Excluded(n) => (n, true),
        Bound::Unbounded => (u64::MAX, false),
    };
    let (strictly_more, least) = (strictly_more && least >= from, least.max(from));
    let (strictly_less, most) = match to {
        Some(to) if to < most => (false, to),
        _ => (strictly_less, most),
    };
    let one = least == most;
    let excluded = strictly_more || strictly_less || range.except == Some(least);
    if least > most || (one && excluded) {
        let hint = if whole {
            ": a window is looked at where it holds an event, because without one there is no key"
        } else {
            ""
        };
        return Err(format!("condition is never true of the {measure}{hint}"));
    }
    let all = least == from && !strictly_more && most == to.unwrap_or(u64::MAX) && !strictly_less;
    let spared = range.except.is_none_or(|n| n < from || to.is_some_and(|to| n > to));
    // A chain that wants one event, whichever it is, says so by `gte: 1`.
    let meant = whole && [Bound::Included(1), Bound::Excluded(0)].contains(&range.least);
    if all && spared && !meant {
        return Err(format!("condition is always true of the {measure}: count to at least 1"));
    }
    Ok(())
}

/// The condition that only ever becomes true as events come, where it is one.
fn monotone(measure: Measure, range: Range) -> Result<Option<Condition>, String> {
    if range.most != Bound::Unbounded || range.except.is_some() {
        return Ok(None);
    }
    let (least, more) = match range.least {
        Bound::Included(n) => (n, 0),
        Bound::Excluded(n) => (n, 1),
        Bound::Unbounded => return Ok(None),
    };
    let too_large = "condition is never true: no window holds that much";
    let counted = || least.checked_add(more).ok_or(too_large);
    Ok(match measure {
        Measure::Count => Some(Condition::Count { at_least: counted()? }),
        Measure::Distinct(field) => Some(Condition::Distinct { field, at_least: counted()? }),
        Measure::Sum(field) => {
            // More than a whole number is any part of it more, not one more.
            let least = least.checked_mul(MILLIONTHS).and_then(|n| n.checked_add(more));
            Some(Condition::Sum { field, at_least: least.ok_or(too_large)? })
        }
        Measure::Average(_) | Measure::Percentile(..) => None,
    })
}

/// Whether a name is that of a field that something can be counted by.
pub(super) fn is_field(name: &str) -> bool {
    value_field(name).is_ok() || number_field(name).is_ok()
}

fn value_field(name: &str) -> Result<ValueField, String> {
    Ok(match name {
        "patrol" => ValueField::Patrol,
        "category" => ValueField::Category,
        "kind" => ValueField::Kind,
        _ => ValueField::Entity(Class::from_token(name).ok_or_else(|| {
            format!("condition.field {name:?} is none of patrol, category, kind and entity classes")
        })?),
    })
}

fn number_field(name: &str) -> Result<NumberField, String> {
    NumberField::from_name(name).ok_or_else(|| {
        let known: Vec<_> = NumberField::ALL.iter().map(|field| field.name()).collect();
        format!("condition.field {name:?} is none of {}", known.join(", "))
    })
}
