//! The past of two that talk: whether they keep a beat.

use super::{Connection, turn};
use crate::features::sketch::{Beat, Decayed, Sizes};
use serde::{Deserialize, Serialize};

/// Connections nearer than this are one turn: programs open several at once.
const ONE_TURN_US: i64 = 2_000_000;
/// Turns before anything is said about their beat.
const TURNS_MIN: u32 = 12;
/// Largest deviation of the logarithms of the latest gaps. A gap drawn evenly from 60 to 140 % of
/// a period has 0.25; what people do has 1 and more.
const UNEVENNESS_MAX: f32 = 0.42;
/// Least share of the beat that comes back within a third: see [`Beat::regularity_wide`].
const REGULARITY_MIN: f32 = 0.4;
/// Largest deviation of the logarithms of what goes out and comes back in a turn. A program that
/// asks whether there is anything to do says nearly the same every time.
const UP_DEVIATION_MAX: f32 = 0.45;
const DOWN_DEVIATION_MAX: f32 = 0.75;
/// Half-life of attempts in vain, and how many are many: a program that means well tries more and
/// more seldom.
const VAIN_US: f64 = 600.0 * super::SECOND_US;
const VAIN_MIN: f32 = 60.0;
/// Most bytes of an ordinary turn of such a program, as a logarithm: 64 KiB.
const TURN_LN_MAX: f32 = 11.1;

/// What is remembered of a pair: source, destination, port and transport.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    #[serde(rename = "l")]
    last_us: i64,
    /// When the latest turn began.
    #[serde(rename = "t")]
    turn_us: i64,
    #[serde(rename = "f")]
    first_us: i64,
    #[serde(rename = "n")]
    turns: u32,
    /// Attempts in vain.
    #[serde(rename = "v")]
    vain: Decayed,
    #[serde(rename = "b")]
    beat: Beat,
    #[serde(rename = "u")]
    up: Sizes,
    #[serde(rename = "d")]
    down: Sizes,
}

/// A beat that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// The beat, seconds.
    pub period_s: f32,
    /// How many turns.
    pub turns: u32,
    /// Deviation of the gaps, as a share of them.
    pub jitter: f32,
    /// Hours since the first.
    pub hours: f32,
}

impl Pair {
    /// Learns a connection.
    pub fn observe(&mut self, seen: &Connection<'_>, now_us: i64, timed: bool) {
        if !timed {
            return;
        }
        let (now, elapsed) = turn(&mut self.last_us, now_us);
        self.vain.add(elapsed, VAIN_US, if seen.failed { 1.0 } else { 0.0 });
        if self.turns > 0 && now.saturating_sub(self.turn_us) < ONE_TURN_US {
            return;
        }
        if self.turns == 0 {
            self.first_us = now;
        }
        self.turn_us = now;
        self.turns = self.turns.saturating_add(1);
        self.beat.add(now);
        for (sizes, bytes) in [(&mut self.up, seen.up), (&mut self.down, seen.down)] {
            if let Some(bytes) = bytes {
                sizes.add((bytes as f32).ln_1p());
            }
        }
    }

    /// Attempts in vain, lately, where they are more than a program makes that gives up.
    #[must_use]
    pub fn calls_in_vain(&self) -> Option<f32> {
        let vain = self.vain.after(0, 1.0);
        (vain >= VAIN_MIN).then_some(vain)
    }

    /// The beat, where there is one that a program keeps which asks for orders.
    #[must_use]
    pub fn beacon(&self) -> Option<Heard> {
        let unevenness = self.beat.unevenness();
        let even = self.turns >= TURNS_MIN
            && unevenness <= UNEVENNESS_MAX
            && self.beat.regularity_wide() >= REGULARITY_MIN;
        let alike = self.up.deviation() <= UP_DEVIATION_MAX
            && self.down.deviation() <= DOWN_DEVIATION_MAX
            && self.up.mean() <= TURN_LN_MAX
            && self.down.mean() <= TURN_LN_MAX;
        (even && alike).then(|| Heard {
            period_s: self.beat.period_s().max(0.0),
            turns: self.turns,
            jitter: unevenness,
            hours: (self.last_us.saturating_sub(self.first_us) as f64 / super::HOUR_US) as f32,
        })
    }
}
