//! The worker of something that produces rather than consumes: a log tail, a replay.

use crate::{context::Context, service::Task};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;

pub(crate) struct TaskWorker;

pub(crate) struct TaskWorkerArgs {
    pub(crate) context: Context,
    pub(crate) task: Arc<Task>,
}

pub(crate) struct Run;

impl Actor for TaskWorker {
    type Msg = Run;
    type State = TaskWorkerArgs;
    type Arguments = TaskWorkerArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Run>,
        args: TaskWorkerArgs,
    ) -> Result<TaskWorkerArgs, ActorProcessingErr> {
        myself.cast(Run)?;
        Ok(args)
    }

    async fn handle(
        &self,
        myself: ActorRef<Run>,
        Run: Run,
        state: &mut TaskWorkerArgs,
    ) -> Result<(), ActorProcessingErr> {
        (state.task.run)(state.context.clone()).await.map_err(ActorProcessingErr::from)?;
        myself.stop(Some("task is done".to_owned()));
        Ok(())
    }
}
