//! What is decided, done and said about incidents, remembered: for incidents like them, and for the
//! next analysis of the same. It publishes nothing, and so never waits for a model.

use super::{Commander, locked};
use crate::knowledge::audit::Noted;
use magsentinel_bus_schema::{
    Action, Analysis, Assessment, Closure, Limits, Message, Outcome, Subject,
};
use magsentinel_runtime::stage::{Batch, Delivery, Failed, Output, Stage};

/// The stage.
pub(crate) struct Notary {
    commander: Commander,
}

/// What a batch tells, in its order.
#[derive(Default)]
struct Told {
    incidents: Vec<Assessment>,
    closures: Vec<Closure>,
    noted: Vec<Noted>,
}

impl Notary {
    pub(crate) fn new(commander: Commander) -> Self {
        Self { commander }
    }
}

impl Told {
    /// Takes a message in. What cannot be read others keep as a dead letter, but for closures.
    fn take(&mut self, subject: &Subject, delivery: &Delivery) -> Result<(), String> {
        match subject {
            Subject::Assessment(_) => {
                if let Some(a) = read::<Assessment>(delivery) {
                    self.noted.push(Noted::decided(&a));
                    self.incidents.push(a);
                }
            }
            Subject::Closure(_) => {
                let closure: Closure =
                    delivery.decode(Limits::default()).map_err(|e| format!("no closure: {e}"))?;
                self.noted.push(Noted::judged(&closure));
                self.closures.push(closure);
            }
            Subject::Analysis(_) => {
                let analysis = read::<Analysis>(delivery);
                self.noted.extend(analysis.map(|a| Noted::analysed(&a, delivery.stored)));
            }
            Subject::Action(_) => {
                self.noted.extend(read::<Action>(delivery).map(|a| Noted::asked(&a)));
            }
            Subject::Outcome(_) => {
                self.noted.extend(read::<Outcome>(delivery).map(|o| Noted::became(&o)));
            }
            _ => {}
        }
        Ok(())
    }
}

fn read<T: Message>(delivery: &Delivery) -> Option<T> {
    delivery.decode(Limits::default()).ok()
}

impl Stage for Notary {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let mut told = Told::default();
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            let Ok((_, subject)) = Subject::parse(&delivery.subject) else { continue };
            if let Err(why) = told.take(&subject, delivery) {
                out.fail(index, Failed::Poison(why));
            }
        }
        let mut shared = locked(&self.commander.shared);
        let library = shared.library(&self.commander.config);
        library.learn(told.incidents.iter(), told.closures.iter());
        library.note(told.noted.iter());
    }

    fn report(&self) -> serde_json::Value {
        self.commander.report()
    }
}
