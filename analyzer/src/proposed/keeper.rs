//! The analyzer as the place where proposed chains are used: what compiles, what runs in shadow and
//! live, and what counts. When which step is taken says [`magsentinel_pattern::keeper`].

use super::{
    Entry, NAME, Overlay, Testing,
    good::Good,
    overlay::{Counts, Hit},
};
use crate::{Config, chain::Book, suppression::live::EFFECT_AFTER};
use magsentinel_bus_schema::{
    Assessment, Closure, Id, Limits, Pattern, Tenant, Timestamp, Token,
    decision::Evidence,
    pattern::{Origin, State, Tally},
    subject::all_of,
};
use magsentinel_pattern::{
    Config as Rules, Stored,
    keeper::{Counter, Known, PatternKeeper, Place, Test, domain},
    life::SAMPLES_MAX,
    seal,
};
use magsentinel_runtime::{
    keeper::{self, Keeper},
    service::Task,
    stage::Delivery,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// What proposed chains are measured by, and where those that are used lie.
#[derive(Clone)]
pub struct Ground {
    base: Arc<Book>,
    config: Arc<Config>,
    rules: Arc<Rules>,
    good: Arc<Good>,
    overlay: Arc<Overlay>,
}

impl Ground {
    /// Reads what is known to be good.
    ///
    /// # Errors
    /// When a recording cannot be read.
    pub fn new(base: Arc<Book>, config: &Config, rules: &Rules) -> Result<Self, String> {
        Ok(Self {
            base,
            config: Arc::new(config.clone()),
            rules: Arc::new(rules.clone()),
            good: Arc::new(Good::read(rules.known_good.as_deref())?),
            overlay: Arc::default(),
        })
    }

    /// Compiles a chain's documents into a book of its own.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn compile(&self, text: &str) -> Result<Arc<Book>, String> {
        let most = self.rules.rule_bytes_max;
        if text.len() > most {
            let is = text.len();
            return Err(format!("it has {is} bytes, more than patterns.rule_bytes_max ({most})"));
        }
        self.base.beside(&self.config, text).map(Arc::new)
    }

    /// The installed chains.
    #[must_use]
    pub fn base(&self) -> Arc<Book> {
        Arc::clone(&self.base)
    }

    /// What runs beside them.
    #[must_use]
    pub fn overlay(&self) -> Arc<Overlay> {
        Arc::clone(&self.overlay)
    }

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn good(&self) -> &Good {
        &self.good
    }

    /// A keeper that knows nothing yet.
    #[must_use]
    pub fn keeper(&self, tenant: &Tenant) -> PatternKeeper<Desk> {
        PatternKeeper::new(Desk::new(self.clone()), tenant.clone())
    }

    /// What follows the patterns: the first is done before anything is consumed, the second goes
    /// on.
    #[must_use]
    pub fn tasks(&self) -> (Task, Task) {
        let ground = self.clone();
        let make: keeper::Make =
            Arc::new(move |tenant| Box::new(ground.keeper(tenant)) as Box<dyn Keeper>);
        let domain = domain(NAME);
        (keeper::loading(domain.clone(), Arc::clone(&make)), keeper::task(domain, make))
    }

    /// How long a chain that is live no more is still known: as far back as a new owner of a shard
    /// reads, and until what it had open is closed.
    fn lingers(&self) -> Duration {
        crate::rebuild(&self.config, self.base.window_max()).get() + EFFECT_AFTER * 2
    }
}

/// From when to when a pattern is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    live: bool,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// The lives that matter now: of one in shadow its shadow; of one that is or was live its life.
fn lives(pattern: &Pattern, now: Timestamp, lingers: Duration) -> Option<Life> {
    let step = |state: State| pattern.steps.iter().find(|step| step.state == state);
    let after = |ts: Timestamp| ts.plus(EFFECT_AFTER);
    match pattern.state() {
        State::Shadow | State::Ready => {
            // It tells nobody: when it begins need not be the same everywhere.
            step(State::Shadow).map(|of| Life { live: false, from: of.ts, until: None })
        }
        State::Live => {
            step(State::Live).map(|of| Life { live: true, from: after(of.ts), until: None })
        }
        State::RolledBack => {
            let (from, until) = (step(State::Live)?.ts, step(State::RolledBack)?.ts);
            let life = Life { live: true, from: after(from), until: Some(after(until)) };
            (after(until).plus(lingers) > now).then_some(life)
        }
        State::Proposed | State::Refused | State::Rejected => None,
    }
}

/// What is known of the counts of one pattern that is used.
#[derive(Default)]
struct Account {
    /// What can be told.
    told: Tally,
    /// What waits to be explained.
    waits: Counts,
    since: Timestamp,
}

/// The place.
pub struct Desk {
    ground: Ground,
    name: Token,
    accounts: BTreeMap<Counter, Account>,
    gathered: Timestamp,
    /// Of events that hits cite, the chains that cite them.
    explained: HashMap<Id, BTreeSet<Token>>,
}

impl Desk {
    fn new(ground: Ground) -> Self {
        let (accounts, explained) = (BTreeMap::new(), HashMap::new());
        let (name, gathered) = (Token::sanitised(NAME), Timestamp::default());
        Self { ground, name, accounts, gathered, explained }
    }

    fn entry(
        &self,
        tenant: &Tenant,
        (name, pattern): (&String, &Pattern),
        life: Life,
        present: &[Arc<Entry>],
    ) -> Result<Arc<Entry>, String> {
        let of = (pattern.pattern, life.live);
        let known = |entry: &&Arc<Entry>| (entry.id, entry.live) == of && entry.from == life.from;
        let entry = match present.iter().find(known) {
            Some(entry) => Arc::clone(entry),
            None => {
                if life.live {
                    seal::check(tenant, pattern, &self.ground.rules.signers)?;
                }
                let book = self.ground.compile(&pattern.rule)?;
                let asks = pattern.origin != Origin::Operator;
                let what = (pattern.pattern, pattern.digest.clone());
                tracing::info!(pattern = name, live = life.live, "a proposed chain is used");
                Arc::new(Entry::new(what, (life.live, asks), book, life.from))
            }
        };
        if let Some(until) = life.until {
            entry.end(until);
        }
        Ok(entry)
    }

    /// What an account owes once its hits were looked at.
    fn settle(account: &mut Account, alone: impl Fn(&Hit) -> bool) {
        let Counts { events, hits, more, .. } = std::mem::take(&mut account.waits);
        let told = &mut account.told;
        told.events += events;
        told.hits += u64::try_from(hits.len()).unwrap_or(u64::MAX) + more;
        let false_ones = hits.iter().filter(|hit| alone(hit)).count();
        told.alone += u64::try_from(false_ones).unwrap_or(u64::MAX) + more;
        told.samples.extend(hits.iter().filter_map(|hit| hit.events.first()));
        let surplus = told.samples.len().saturating_sub(SAMPLES_MAX);
        told.samples.drain(..surplus);
    }

    /// Whether nothing but the chain itself explains a hit.
    fn is_alone(&self, entry: &Entry, hit: &Hit) -> bool {
        let other = |event: &Id| {
            let chains = self.explained.get(event).into_iter().flatten();
            chains.into_iter().any(|chain| Some(chain) != entry.chain())
        };
        (hit.new || !entry.live) && !hit.events.iter().any(other)
    }

    fn entries(&self) -> Arc<Vec<Arc<Entry>>> {
        self.ground.overlay.entries()
    }
}

impl Place for Desk {
    fn name(&self) -> &Token {
        &self.name
    }

    fn rules(&self) -> &Rules {
        &self.ground.rules
    }

    fn begin(
        &self,
        known: &Known,
        pattern: &Pattern,
        now: Timestamp,
    ) -> Result<Box<dyn Test>, String> {
        let book = self.ground.compile(&pattern.rule)?;
        let chain = book.chains().first().map(|chain| &chain.name);
        let others = known.values().map(|stored| &stored.pattern);
        let others = others.filter(|of| of.pattern != pattern.pattern && !of.state().is_final());
        let others = others.filter(|of| of.state() != State::Proposed);
        for other in others {
            let same = |book: Arc<Book>| book.chains().first().map(|c| &c.name) == chain;
            if self.ground.compile(&other.rule).is_ok_and(same) {
                return Err(format!("pattern {} has a chain of that name", other.pattern));
            }
        }
        Ok(Box::new(Testing::begin(&self.ground, pattern, now)?))
    }

    fn lay_over(
        &mut self,
        tenant: &Tenant,
        known: &Known,
        now: Timestamp,
    ) -> BTreeMap<String, String> {
        let present = self.entries();
        let lingers = self.ground.lingers();
        let (mut entries, mut refused) = (Vec::new(), BTreeMap::new());
        for (name, Stored { pattern, .. }) in known {
            let Some(life) = lives(pattern, now, lingers) else { continue };
            match self.entry(tenant, (name, pattern), life, &present) {
                Ok(entry) => entries.push((life.until.is_some(), entry)),
                Err(why) => drop(refused.insert(name.clone(), why)),
            }
        }
        // Those that are used come before those that are only remembered.
        entries.sort_by_key(|(over, _)| *over);
        entries.truncate(self.ground.rules.patterns_max.saturating_mul(2));
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(|(_, entry)| entry).collect();
        let of = |entry: &Arc<Entry>| (entry.id, entry.live);
        self.accounts.retain(|known, _| entries.iter().any(|entry| of(entry) == *known));
        for entry in &entries {
            self.accounts.entry(of(entry)).or_default();
        }
        let same = entries.len() == present.len()
            && entries.iter().zip(present.iter()).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            self.ground.overlay.lay(entries);
        }
        refused
    }

    fn counted(&self) -> Vec<(Counter, Tally)> {
        self.accounts.iter().map(|(of, account)| (*of, account.told.clone())).collect()
    }

    /// Of a live chain's incident the incident itself; of one in shadow those of its samples that
    /// another chain's incident cites.
    fn hits(&self, pattern: &Pattern, chain: &Token, evidence: &[Evidence]) -> u64 {
        let entries = self.entries();
        let own = entries.iter().find(|entry| entry.id == pattern.pattern && entry.live);
        match pattern.state() {
            State::Live => u64::from(own.is_some_and(|entry| entry.chain() == Some(chain))),
            State::Shadow | State::Ready => {
                let samples = pattern.tally.samples.iter();
                let cited = samples.filter(|id| evidence.iter().any(|of| of.event == **id));
                u64::try_from(cited.count()).unwrap_or(u64::MAX)
            }
            _ => 0,
        }
    }

    fn concerns(&self, _closure: &Closure) -> bool {
        true
    }

    fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.ground.base.digest().as_bytes());
        let entries = self.entries();
        let mut live: Vec<&str> =
            entries.iter().filter(|of| of.live).map(|of| of.digest.as_str()).collect();
        live.sort_unstable();
        live.iter().for_each(|digest| hasher.update(digest.as_bytes()));
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What has hits waits one turn more: another chain may be about to tell of the same events.
    fn explained_by(
        &mut self,
        tenant: &Tenant,
        now: Timestamp,
    ) -> Option<(Vec<String>, Timestamp)> {
        let every = self.ground.rules.count_every.get();
        if now.since(self.gathered) < every {
            return None;
        }
        self.gathered = now;
        let waiting = self.accounts.values().filter(|account| !account.waits.hits.is_empty());
        if let Some(since) = waiting.map(|account| account.since).min() {
            self.explained = self
                .accounts
                .values()
                .flat_map(|account| &account.waits.hits)
                .flat_map(|hit| hit.events.iter().map(|event| (*event, BTreeSet::new())))
                .collect();
            let back = crate::rebuild(&self.ground.config, self.ground.base.window_max()).get();
            return Some((vec![all_of(tenant, "assessment")], since.minus(back)));
        }
        self.gather(now);
        None
    }

    fn explain(&mut self, delivery: &Delivery) {
        let Ok(of) = delivery.decode::<Assessment>(Limits::default()) else { return };
        for evidence in of.evidence.iter().filter(|_| of.level.is_flagged()) {
            if let Some(chains) = self.explained.get_mut(&evidence.event) {
                chains.insert(of.chain.clone());
            }
        }
    }

    fn explained(&mut self) {
        let mut accounts = std::mem::take(&mut self.accounts);
        for entry in self.entries().iter() {
            if let Some(account) = accounts.get_mut(&(entry.id, entry.live)) {
                Self::settle(account, |hit| self.is_alone(entry, hit));
            }
        }
        self.accounts = accounts;
        self.explained.clear();
        self.gather(self.gathered);
    }
}

impl Desk {
    /// Takes what the shards have counted; what has no hits can be told at once.
    fn gather(&mut self, now: Timestamp) {
        for entry in self.entries().iter() {
            let Some(account) = self.accounts.get_mut(&(entry.id, entry.live)) else { continue };
            (account.waits, account.since) = (entry.take(), now);
            if account.waits.hits.is_empty() {
                Self::settle(account, |_| false);
            }
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
