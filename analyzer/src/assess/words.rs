//! The sentences of an assessment. Names of entities are strangers' text: they are quoted, cut,
//! and kept to one line.

use crate::{
    Config,
    chain::{Chain, Condition, Confidence, MILLIONTHS, Rule, Severity},
    window::{Incident, Step, Turn},
};
use magsentinel_bus_schema::{Assessment, Rated, Response, Suppressed};
use std::collections::BTreeSet;

/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 160;
/// Most characters of a name within a sentence.
const NAME_CHARS_MAX: usize = 80;

/// A text on one line, cut.
pub(super) fn line(text: &str, chars_max: usize) -> String {
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(one_line).take(chars_max).collect()
}

pub(super) fn title(chain: &Chain, of: &Assessment) -> String {
    let name = line(&of.key, NAME_CHARS_MAX);
    line(&format!("{}: {} {name:?}", chain.title, of.class), TITLE_CHARS_MAX)
}

/// Why the assessment is as it is, one sentence each.
pub(super) fn reasoning(
    config: &Config,
    chain: &Chain,
    incident: &Incident,
    of: &Assessment,
    turn: Turn,
) -> Vec<String> {
    let mut said = vec![matched(chain, of)];
    let steps = chain.rules.iter().zip(&incident.tally.steps);
    said.extend(steps.filter_map(|(rule, step)| sentence(rule, step)));
    said.extend(of.rated.as_ref().map(rating));
    said.push(judged(chain, of));
    said.extend(of.suppressed.iter().map(suppression));
    said.push(decided(config, of));
    let uncited = of.count.saturating_sub(of.evidence.len() as u64);
    if uncited > 0 {
        said.push(format!("{uncited} further events are counted, not cited."));
    }
    if incident.tally.entities_cut {
        let most = config.affected_max;
        said.push(format!("More than {most} entities of one class: not all are named."));
    }
    said.extend(past(incident, of));
    if turn == Turn::GivenUp {
        said.push(
            "Closed early: more keys than analyzer.keys_max are active, and this one was quiet \
             the longest."
                .to_owned(),
        );
    }
    said
}

/// That it comes from the past, where it does.
fn past(incident: &Incident, of: &Assessment) -> Option<String> {
    if !of.backfilled {
        return of.replayed.then(|| "The events were played back.".to_owned());
    }
    let cited = incident.tally.cited();
    let late: Vec<_> = cited.iter().filter(|(_, member)| member.backfilled).collect();
    let patrols: BTreeSet<&str> = late.iter().map(|(_, member)| member.patrol.as_str()).collect();
    let patrols: Vec<&str> = patrols.into_iter().collect();
    Some(format!(
        "From back-fill: {} of {} cited events were missed when they came and scored later, \
         because {} was blind.",
        late.len(),
        cited.len(),
        patrols.join(" and ")
    ))
}

fn matched(chain: &Chain, of: &Assessment) -> String {
    let window = magsentinel_runtime::settings::Span::s(chain.window.as_secs());
    let how = match &chain.condition {
        Condition::Ordered => format!("its {} steps in order", chain.all_steps().len()),
        Condition::Together => format!("all of its {} rules", chain.all_steps().len()),
        Condition::Count { at_least } => format!("at least {at_least}"),
        Condition::Distinct { at_least, .. } => format!("at least {at_least} different ones"),
        Condition::Sum { at_least, .. } => {
            format!("a sum of at least {}", *at_least as f64 / MILLIONTHS as f64)
        }
        Condition::Judged { measure, range } => format!("{measure} {range}"),
    };
    let name = line(&of.key, NAME_CHARS_MAX);
    format!(
        "{}: {} events of {} {name:?} from {} to {} satisfy chain {} ({how} within {window}).",
        chain.title, of.count, of.class, of.first, of.last, chain.name
    )
}

fn sentence(rule: &Rule, step: &Step) -> Option<String> {
    let (level, confidence) = step.strongest()?;
    let example = step.example()?;
    Some(format!(
        "{}: {} times, at most {level} with confidence {confidence:.2} ({}, {}).",
        rule.title, step.count, example.patrol, example.category
    ))
}

fn suppression(of: &Suppressed) -> String {
    let (reason, by) = (line(&of.reason, TITLE_CHARS_MAX), line(&of.by, NAME_CHARS_MAX));
    format!("Suppressed by {} ({}, until {}, set by {by}): {reason}.", of.id, of.effect, of.until)
}

fn rating(of: &Rated) -> String {
    format!(
        "Severity model {}: an attack with probability {:.3}, by its busiest ten minutes ({}).",
        of.model, of.rating, of.shape
    )
}

fn judged(chain: &Chain, of: &Assessment) -> String {
    let level = match (chain.severity, &of.rated) {
        (Severity::Fixed(_), _) => "as the chain has it",
        (Severity::Model, Some(_)) => "as the model's rating has it",
        (Severity::Strongest | Severity::Model, _) => "that of the strongest event",
    };
    let own = match chain.confidence {
        Confidence::StrongestMember => "that of the surest event",
        Confidence::IndependentSteps => "one minus the product of the doubts of its steps",
    };
    let confidence = match (chain.severity, &of.rated) {
        (_, None) => own.to_owned(),
        (Severity::Model, Some(_)) => "the model's rating".to_owned(),
        (_, Some(_)) => format!("{own}, pooled with the model's rating"),
    };
    format!("Level {}, {level}; confidence {:.3}, {confidence}.", of.level, of.confidence)
}

fn decided(config: &Config, of: &Assessment) -> String {
    let what = of.response;
    let why = match (of.response, config.decision.threshold(of.level)) {
        _ if !of.suppressed.is_empty() => ", because it is suppressed".to_owned(),
        (Response::Block, Some(above)) => format!(", because the confidence is above {above}"),
        (_, Some(above)) => format!(", because the confidence is not above {above}"),
        (_, None) => format!(", because the level is {}", of.level),
    };
    let escalated = if of.escalate { "; the commander is to investigate" } else { "" };
    format!("Decision: {what}{why}{escalated}.")
}
