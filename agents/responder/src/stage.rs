//! The stage: actions and orders in, outcomes out.

use crate::{
    Config,
    keeper::{Asked, Keeper, View},
};
use futures::future::BoxFuture;
use magsentinel_bus_schema::{Action, Limits, Order, Subject};
use magsentinel_runtime::{
    context::Context,
    service::Task,
    stage::{Batch, Delivery, Failed, Output, Publish, Stage},
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::Mutex;

/// How often the keeper looks at what is due.
const TEND_EVERY: Duration = Duration::from_millis(200);
/// How long an outcome that nobody takes may keep the keeper from what is due.
const TELL_MAX: Duration = Duration::from_secs(2);
/// Outcomes that wait to be told while the server is away; older ones are left out, and counted.
const UNTOLD_MAX: usize = 100_000;

/// The decision list, once it is known.
pub(crate) type ShownView = Arc<OnceLock<View>>;

/// What the stage and the tasks share.
#[derive(Clone)]
pub struct Shared {
    config: Arc<Config>,
    keeper: Arc<Mutex<Option<Keeper>>>,
    view: ShownView,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        Self { config: Arc::new(config), keeper: Arc::default(), view: Arc::default() }
    }

    pub(crate) fn view(&self) -> ShownView {
        Arc::clone(&self.view)
    }

    /// What is done before anything is consumed.
    pub(crate) fn opening(&self) -> Task {
        let shared = self.clone();
        let run = move |context: Context| {
            let shared = shared.clone();
            let work = async move {
                let (mut keeper, view) =
                    Keeper::open(Arc::clone(&shared.config), &context.bus).await?;
                if let Some(view) = view {
                    drop(shared.view.set(view));
                }
                let stored = keeper.asking().ask().await;
                let told = keeper.tend(&context, stored).await;
                *shared.keeper.lock().await = Some(keeper);
                context.bus.publish_all(&told).await.map_err(|e| e.to_string())
            };
            Box::pin(work) as BoxFuture<'static, Result<(), String>>
        };
        Task { name: "leases-opening".to_owned(), run: Arc::new(run) }
    }

    /// What goes on beside the consumer.
    pub(crate) fn tending(&self) -> Task {
        let shared = self.clone();
        let run = move |context: Context| {
            let shared = shared.clone();
            let work = async move {
                let mut untold: Vec<Publish> = Vec::new();
                while !context.is_stopping() {
                    untold.extend(shared.tend(&context).await);
                    let over = untold.len().saturating_sub(UNTOLD_MAX);
                    if over > 0 {
                        tracing::error!(over, "outcomes are left out: nobody takes them");
                        untold.drain(..over);
                    }
                    // What is due must not wait for a server that is away.
                    let telling = context.bus.publish_all(&untold);
                    if let Ok(told) = tokio::time::timeout(TELL_MAX, telling).await {
                        told.map_err(|e| e.to_string())?;
                        untold.clear();
                    }
                    context.pause(TEND_EVERY).await;
                }
                Ok(())
            };
            Box::pin(work) as BoxFuture<'static, Result<(), String>>
        };
        Task { name: "leases".to_owned(), run: Arc::new(run) }
    }

    /// What is due. No decision waits while the store is asked.
    async fn tend(&self, context: &Context) -> Vec<Publish> {
        let asking = self.keeper.lock().await.as_ref().map(Keeper::asking);
        let Some(asking) = asking else { return Vec::new() };
        let stored = asking.ask().await;
        match self.keeper.lock().await.as_mut() {
            Some(keeper) => keeper.tend(context, stored).await,
            None => Vec::new(),
        }
    }

    async fn answer(self, context: Context, asked: Vec<Asked>) -> Result<Vec<Publish>, String> {
        let mut keeper = self.keeper.lock().await;
        let keeper = keeper.as_mut().ok_or("the leases are not known yet")?;
        keeper.answer(&context, &asked).await
    }
}

/// Answers every action with an outcome, and does what operators order.
pub struct Responder {
    shared: Shared,
    limits: Limits,
    asked: u64,
    poison: u64,
}

impl Responder {
    /// A responder around what is shared.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        Self { shared, limits: Limits::default(), asked: 0, poison: 0 }
    }

    /// Reads a delivery.
    fn read(&self, delivery: &Delivery) -> Result<Asked, String> {
        match Subject::parse(&delivery.subject) {
            Ok((tenant, Subject::Action(verb))) => {
                let action: Action = delivery.decode(self.limits).map_err(|e| e.to_string())?;
                Ok(Asked::Action(Box::new(action), (tenant, verb), delivery.trace.clone()))
            }
            Ok((tenant, Subject::Order(verb))) => {
                let order: Order = delivery.decode(self.limits).map_err(|e| e.to_string())?;
                // Permissions are given by subject: it must say what the order says.
                if order.ask.verb() != verb || order.tenant != tenant {
                    return Err(format!("its subject {:?} is not that of it", delivery.subject));
                }
                Ok(Asked::Order(Box::new(order)))
            }
            Ok(_) => Err(format!("subject {:?} is none of an action", delivery.subject)),
            Err(e) => Err(e.to_string()),
        }
    }
}

impl Stage for Responder {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let mut asked = Vec::with_capacity(batch.deliveries.len());
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            match self.read(delivery) {
                Ok(one) => asked.push(one),
                Err(why) => {
                    self.poison += 1;
                    let why = format!("no action or order can be read: {why}");
                    out.fail(index, Failed::Poison(why));
                }
            }
        }
        self.asked += asked.len() as u64;
        let shared = self.shared.clone();
        out.act(Box::new(move |context| Box::pin(shared.answer(context, asked))));
    }

    fn report(&self) -> serde_json::Value {
        serde_json::json!({ "asked": self.asked, "poison": self.poison })
    }
}
