//! The few places that a client asks for most, each with counters of its own.
//!
//! Kept as Misra and Gries keep frequent items: a request for a place that is none of them takes
//! a little of the standing of all, and only a place without any standing is given up. So
//! whatever is asked for in between, a place that has more than a fifth of the requests stays.

use super::{BRIEF_US, MINUTE_US, STEPS_US};
use serde::{Deserialize, Serialize};

/// Most standing, so that a place that was left makes room soon.
const HELD_MAX: f32 = 6.0;

/// Counters of one place. They fade together, see [`Places::fade`].
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// Its path with numbers left out, hashed.
    #[serde(rename = "s")]
    shape: u32,
    /// Its standing among the places.
    #[serde(rename = "h")]
    held: f32,
    /// Requests within seconds.
    #[serde(rename = "b")]
    pub(super) burst: f32,
    /// Distinct pages.
    #[serde(rename = "p")]
    pub(super) pages: f32,
    /// Numbers tried one after the other, and those of them that were refused.
    #[serde(rename = "n")]
    pub(super) steps: f32,
    #[serde(rename = "r")]
    pub(super) refused: f32,
    /// The latest number, its low half.
    #[serde(rename = "l")]
    last: u32,
}

impl Place {
    pub(super) fn page(&mut self, counts: f32) {
        self.pages += counts;
    }

    /// Takes a number in that names a thing.
    pub(super) fn step(&mut self, number: u64, refused: bool, new: bool) {
        let number = (number & u64::from(u32::MAX)) as u32;
        let off = number.abs_diff(self.last);
        if !new {
            // Pages that are read again are no enumeration.
        } else if (1..=3).contains(&off) {
            self.steps += 1.0;
            self.refused += f32::from(u8::from(refused));
        } else if (4..=12).contains(&off) {
            // Several workers of one client overtake each other.
            self.steps += 0.4;
        } else if off > 0 {
            self.steps = (self.steps - 3.0).max(0.0);
        }
        self.last = number;
    }
}

/// The places of one client.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Places([Place; 4]);

impl Places {
    /// Counts a request for a place, and says where its counters are; `None` while there is no
    /// room for it.
    pub(super) fn visit(&mut self, shape: u32, counts: f32) -> Option<usize> {
        let known = self.0.iter().position(|place| place.shape == shape);
        let at = known.or_else(|| self.0.iter().position(|place| place.held < 0.5));
        let Some(place) = at.and_then(|at| self.0.get_mut(at)) else {
            self.0.iter_mut().for_each(|place| place.held -= 1.0);
            return None;
        };
        if known.is_none() {
            *place = Place { shape, ..Place::default() };
        }
        place.held = (place.held + 1.0).min(HELD_MAX);
        place.burst += counts;
        at
    }

    pub(super) fn get(&self, at: usize) -> Option<&Place> {
        self.0.get(at)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Place> {
        self.0.get_mut(at)
    }

    /// Lets time pass; half of the pages are gone after `pages_us`.
    pub(super) fn fade(&mut self, elapsed_us: i64, pages_us: f64) {
        let left = |half_life_us: f64| (-(elapsed_us as f64) / half_life_us).exp2() as f32;
        let (held, burst) = (left(MINUTE_US), left(BRIEF_US));
        let (pages, steps) = (left(pages_us), left(STEPS_US));
        for place in &mut self.0 {
            place.held *= held;
            place.burst *= burst;
            place.pages *= pages;
            place.steps *= steps;
            place.refused *= steps;
        }
    }
}
