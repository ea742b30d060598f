//! A keeper: who takes documents of the policy store further, step by step, while the mesh runs.
//!
//! The keeper is a pure core. It is shown every document of its prefix and some messages, and says
//! what it wants done next: streams to be read to it, or a document to be written over the revision
//! that it knows. All that must survive lies in the documents, so a keeper that is started anew
//! goes on where the last one stopped. What each document has to tell is published once, by id.

use crate::{
    bus::{Bus, Error},
    context::Context,
    policy::{self, Document},
    service::Task,
    stage::{Delivery, Publish},
};
use futures::{StreamExt, future::BoxFuture};
use magsentinel_bus_schema::{Stream, Tenant, Timestamp};
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How often a keeper is asked for work, where nothing happens.
const EVERY: Duration = Duration::from_millis(500);

/// What a keeper wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// What a stream holds for some subjects, shown one by one.
    Read {
        /// The stream.
        stream: Stream,
        /// Its subjects.
        filters: Vec<String>,
    },
    /// The same of what was stored since some time.
    ReadSince {
        /// The stream.
        stream: Stream,
        /// Its subjects.
        filters: Vec<String>,
        /// The time.
        since: Timestamp,
    },
    /// A document, over a revision; 0 where there is none yet.
    Write {
        /// Name below the prefix.
        name: String,
        /// The document.
        bytes: Vec<u8>,
        /// The revision that it replaces.
        before: u64,
    },
}

/// The core.
pub trait Keeper: Send {
    /// Takes a document; what it has to tell of it. It may be shown a document again, and an older
    /// revision after a newer one.
    fn take(&mut self, document: &Document) -> Vec<Publish>;

    /// Takes a message of those that the keeper listens to, from the first that is retained on.
    fn hear(&mut self, delivery: &Delivery);

    /// What is to be done now.
    fn next(&mut self, now: Timestamp) -> Option<Work>;

    /// Shows a message of what was to be read.
    fn see(&mut self, delivery: &Delivery);

    /// All was shown that was to be read.
    fn seen(&mut self, now: Timestamp);

    /// What was to be written is; or, where `revision` is none, somebody else was first.
    fn written(&mut self, revision: Option<u64>);

    /// Figures for `magsentinel status`, small.
    fn report(&self) -> Value;
}

/// Which documents a keeper keeps.
#[derive(Clone)]
pub struct Domain {
    /// Name of the task and of its report.
    pub part: &'static str,
    /// Prefix of the documents, with the dot at its end.
    pub prefix: String,
    /// Stage on whose subjects changes are told.
    pub stage: &'static str,
    /// Subjects of DECISIONS that the keeper listens to.
    pub hears: fn(&Tenant) -> Vec<String>,
}

/// Makes a keeper; again after an error.
pub type Make = Arc<dyn Fn(&Tenant) -> Box<dyn Keeper> + Send + Sync>;

/// What is done before a service handles anything: every document is shown to a keeper, whose
/// effect on what is handled stays when another one takes over.
#[must_use]
pub fn loading(domain: Domain, make: Make) -> Task {
    let name = format!("{}-loading", domain.part);
    let run = move |context: Context| {
        let (domain, make) = (domain.clone(), Arc::clone(&make));
        let work = async move {
            let mut keeper = make(context.bus.tenant());
            let found = policy::list(&context.bus, &domain.prefix).await;
            for document in found.map_err(|e| e.to_string())? {
                drop(keeper.take(&document));
            }
            context.report(domain.part, keeper.report());
            Ok(())
        };
        Box::pin(work) as BoxFuture<'static, Result<(), String>>
    };
    Task { name, run: Arc::new(run) }
}

/// The task around a keeper.
#[must_use]
pub fn task(domain: Domain, make: Make) -> Task {
    let name = domain.part.to_owned();
    let run = move |context: Context| {
        let (domain, make) = (domain.clone(), Arc::clone(&make));
        let work = async move { keep(&context, &domain, &*make).await };
        Box::pin(work) as BoxFuture<'static, Result<(), String>>
    };
    Task { name, run: Arc::new(run) }
}

async fn keep(
    context: &Context,
    domain: &Domain,
    make: &(dyn Fn(&Tenant) -> Box<dyn Keeper> + Send + Sync),
) -> Result<(), String> {
    let bus = &context.bus;
    let mut keeper = make(bus.tenant());
    let mut told = policy::told(bus, domain.stage).await.map_err(|e| e.to_string())?;
    let mut watch = policy::watch(bus, &domain.prefix).await.map_err(|e| e.to_string())?;
    let heard = bus.follow_whole(Stream::Decisions, (domain.hears)(bus.tenant())).await;
    let mut heard = heard.map_err(|e| e.to_string())?;
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The newest first: of the history that the watch shows, nothing older may take effect.
    for document in policy::list(bus, &domain.prefix).await.map_err(|e| e.to_string())? {
        tell(bus, keeper.take(&document), &mut told).await.map_err(|e| e.to_string())?;
    }
    loop {
        tokio::select! {
            biased;
            () = context.stopping() => return Ok(()),
            entry = watch.next() => {
                let entry = entry.ok_or("the watch has ended")?.map_err(|e| e.to_string())?;
                let document = policy::document(&domain.prefix, entry);
                tell(bus, keeper.take(&document), &mut told).await.map_err(|e| e.to_string())?;
            }
            message = heard.next() => {
                keeper.hear(&message.ok_or("the stream's reader has ended")?);
            }
            _ = tick.tick() => {}
        }
        while !context.is_stopping() {
            let Some(work) = keeper.next(context.now()) else { break };
            carry_out(bus, domain, &mut *keeper, work, context).await.map_err(|e| e.to_string())?;
        }
        context.report(domain.part, keeper.report());
    }
}

async fn tell(bus: &Bus, messages: Vec<Publish>, told: &mut BTreeSet<String>) -> Result<(), Error> {
    let new: Vec<Publish> =
        messages.into_iter().filter(|m| !told.contains(&m.id.to_string())).collect();
    bus.publish_all(&new).await?;
    told.extend(new.iter().map(|message| message.id.to_string()));
    Ok(())
}

async fn carry_out(
    bus: &Bus,
    domain: &Domain,
    keeper: &mut dyn Keeper,
    work: Work,
    context: &Context,
) -> Result<(), Error> {
    match work {
        Work::Read { stream, filters } => {
            bus.read_all(stream, filters, |delivery| keeper.see(delivery)).await?;
            keeper.seen(context.now());
        }
        Work::ReadSince { stream, filters, since } => {
            bus.read_since(stream, filters, since, |delivery| keeper.see(delivery)).await?;
            keeper.seen(context.now());
        }
        Work::Write { name, bytes, before } => {
            let revision = policy::put(bus, (&domain.prefix, &name), bytes, before).await?;
            keeper.written(revision);
        }
    }
    Ok(())
}
