//! Whether what is known is what is stored.

use super::Keeper;
use magsentinel_bus_schema::Timestamp;
use magsentinel_runtime::table::Table;
use std::time::{Duration, Instant};

/// How long after it was recorded an effect has surely been told, or its action is delivered again.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// How often what is stored is read again, at most, while another process writes it.
const RELOAD_EVERY: Duration = Duration::from_secs(2);

/// A question about the store, asked while decisions go on.
pub struct Asking {
    table: Table,
    known: u64,
}

impl Asking {
    /// The answer.
    pub async fn ask(self) -> Stored {
        let newest = self.table.newest().await.map_err(|e| e.to_string());
        Stored { known: self.known, newest }
    }
}

/// What was stored a moment ago.
pub struct Stored {
    /// The newest write that was known when it was asked for.
    known: u64,
    /// The newest write.
    newest: Result<u64, String>,
}

impl Keeper {
    /// What [`Self::tend`] needs to know of the store.
    #[must_use]
    pub fn asking(&self) -> Asking {
        Asking { table: self.table.clone(), known: self.newest }
    }

    /// Whether what is known is what was stored when it was asked for: somebody else may have
    /// written it. Nothing is undone on the word of what is not.
    pub(super) async fn is_fresh(
        &mut self,
        stored: Stored,
        now: Timestamp,
    ) -> Result<bool, String> {
        // We may have written since then; nobody else has, up to what we know.
        let known = stored.known..=self.newest;
        if self.loaded && known.contains(&stored.newest?) {
            return Ok(true);
        }
        if self.reloaded.is_some_and(|at| at.elapsed() < RELOAD_EVERY) {
            return Ok(false);
        }
        self.loaded = false;
        self.load(now).await?;
        Ok(true)
    }

    /// Reads all that is stored.
    pub(super) async fn load(&mut self, now: Timestamp) -> Result<(), String> {
        // Asked first: what is written while we read is seen to be newer.
        let newest = self.table.newest().await.map_err(|e| e.to_string())?;
        let records = self.table.all().await.map_err(|e| e.to_string())?;
        let read = records.iter().filter_map(|r| Some((r.key.as_str(), r.bytes.as_deref()?)));
        self.desk.load(read)?;
        self.revisions = records.into_iter().map(|r| (r.key, r.revision)).collect();
        (self.newest, self.reloaded) = (newest, Some(Instant::now()));
        (self.loaded, self.amiss) = (true, true);
        self.counts.reloads += 1;
        // Whoever recorded these may have died before it could tell. What was told has the same id.
        let lately = now.minus(self.config.ack_wait.get().max(TOLD_WITHIN));
        self.untold.extend(self.desk.lately(lately, now));
        Ok(())
    }
}
