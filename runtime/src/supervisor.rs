//! The root of the process: starts every worker, and starts it again when it fails.

use crate::{
    context::Context,
    metrics::consumer,
    pool::{self, PoolWorker, PoolWorkerArgs},
    service::Task,
    sharded::{ShardedWorker, ShardedWorkerArgs},
    task::{TaskWorker, TaskWorkerArgs},
};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Supervises the workers of one process.
pub(crate) struct Supervisor;

/// How one worker is made.
#[derive(Clone)]
pub(crate) enum Plan {
    Pool(PoolWorkerArgs),
    Sharded(ShardedWorkerArgs),
    Task(Context, Arc<Task>),
}

impl Plan {
    fn name(&self) -> String {
        match self {
            Self::Pool(args) => args.pool.durable.to_string(),
            Self::Sharded(args) => args.service.name.to_string(),
            Self::Task(_, task) => task.name.clone(),
        }
    }

    fn context(&self) -> &Context {
        match self {
            Self::Pool(args) => &args.context,
            Self::Sharded(args) => &args.context,
            Self::Task(context, _) => context,
        }
    }

    async fn start(&self, supervisor: ActorCell) -> Result<ActorCell, SpawnErr> {
        Ok(match self {
            Self::Pool(args) => {
                Actor::spawn_linked(None, PoolWorker, args.clone(), supervisor).await?.0.get_cell()
            }
            Self::Sharded(args) => {
                let worker = Actor::spawn_linked(None, ShardedWorker, args.clone(), supervisor);
                worker.await?.0.get_cell()
            }
            Self::Task(context, task) => {
                let args = TaskWorkerArgs { context: context.clone(), task: Arc::clone(task) };
                Actor::spawn_linked(None, TaskWorker, args, supervisor).await?.0.get_cell()
            }
        })
    }
}

/// Messages to the supervisor.
pub(crate) enum Command {
    /// Start a worker, after its `n`-th failure in a row.
    Start(Plan, u32),
}

/// What runs.
#[derive(Default)]
pub(crate) struct Running {
    workers: HashMap<ActorId, (Plan, u32, std::time::Instant)>,
    /// Workers that wait to be started again.
    waiting: usize,
}

impl Actor for Supervisor {
    type Msg = Command;
    type State = Running;
    type Arguments = Vec<Plan>;

    async fn pre_start(
        &self,
        myself: ActorRef<Command>,
        plans: Vec<Plan>,
    ) -> Result<Running, ActorProcessingErr> {
        let waiting = plans.len();
        for plan in plans {
            myself.cast(Command::Start(plan, 0))?;
        }
        Ok(Running { waiting, ..Running::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Command>,
        Command::Start(plan, failures): Command,
        state: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        state.waiting = state.waiting.saturating_sub(1);
        match plan.start(myself.get_cell()).await {
            Ok(worker) => {
                let begun = std::time::Instant::now();
                state.workers.insert(worker.get_id(), (plan, failures, begun));
            }
            Err(error) => {
                tracing::error!(worker = plan.name(), %error, "cannot start; trying again");
                again(&myself, plan, failures + 1, state);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Command>,
        event: SupervisionEvent,
        state: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(worker, error) => {
                let Some((plan, failures, begun)) = state.workers.remove(&worker.get_id()) else {
                    return Ok(());
                };
                let calm = begun.elapsed() > Duration::from_secs(60);
                let failures = if calm { 1 } else { failures + 1 };
                tracing::error!(worker = plan.name(), %error, "worker failed; starting it again");
                let label = consumer(&plan.name());
                plan.context().metrics.bugs.get_or_create(&label).inc();
                match &plan {
                    Plan::Pool(args) => pool::hand_back(args, &error.to_string()).await,
                    Plan::Sharded(args) => args.trouble().panicked(),
                    Plan::Task(..) => {}
                }
                again(&myself, plan, failures, state);
            }
            SupervisionEvent::ActorTerminated(worker, ..) => {
                state.workers.remove(&worker.get_id());
                if state.workers.is_empty() && state.waiting == 0 {
                    myself.stop(Some("every worker has ended".to_owned()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Starts a worker again after a pause: 20 ms, doubling, at most 5 s.
fn again(myself: &ActorRef<Command>, plan: Plan, failures: u32, state: &mut Running) {
    if plan.context().is_stopping() {
        if state.workers.is_empty() && state.waiting == 0 {
            myself.stop(Some("stopping".to_owned()));
        }
        return;
    }
    state.waiting += 1;
    let pause = Duration::from_millis(20 << failures.min(8)).min(Duration::from_secs(5));
    let myself = myself.clone();
    tokio::spawn(async move {
        plan.context().pause(pause).await;
        if let Err(error) = myself.cast(Command::Start(plan, failures)) {
            tracing::debug!(%error, "supervisor has ended");
        }
    });
}
