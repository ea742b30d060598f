//! The analyzer: scored events to assessments.
//!
//! Two stages. The [`router`] sends each scored event to the owner of each key that it names;
//! the analyzer of a shard ([`stage`]) keeps the recent events of each of its keys in windows of
//! event time ([`window`]), finds incidents by the chains of its book ([`chain`]), decides
//! ([`severity`], [`decision`]) and says so ([`assess`]). Everything but the two thin stages is pure: the same
//! events in the same order give the same incidents, however they are batched and however often
//! they are read; which members an incident has depends on the set of events that came in time,
//! not on their order. [`analyze`] is the same path without a stream.

mod analyze;
pub mod assess;
pub mod backtest;
pub mod chain;
mod config;
pub mod core;
pub mod decision;
mod error;
mod explain;
pub mod join;
mod parcel;
pub mod proposed;
pub mod router;
pub mod severity;
pub mod stage;
pub mod suppression;
pub mod window;

#[cfg(test)]
mod book_tests;
#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod fold_tests;
#[cfg(test)]
mod judge_tests;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod rival_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod stage_tests;
#[cfg(test)]
mod testing;

pub use analyze::{analyze, analyze_with};
pub use config::{ActionConfig, Config};
pub use error::{Error, Problem};
pub use explain::{Account, Explanation, explain};
pub use suppression::Suppression;

use chain::Book;
use magsentinel_bus_schema::{
    Analyze, Analyzed, Limits, SCHEMA_VERSION, Stream, Subject, Tenant, Token, decode, encode,
    encode_json, subject::keyed_at,
};
use magsentinel_inference as inference;
use magsentinel_runtime::{
    policy,
    service::{Endpoint, Sharded, Task},
    settings::Span,
};
use proposed::Ground;
use std::{sync::Arc, time::Duration};
use suppression::live::{Live, PREFIX};

/// Attempts before a message becomes a dead letter.
const MAX_DELIVER: u64 = 5;

/// The suppressions that are set while the mesh runs: shared by all that decide in a process.
#[must_use]
pub fn suppressions(config: &Config) -> Arc<Live> {
    Arc::new(Live::new(Arc::new(config.clone())))
}

/// What follows the suppressions: the first is done before anything is consumed, the second
/// goes on.
#[must_use]
pub fn tasks(live: &Arc<Live>, tenant: Tenant) -> (Task, Task) {
    let live = Arc::clone(live);
    let take: Arc<policy::Take> = Arc::new(move |document| live.take(&tenant, document));
    let part = "suppressions";
    let loading = policy::loading(part, PREFIX, Arc::clone(&take));
    (loading, policy::following(part, PREFIX, "suppression", take))
}

/// What proposed chains are measured by and run beside: the installed chains.
///
/// # Errors
/// When these, the severity model or what is known to be good cannot be read.
pub fn ground(
    config: &Config,
    inference: &inference::Config,
    patterns: &magsentinel_pattern::Config,
) -> Result<Ground, Error> {
    let book = Arc::new(Book::rated(config, inference)?);
    Ground::new(book, config, patterns).map_err(Error::Good)
}

/// The consumers: the router, and the analyzer of each shard.
#[must_use]
pub fn sharded(config: &Config, ground: &Ground, live: &Arc<Live>) -> Vec<Sharded> {
    let (book, overlay) = (ground.base(), ground.overlay());
    let router = routing(config, &book);
    let (made, live) = (Arc::new(config.clone()), Arc::clone(live));
    let analyzer = Sharded {
        name: Token::sanitised(stage::NAME),
        stream: Stream::Keyed,
        filters: Arc::new(|tenant, shard| vec![keyed_at(tenant, shard)]),
        whole: false,
        batch_max: config.batch_max,
        max_deliver: MAX_DELIVER,
        rebuild: rebuild(config, book.window_max()),
        snapshot_every: config.snapshot_every,
        fenced: true,
        make: Arc::new(move |shard| {
            let analyzer = stage::Analyzer::new(made.clone(), book.clone(), shard);
            let analyzer = analyzer.beside(Arc::clone(&overlay));
            Ok(Box::new(analyzer.following(Arc::clone(&live))))
        }),
    };
    vec![router, analyzer]
}

/// The router, under one lease: the server is told every few seconds how far it is, and not of
/// every event that it is done. Nothing that it publishes can be fenced; one that was paused and wakes
/// publishes again what the owner of a key drops by its id.
fn routing(config: &Config, book: &Arc<Book>) -> Sharded {
    let (made, book) = (config.clone(), Arc::clone(book));
    Sharded {
        name: Token::sanitised(router::NAME),
        stream: Stream::Scored,
        filters: Arc::new(|tenant, _| router::filters(tenant)),
        whole: true,
        batch_max: config.router_batch_max,
        max_deliver: MAX_DELIVER,
        // It keeps nothing.
        rebuild: Span::ms(0),
        snapshot_every: config.snapshot_every,
        fenced: false,
        make: Arc::new(move |_| Ok(Box::new(router::Router::new(&made, &book)))),
    }
}

/// What others may ask: [`Analyze`], answered in the encoding of the request, with no effect.
#[must_use]
pub fn endpoints(ground: &Ground, live: &Arc<Live>) -> Vec<Endpoint> {
    let (book, live) = (ground.base(), Arc::clone(live));
    let answer = move |payload: &[u8], content_type: Option<&str>| {
        let asked: Analyze =
            decode(payload, content_type, Limits::default()).map_err(|e| e.to_string())?;
        let newest = asked.scored.iter().map(|scored| scored.ts).max().unwrap_or_default();
        let assessments = analyze_with(&book, &live.current(), asked.scored, newest);
        let told = Analyzed { v: SCHEMA_VERSION, assessments };
        let json = content_type.is_some_and(|kind| kind.starts_with("application/json"));
        let written = if json { encode_json(&told) } else { encode(&told) };
        written.map_err(|e| e.to_string())
    };
    vec![Endpoint { name: "analyze", subject: Subject::Analyze, answer: Arc::new(answer) }]
}

/// How far back a new owner reads where there is no snapshot that it can use. An incident is open
/// for one window after its last member, which lies up to one window after its first, and closing
/// waits for the slowest source and the allowed lateness. Only then can an incident that goes on
/// for longer than that have a later first event for the new owner, and so go on under a new id.
fn rebuild(config: &Config, window_max: Duration) -> Span {
    let total = window_max * 2 + config.lateness.get() + config.source_lag_max.get();
    Span::ms(u64::try_from(total.as_millis()).unwrap_or(u64::MAX))
}
