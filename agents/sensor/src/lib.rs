//! World to event: follows logs, plays recordings back, and takes in what publishers send.
//!
//! The parsers ([`parse`]), the framing of lines ([`lines`]), the pace of a replay
//! ([`replay::pace`]) and the ingest stage ([`ingest`]) are pure: bytes and `now` in, events
//! out. Only [`tail`] and [`replay`] touch files and wait, and both hand what they read to a
//! [`Publisher`] and go on only after it has confirmed.

mod cells;
pub mod config;
pub mod envelope;
pub mod ingest;
pub mod lines;
pub mod parse;
pub mod publisher;
pub mod replay;
pub mod shape;
pub mod tail;

pub use config::{Config, Format, From, Tail, parse_tail};
pub use ingest::{Ingest, pools};
pub use publisher::{PublishError, Publisher};
pub use replay::{Replay, replay};
pub use tail::{Board, tail};
