//! The only place that reads the wall clock.

use magsentinel_bus_schema::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The current time.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
