//! From a role's name to the service that runs it.

use crate::{
    exit::{self, BadUsage},
    settings::Settings,
};
use anyhow::{Context as _, Result};
use magsentinel_bus_schema::Token;
use magsentinel_patrol::{
    patrols::{self, TABLE},
    stage::consumer_of,
};
use magsentinel_runtime::{
    bus::{self, Bus},
    context::Context,
    service::{Service, Task},
    stage::Publish,
};
use magsentinel_sensor::{Board, PublishError, Publisher};
use std::{sync::Arc, time::Duration};

/// Every role, in the order in which events pass them.
pub fn all() -> Vec<String> {
    let patrols = TABLE.iter().map(|entry| entry.spec.name);
    let before = ["sensor"].into_iter();
    let after = ["analyzer", "commander", "responder", "logbook"].into_iter();
    before.chain(patrols).chain(after).map(ToOwned::to_owned).collect()
}

/// The service of a role. What keeps it from being made stands in the configuration, or in a
/// file that this names.
pub fn service(role: &str, settings: &Settings) -> Result<Service> {
    made(role, settings).map_err(|e| match exit::of(&e) {
        exit::FAILED => e.context(BadUsage(format!("role {role} cannot start"))),
        _ => e,
    })
}

fn made(role: &str, settings: &Settings) -> Result<Service> {
    let role = role.replace('_', "-");
    let name: Token = role.parse().map_err(|_| unknown(&role))?;
    let mut service = Service::new(name, settings.analyzer.shards);
    match role.as_str() {
        "sensor" => {
            service.pools = magsentinel_sensor::pools(&settings.sensor)?;
            service.tasks = tails(settings);
        }
        "analyzer" => {
            let live = magsentinel_analyzer::suppressions(&settings.analyzer);
            let (config, inference) = (&settings.analyzer, &settings.inference);
            let ground = magsentinel_analyzer::ground(config, inference, &settings.patterns)?;
            service.sharded = magsentinel_analyzer::sharded(config, &ground, &live);
            service.endpoints = magsentinel_analyzer::endpoints(&ground, &live);
            let tenant = settings.bus.tenant.clone();
            let (first, following) = magsentinel_analyzer::tasks(&live, tenant);
            let (loading, keeping) = ground.tasks();
            (service.first, service.tasks) = (vec![first, loading], vec![following, keeping]);
        }
        "commander" => {
            let all = magsentinel_commander::parts(&settings.commander)?;
            (service.pools, service.endpoints) = (all.pools, all.endpoints);
            service.tasks = all.tasks;
            service.tasks.extend(magsentinel_commander::tasks(&settings.patterns)?);
        }
        "responder" => {
            let parts = magsentinel_responder::parts(&settings.responder)?;
            (service.pools, service.first) = (parts.pools, vec![parts.first]);
            service.tasks = parts.tasks;
        }
        "logbook" => service.pools = magsentinel_logbook::pools(&settings.logbook)?,
        patrol => {
            let (patrols, inference) = (&settings.patrols, &settings.inference);
            let entry = patrols::find(patrol).ok_or_else(|| unknown(patrol))?;
            if !(entry.shared)(patrols).enabled {
                let key = entry.section;
                let why = format!("patrol {patrol} is switched off by patrols.{key}.enabled");
                return Err(BadUsage(why).into());
            }
            let shards = settings.analyzer.shards;
            let all = magsentinel_patrol::consumers(
                entry,
                patrols,
                inference,
                &settings.patterns,
                shards,
            )?;
            (service.pools, service.sharded) = (all.pools, all.sharded);
            (service.first, service.tasks) = (all.first, all.tasks);
        }
    }
    Ok(service)
}

/// Under which names a role's process owns shards.
pub fn sharded_parts(role: &str) -> Vec<Token> {
    match patrols::find(role) {
        Some(entry) => {
            entry.spec.keys.iter().map(|class| consumer_of(entry.spec, *class)).collect()
        }
        None if role == "analyzer" => vec![Token::sanitised(role)],
        None => Vec::new(),
    }
}

fn unknown(role: &str) -> BadUsage {
    BadUsage(format!("there is no role {role:?}; the roles are {}", all().join(", ")))
}

/// How often the sensor says how its tails are doing.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The task that follows the sensor's logs, if there are any.
fn tails(settings: &Settings) -> Vec<Task> {
    if settings.sensor.tails.is_empty() {
        return Vec::new();
    }
    let config = Arc::new(settings.sensor.clone());
    let run = move |context: Context| {
        let config = Arc::clone(&config);
        let work = async move {
            let (board, door) = (Board::default(), Door(context.bus.clone()));
            let tenant = context.bus.tenant().clone();
            let shutdown = context.shutdown.clone();
            let tailing = magsentinel_sensor::tail::tail(&config, &tenant, &door, &board, shutdown);
            let reporting = async {
                loop {
                    context.report("tail", serde_json::json!(board.read()));
                    tokio::time::sleep(REPORT_EVERY).await;
                }
            };
            tokio::select! {
                ended = tailing => ended.map_err(|e| format!("{:#}", anyhow::Error::from(e))),
                () = reporting => Ok(()),
            }
        };
        Box::pin(work) as futures::future::BoxFuture<'static, Result<(), String>>
    };
    vec![Task { name: "tail".to_owned(), run: Arc::new(run) }]
}

/// The bus, as the sensor sees it.
pub struct Door(pub Bus);

impl Publisher for Door {
    async fn publish(&self, batch: Vec<Publish>) -> Result<(), PublishError> {
        self.0.publish_all(&batch).await.map_err(|e| match e {
            bus::Error::TooLarge { index, subject } => PublishError::TooLarge { index, subject },
            other => PublishError::Unavailable(other.to_string()),
        })
    }
}

/// The connection for a role.
pub async fn connect(settings: &Settings, name: &str) -> Result<Bus> {
    let bus = magsentinel_runtime::bus::connect(&settings.bus, name).await?;
    bus.ensure_streams().await.context("streams are not available")?;
    Ok(bus)
}
