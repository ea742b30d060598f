//! Features of `auth-sentry`: one event of authentication against the past of its address, and
//! against the past of its account.
//!
//! [`AddressPast`] and [`UserPast`] are all that is kept of a key; each compares an event with
//! itself, then learns it. The two have features of their own in one row, of which the other's half
//! is zero, so that one model reads both. Only event time is read: a clock that goes back counts
//! as no time passed, what is absurd is absent, and what is absent is never guessed.

mod address;
mod agent;
mod event;
mod past;
mod place;
mod user;

pub use address::AddressPast;
pub use event::{Attempt, Outcome, Reason};
pub use user::UserPast;

/// Features that both halves begin with.
const COMMON: usize = past::NAMES.len();
/// Features of an address.
const ADDRESS: usize = COMMON + address::NAMES.len();
/// Features of an account.
const USER: usize = COMMON + user::NAMES.len();

/// Number of features: those of the address, then those of the account.
pub const WIDTH: usize = ADDRESS + USER;

/// The first feature of the account's half.
const USER_FROM: usize = ADDRESS;

/// Where a feature of the address's half stands in a row. Panics, at compile time, at a name that
/// does not exist.
#[must_use]
pub const fn address_feature(name: &str) -> usize {
    within(name, &address::NAMES)
}

/// Where a feature of the account's half stands in a row. Panics, at compile time, at a name that
/// does not exist.
#[must_use]
pub const fn user_feature(name: &str) -> usize {
    USER_FROM + within(name, &user::NAMES)
}

#[expect(clippy::panic, reason = "runs at compile time only")]
const fn within(name: &str, own: &[&str]) -> usize {
    if let Some(at) = position(name, &past::NAMES) {
        return at;
    }
    match position(name, own) {
        Some(at) => COMMON + at,
        None => panic!("no feature of this name"),
    }
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time only")]
const fn position(name: &str, among: &[&str]) -> Option<usize> {
    let mut at = 0;
    while at < among.len() {
        let (known, name) = (among[at].as_bytes(), name.as_bytes());
        let mut same = 0;
        while same < known.len() && same < name.len() && known[same] == name[same] {
            same += 1;
        }
        if same == known.len() && same == name.len() {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// What each feature says, in order.
pub fn names() -> impl Iterator<Item = String> {
    let of = |whose: &'static str, own: &'static [&'static str]| {
        past::NAMES.iter().chain(own).map(move |name| format!("{whose}: {name}"))
    };
    of("address", &address::NAMES).chain(of("account", &user::NAMES))
}

const SECOND_US: f64 = 1e6;
const MINUTE_US: f64 = 60.0 * SECOND_US;
const HOUR_US: f64 = 3600.0 * SECOND_US;
const DAY_US: f64 = 24.0 * HOUR_US;
/// Half-life of the long memory, against which hours are measured.
const LONG_US: f64 = 28.0 * DAY_US;

/// The natural logarithm of one plus a number.
fn ln(value: f32) -> f32 {
    value.max(0.0).ln_1p()
}

fn flag(value: bool) -> f32 {
    f32::from(u8::from(value))
}

/// Writes features, each within bounds that no model minds.
fn fill(out: &mut [f32], values: impl Iterator<Item = f32>) {
    for (slot, value) in out.iter_mut().zip(values) {
        *slot = if value.is_finite() { value.clamp(-40.0, 40.0) } else { 0.0 };
    }
}

#[cfg(test)]
mod tests;
