//! Escalated assessments of one level in, analyses out.

use super::{Commander, locked};
use magsentinel_bus_schema::{Assessment, Limits, Status};
use magsentinel_runtime::stage::{Batch, Failed, Output, Stage};
use serde_json::json;

/// The stage. There is one for each level, so that what is grave waits for nothing that is not.
pub(crate) struct Analyst {
    commander: Commander,
    written: u64,
}

impl Analyst {
    pub(crate) fn new(commander: Commander) -> Self {
        Self { commander, written: 0 }
    }

    /// Of each incident of the batch the newest revision that is worth an analysis.
    fn due(&self, batch: &Batch<'_>, out: &mut Output) -> Vec<(usize, Assessment)> {
        let mut due: Vec<(usize, Assessment)> = Vec::new();
        let mut shared = locked(&self.commander.shared);
        let figures = &mut shared.figures;
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            let a: Assessment = match delivery.decode(Limits::default()) {
                Ok(assessment) => assessment,
                Err(e) => {
                    out.fail(index, Failed::Poison(format!("no assessment: {e}")));
                    continue;
                }
            };
            if !a.escalate || a.status == Status::Closed {
                figures.not_escalated += 1;
                continue;
            }
            let same = |(_, known): &&mut (usize, Assessment)| {
                known.incident == a.incident && known.tenant == a.tenant
            };
            match due.iter_mut().find(same) {
                Some(known) => {
                    figures.superseded += 1;
                    if a.revision >= known.1.revision {
                        *known = (index, a);
                    }
                }
                None => due.push((index, a)),
            }
        }
        due
    }
}

impl Stage for Analyst {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        for (index, a) in self.due(batch, out) {
            let Some(delivery) = batch.deliveries.get(index) else { continue };
            if !self.commander.is_due(&a, delivery.attempt) {
                locked(&self.commander.shared).figures.superseded += 1;
                continue;
            }
            match self.commander.analyse(&a, delivery, batch.now) {
                Ok(all) => {
                    self.written += 1;
                    all.into_iter().for_each(|message| out.publish_for(index, message));
                }
                Err(reason) => out.fail(index, Failed::Poison(reason)),
            }
        }
    }

    fn report(&self) -> serde_json::Value {
        json!({ "analyses": self.written })
    }
}
