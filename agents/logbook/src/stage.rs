//! The stage: keeps what is delivered, and publishes nothing.

use crate::{Appended, Config, Error, Writer, chain, record::Record};
use magsentinel_bus_schema::Limits;
use magsentinel_runtime::stage::{Batch, Failed, Output, Stage};

/// Keeps decisions and dead letters.
pub struct Keeper {
    writer: Writer,
    limits: Limits,
    totals: Appended,
    poison: u64,
    transient: u64,
}

impl Keeper {
    /// Opens the configured file.
    ///
    /// # Errors
    /// Every [`Error`] of a file that cannot be opened or made.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let mut writer = Writer::open(config)?;
        let totals = writer.append(&[])?;
        let limits = Limits::default();
        Ok(Self { writer, limits, totals, poison: 0, transient: 0 })
    }

    fn add(&mut self, appended: &Appended) {
        self.totals = Appended {
            kept: self.totals.kept + appended.kept,
            repeated: self.totals.repeated + appended.repeated,
            differing: self.totals.differing + appended.differing,
            seq: appended.seq,
            head: appended.head,
        };
        if appended.differing > 0 {
            tracing::warn!(
                messages = appended.differing,
                "messages with a kept id but other bytes were not kept"
            );
        }
    }
}

impl Stage for Keeper {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let (mut indexes, mut records) = (Vec::new(), Vec::new());
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            match Record::of(delivery, self.limits) {
                Ok(record) => {
                    indexes.push(index);
                    records.push(record);
                }
                Err(why) => {
                    self.poison += 1;
                    out.fail(index, Failed::Poison(why));
                }
            }
        }
        match self.writer.append(&records) {
            Ok(appended) => self.add(&appended),
            Err(error) => {
                let why = error.in_full();
                self.transient += indexes.len() as u64;
                tracing::warn!(error = %why, messages = indexes.len(), "messages wait to be kept");
                for index in indexes {
                    out.fail(index, Failed::Transient(why.clone()));
                }
            }
        }
    }

    fn report(&self) -> serde_json::Value {
        let Appended { kept, repeated, differing, seq, head } = self.totals;
        serde_json::json!({
            "kept": kept,
            "repeated": repeated,
            "differing": differing,
            "poison": self.poison,
            "transient": self.transient,
            "records": seq,
            "head": chain::hex(&head),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
