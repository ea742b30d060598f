//! What is pulled together.
//!
//! A batch is what has arrived when its first message is taken. Where the server says that more
//! waits for the consumer, more is on its way, and it is worth a moment: what each batch costs (a
//! round trip, an owner's settling) is then shared by many. Where nothing waits, nobody does.

use async_nats::jetstream::{
    Message,
    consumer::pull::{self, MessagesError},
};
use futures::{FutureExt, StreamExt};
use std::time::Duration;

/// Longest wait for a message that the server has and has not sent: some of its round trips.
const MOMENT: Duration = Duration::from_millis(2);

/// The message after another, with which the server said how many more wait, if it is there or on
/// its way.
pub(crate) async fn after(
    waiting: u64,
    messages: &mut pull::Stream,
) -> Option<Result<Message, MessagesError>> {
    if let Some(ready) = messages.next().now_or_never() {
        return ready;
    }
    let next = async { tokio::time::timeout(MOMENT, messages.next()).await.ok().flatten() };
    if waiting > 0 { next.await } else { None }
}
