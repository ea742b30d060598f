//! Carries out what the desk decides: records first, then the world, then what is told.

mod around;
mod carry;
mod compare;
mod files;
mod fresh;

pub use files::{FLAG, HostFlag};
pub use fresh::{Asking, Stored};

use around::Around;

use crate::{
    Config,
    desk::{Desk, Turn},
    effector::{Effector, decisions::Decisions, nftables::Nftables, webhook::Webhook},
    lease::{self, Lease},
    policy::Request,
    rules::{self, Policy, Watch},
    thing::{Reach, Thing},
};
use magsentinel_bus_schema::{Action, Order, Outcome, Tenant, Timestamp, Verb};
use magsentinel_runtime::{bus::Bus, context::Context, stage::Publish, table::Table};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// The bucket's name after the tenant.
pub const BUCKET: &str = "lease";
const ABOUT: &str = "Leases of effects: what the responder holds, and until when";

/// Attempts at a turn that meets another process.
const ATTEMPTS: u32 = 5;

/// An action or an order, read and ready.
pub enum Asked {
    /// An action, with tenant and verb of its subject, and its trace context.
    Action(Box<Action>, (Tenant, Verb), Option<String>),
    /// An order.
    Order(Box<Order>),
}

/// What came of comparing what is desired with what is real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Things that were missing, or were to end at another time.
    pub restored: u64,
    /// Things that nobody wants.
    pub removed: u64,
}

/// Keeps what is real as it is desired.
pub struct Keeper {
    config: Arc<Config>,
    desk: Desk,
    table: Table,
    effectors: Vec<Box<dyn Effector>>,
    revisions: BTreeMap<String, u64>,
    /// Revision of the newest write that is known, whoever made it.
    newest: u64,
    /// What is stored is known, as of `newest`.
    loaded: bool,
    reloaded: Option<Instant>,
    flag: HostFlag,
    watch: Option<Watch>,
    policy_error: Option<String>,
    around: Around,
    compared: Option<Instant>,
    /// What is there may not be what is desired: something failed, or was read anew.
    amiss: bool,
    /// Outcomes of what could not be done yet.
    untold: Vec<(Vec<Thing>, Outcome)>,
    /// Figures since the start.
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    repaired: Repaired,
    failures: u64,
    orders_refused: u64,
    reloads: u64,
}

/// What the decisions effector shows to gateways.
pub type View = crate::effector::decisions::View;

impl Keeper {
    /// A keeper with the effectors that the configuration switches on.
    ///
    /// # Errors
    /// When the store or an effector cannot be used, or the policy file is wrong: at the start
    /// there is no earlier policy to go on with.
    pub async fn open(config: Arc<Config>, bus: &Bus) -> Result<(Self, Option<View>), String> {
        // Before it is read: what is written in between is seen as a change.
        let watch = config.policy_file.as_deref().map(Watch::of);
        let policy = match &config.policy_file {
            Some(file) => rules::read(file).map_err(|e| e.to_string())?,
            None => config.policy.clone(),
        };
        let table = Table::open(bus, BUCKET, ABOUT).await.map_err(|e| e.to_string())?;
        let mut effectors: Vec<Box<dyn Effector>> = Vec::new();
        let mut view = None;
        if config.nftables.enabled {
            effectors.push(Box::new(Nftables::open(&config.nftables)?));
        }
        if config.decisions.enabled {
            let (decisions, shown) = Decisions::open(bus).await?;
            effectors.push(Box::new(decisions));
            view = Some(shown);
        }
        // Last, because it may take its time.
        if let Some(url) = &config.webhook.url {
            effectors.push(Box::new(Webhook::open(&config.webhook, url, bus).await?));
        }
        let reach = Reach {
            nftables: config.nftables.enabled,
            decisions: config.decisions.enabled,
            webhook: config.webhook.url.is_some(),
            evidence: config.evidence.enabled,
        };
        let desk = Desk::new(Arc::new(policy), reach, config.leases_max);
        let flag = HostFlag::of(&config.state_dir);
        let keeper = Self {
            config,
            desk,
            table,
            effectors,
            revisions: BTreeMap::new(),
            newest: 0,
            loaded: false,
            reloaded: None,
            flag,
            watch,
            policy_error: None,
            around: Around::open(bus).await,
            compared: None,
            amiss: true,
            untold: Vec::new(),
            counts: Counts::default(),
        };
        Ok((keeper, view))
    }

    /// Answers actions and orders. What is to be told.
    ///
    /// # Errors
    /// When a record could not be stored: nothing was changed, and it is to be tried again.
    pub async fn answer(
        &mut self,
        context: &Context,
        asked: &[Asked],
    ) -> Result<Vec<Publish>, String> {
        for _ in 0..ATTEMPTS {
            self.ready(context).await?;
            let told = self.look(true, context.now()).await;
            self.untold.extend(told.into_iter().map(|outcome| (Vec::new(), outcome)));
            match self.answer_once(context, asked).await {
                Ok(told) => return self.publishes(asked, told),
                Err(Unstored::Taken) => self.loaded = false,
                Err(Unstored::Failed(why)) => {
                    self.loaded = false;
                    return Err(why);
                }
            }
        }
        Err("another responder keeps the same leases, and was first each time".to_owned())
    }

    async fn answer_once(
        &mut self,
        context: &Context,
        asked: &[Asked],
    ) -> Result<Vec<Outcome>, Unstored> {
        let mut told = Vec::new();
        let mut actions = Vec::new();
        for one in asked {
            match one {
                Asked::Action(action, (tenant, verb), trace) => {
                    let trace = trace.as_deref();
                    actions.push(Request { action, tenant, verb: *verb, trace });
                }
                Asked::Order(order) => {
                    // What was asked for before the order comes before it.
                    told.extend(self.asked(context, &std::mem::take(&mut actions)).await?);
                    told.extend(self.ordered(context, order).await?);
                }
            }
        }
        told.extend(self.asked(context, &actions).await?);
        Ok(told)
    }

    async fn asked(
        &mut self,
        context: &Context,
        requests: &[Request<'_>],
    ) -> Result<Vec<Outcome>, Unstored> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let now = context.now();
        let turn = self.desk.asked(requests, now);
        self.carry_out(turn, now).await
    }

    async fn ordered(
        &mut self,
        context: &Context,
        order: &Order,
    ) -> Result<Vec<Outcome>, Unstored> {
        let now = context.now();
        match self.desk.ordered(order, now) {
            Ok(turn) => self.carry_out(turn, now).await,
            Err(why) => {
                self.counts.orders_refused += 1;
                let verb = order.ask.verb().token();
                tracing::warn!(order = %order.id, verb, by = order.by, why, "order is refused");
                Ok(self.desk.order_refused(order, &why, now).into_iter().collect())
            }
        }
    }

    /// Makes sure that what is stored is known, and that a switch on this host is heeded.
    async fn ready(&mut self, context: &Context) -> Result<(), String> {
        if !self.loaded {
            self.load(context.now()).await?;
        }
        let told = self.heed_flag(context.now()).await;
        // Told with what the keeper tells next.
        self.untold.extend(told.into_iter().map(|outcome| (Vec::new(), outcome)));
        Ok(())
    }

    /// Undoes everything while the host's flag is up, whether or not it can be recorded.
    async fn heed_flag(&mut self, now: Timestamp) -> Vec<Outcome> {
        let Some(off) = self.flag.read() else { return Vec::new() };
        if self.desk.off().is_some() {
            return Vec::new();
        }
        tracing::warn!(
            by = off.by,
            reason = off.reason,
            "enforcement is switched off on this host"
        );
        let mut turn = self.desk.panicked(&off.by, &off.reason, now);
        let records = std::mem::take(&mut turn.before);
        let told = self.carry_out(turn, now).await.unwrap_or_default();
        if self.store(records).await.is_err() {
            self.loaded = false;
        }
        told
    }

    /// What is due: called several times a second. What is to be told.
    pub async fn tend(&mut self, context: &Context, stored: Stored) -> Vec<Publish> {
        let mut told = Vec::new();
        let now = context.now();
        let fresh = match self.is_fresh(stored, now).await {
            Ok(fresh) => fresh,
            // The server is away, and with it everybody else: what is known goes on to hold.
            Err(_) if self.counts.reloads > 0 => true,
            Err(error) => {
                tracing::warn!(error, "the leases cannot be read: nothing is changed");
                return Vec::new();
            }
        };
        told.extend(self.heed_flag(now).await);
        told.extend(self.heed_policy(now).await);
        told.extend(self.look(false, now).await);
        if !fresh {
            return self.writable(told);
        }
        let turn = self.desk.passed(now);
        told.extend(self.try_turn(turn, now).await);
        let due = self.config.reconcile_every.get();
        if self.compared.is_none_or(|at| at.elapsed() >= due) {
            self.compared = Some(Instant::now());
            told.extend(self.reconcile(context.now()).await);
        }
        context.report("leases", self.report());
        self.writable(told)
    }

    async fn try_turn(&mut self, turn: Turn, now: Timestamp) -> Vec<Outcome> {
        match self.carry_out(turn, now).await {
            Ok(told) => told,
            Err(unstored) => {
                if let Unstored::Failed(why) = unstored {
                    tracing::warn!(why, "a record of leases was not stored");
                }
                self.loaded = false;
                Vec::new()
            }
        }
    }

    async fn heed_policy(&mut self, now: Timestamp) -> Vec<Outcome> {
        let (Some(file), Some(watch)) = (self.config.policy_file.clone(), &mut self.watch) else {
            return Vec::new();
        };
        match watch.changed(&file, Instant::now()) {
            None => Vec::new(),
            Some(Ok(policy)) => {
                self.policy_error = None;
                tracing::info!(file = %file.display(), version = policy.version(), "policy is read");
                let turn = self.desk.governed(Arc::new(policy), now);
                self.try_turn(turn, now).await
            }
            Some(Err(error)) => {
                tracing::error!(%error, "policy is refused, the earlier one goes on");
                self.policy_error = Some(error.to_string());
                Vec::new()
            }
        }
    }

    /// Looks around, and ends what turns out to be on something that must never be blocked.
    async fn look(&mut self, acting: bool, now: Timestamp) -> Vec<Outcome> {
        let ports = &self.desk.policy().never_block.operator_ports;
        let Some(around) = self.around.look(acting, ports) else { return Vec::new() };
        let turn = self.desk.surrounded(around, now);
        self.try_turn(turn, now).await
    }

    /// Figures for `status`.
    #[must_use]
    pub fn report(&self) -> serde_json::Value {
        let figures = self.desk.figures();
        let policy = self.desk.policy();
        serde_json::json!({
            "mode": policy.mode,
            "policy": policy.version(),
            "policy_error": self.policy_error,
            "off": self.desk.off(),
            "effectors": self.effectors.iter().map(|e| e.name()).collect::<Vec<_>>(),
            "active": figures.active,
            "waiting": figures.waiting,
            "things": figures.things,
            "records": figures.pages,
            "restored": self.counts.repaired.restored,
            "removed": self.counts.repaired.removed,
            "failures": self.counts.failures,
            "untold": self.untold.len(),
            "orders_refused": self.counts.orders_refused,
        })
    }

    /// A policy, for tests and tools.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.desk.policy()
    }
}

/// Why a turn was not carried out.
enum Unstored {
    /// Another process has written the record.
    Taken,
    Failed(String),
}

/// Every lease that is stored, and whether enforcement is off: for tools.
///
/// # Errors
/// When the store cannot be read.
pub async fn read(bus: &Bus) -> Result<(Vec<Lease>, Option<lease::Off>), String> {
    let table = Table::open(bus, BUCKET, ABOUT).await.map_err(|e| e.to_string())?;
    let (mut leases, mut off) = (Vec::new(), None);
    for record in table.all().await.map_err(|e| e.to_string())? {
        let Some(bytes) = record.bytes else { continue };
        if record.key == lease::SWITCH {
            off = rmp_serde::from_slice(&bytes).ok();
        } else {
            let page = lease::read_page(&bytes).map_err(|e| format!("{}: {e}", record.key))?;
            leases.extend(page.leases);
        }
    }
    leases.sort_by_key(|lease| (lease.asked, lease.id()));
    Ok((leases, off))
}
