//! One line per alert, ending in the next command to type; one per analysis and outcome.

use super::{
    children::Children,
    next::{Next, short},
};
use crate::{
    args::Global,
    output::{Format, note, staged},
};
use anyhow::Result;
use futures::{Stream, StreamExt};
use magsentinel_bus_schema::{
    Alert, Analysis, Effect, Id, Level, Limits, Outcome, OutcomeStatus, Response, Status, Subject,
    decision::Author, subject,
};
use magsentinel_runtime::{bus::Bus, stage::Delivery};
use std::{collections::BTreeMap, future::Future, path::Path, pin::Pin, time::Duration};
use tokio::sync::watch;

/// Follows decisions and prints them.
pub struct Follow {
    decisions: Pin<Box<dyn Stream<Item = Delivery> + Send>>,
    limits: Limits,
    format: Format,
    next: Next,
    /// Incident → what it still waits for.
    open: BTreeMap<Id, Open>,
}

#[derive(Default)]
struct Open {
    shown: Option<Level>,
    /// Level and author of the analysis that was shown last.
    analysed: Option<(Level, Author)>,
    escalated: bool,
    outcome: bool,
    blocked: bool,
}

impl Open {
    fn is_done(&self) -> bool {
        (!self.escalated || self.analysed.is_some()) && (!self.blocked || self.outcome)
    }
}

impl Follow {
    /// Begins to follow from now on.
    pub async fn start(bus: &Bus, global: &Global, data: &Path) -> Result<Self> {
        let stages = ["alert", "analysis", "outcome"];
        let filters = stages.iter().map(|stage| subject::all_of(bus.tenant(), stage)).collect();
        let stream = magsentinel_bus_schema::Stream::Decisions;
        Ok(Self {
            decisions: Box::pin(bus.follow(stream, filters).await?),
            limits: bus.limits(),
            format: global.output,
            next: Next::of(data, global),
            open: BTreeMap::new(),
        })
    }

    fn show(&mut self, delivery: &Delivery) {
        let Ok((_, subject)) = Subject::parse(&delivery.subject) else { return };
        match subject {
            Subject::Alert(..) => {
                if let Ok(alert) = delivery.decode::<Alert>(self.limits) {
                    self.alert(&alert);
                }
            }
            Subject::Analysis(_) => {
                if let Ok(analysis) = delivery.decode::<Analysis>(self.limits) {
                    self.analysis(&analysis);
                }
            }
            Subject::Outcome(verb) => {
                if let Ok(outcome) = delivery.decode::<Outcome>(self.limits)
                    && is_news(&outcome)
                {
                    self.open.entry(outcome.incident).or_default().outcome = true;
                    let (status, detail) = (word(outcome.status), cut(&outcome.detail, 120));
                    let text = format!("{} {verb} {status}: {detail}", short(outcome.incident));
                    self.line("outcome", &outcome, "outcome", &text);
                }
            }
            _ => {}
        }
    }

    /// Opened alerts and those that rise; an update of the same level is not news.
    fn alert(&mut self, alert: &Alert) {
        let open = self.open.entry(alert.id).or_default();
        open.escalated |= alert.escalate;
        open.blocked |= alert.response == Response::Block && !alert.replayed;
        let news = open.shown.is_none_or(|shown| alert.level > shown);
        if news && alert.status != Status::Closed {
            open.shown = Some(alert.level);
            let events = if alert.count == 1 { "event" } else { "events" };
            let (title, next) = (cut(&alert.title, 140), self.next.show(alert.id));
            let text = format!("{title} ({} {events}) → {next}", alert.count);
            self.line("alert", alert, alert.level.token(), &text);
        }
    }

    /// The first of an incident, and one of a higher level or by another author: a growing
    /// incident is analysed again and again, to the same effect.
    fn analysis(&mut self, analysis: &Analysis) {
        let open = self.open.entry(analysis.incident).or_default();
        let shown = open.analysed;
        let is_same = |(level, author)| analysis.level <= level && analysis.author == author;
        if shown.is_some_and(is_same) {
            return;
        }
        open.analysed = Some((analysis.level, analysis.author));
        let author = format!("{:?}", analysis.author).to_lowercase();
        let (of, said) = (short(analysis.incident), cut(&analysis.executive, 120));
        self.line("analysis", analysis, "analysis", &format!("{of} by the {author}: {said}"));
    }

    fn line<T: serde::Serialize>(&self, stage: &str, message: &T, what: &str, text: &str) {
        self.format
            .print(&staged(stage, message), || format!("{:<9} {text}\n", what.to_uppercase()));
    }

    fn is_done(&self) -> bool {
        !self.open.is_empty() && self.open.values().all(Open::is_done)
    }
}

/// A status as people read it.
/// That the evidence of an incident is kept goes without saying.
fn is_news(outcome: &Outcome) -> bool {
    !matches!(outcome.effect, Effect::PreserveEvidence {})
        || outcome.status == OutcomeStatus::Failed
}

fn word(status: OutcomeStatus) -> String {
    let token = serde_json::to_value(status).unwrap_or_default();
    token.as_str().unwrap_or_default().replace('_', " ")
}

/// Text of ours with untrusted parts: no control characters, bounded.
fn cut(text: &str, chars: usize) -> String {
    magsentinel_logbook::escape::line(text, chars)
}

/// Prints until asked to end; with `once`, until the recording is played and every incident has
/// what it waits for.
pub async fn until_done(
    mut follow: Follow,
    played: impl Future<Output = Result<()>>,
    once: bool,
    children: &mut Children,
    stopping: &mut watch::Receiver<bool>,
) -> Result<()> {
    let mut played = std::pin::pin!(played);
    let mut is_played = false;
    let mut check = tokio::time::interval(Duration::from_secs(1));
    // After the last event: how long alerts may still come.
    let mut quiet = 0;
    loop {
        tokio::select! {
            result = &mut played, if !is_played => {
                result?;
                is_played = true;
            }
            Some(delivery) = follow.decisions.next() => {
                follow.show(&delivery);
                quiet = 0;
            }
            _ = check.tick() => {
                children.restart()?.iter().for_each(|told| note(told));
                quiet += u32::from(is_played);
                if once && is_played && quiet > 3 && (follow.is_done() || quiet > 30) {
                    return Ok(());
                }
            }
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
        }
    }
}
