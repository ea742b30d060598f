//! The timeline as a drawing: SVG that stands inside a page. One lane for each sort of entry,
//! time from left to right, a dot an entry in the colour of its level.

use super::{html::escaped, millis};
use crate::{Entry, Moment};
use magsentinel_bus_schema::{Level, Timestamp};
use std::fmt::Write as _;

const WIDTH: i64 = 960;
const LEFT: i64 = 110;
const RIGHT: i64 = 24;
const LANE: i64 = 28;
const TOP: i64 = 16;
/// Most entries drawn; more are counted.
const DRAWN_MAX: usize = 1000;

/// The drawing; empty without entries.
pub(super) fn drawing(entries: &[Entry]) -> String {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return String::new();
    };
    let mut lanes: Vec<Moment> = entries.iter().map(|entry| entry.what).collect();
    lanes.sort();
    lanes.dedup();
    let height = TOP + LANE * i64::try_from(lanes.len()).unwrap_or(1) + 28;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Timeline\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n"
    );
    // Writing to a string cannot fail.
    for (lane, what) in (0..).zip(&lanes) {
        let y = middle(lane);
        let _ = writeln!(
            svg,
            "<text class=\"lane\" x=\"0\" y=\"{}\">{}</text><line x1=\"{LEFT}\" y1=\"{y}\" \
             x2=\"{}\" y2=\"{y}\"/>",
            y + 4,
            what.token(),
            WIDTH - RIGHT
        );
    }
    for entry in entries.iter().take(DRAWN_MAX) {
        let lane = lanes.iter().position(|what| *what == entry.what).unwrap_or_default();
        let (x, y) = (across(entry.at, first.at, last.at), middle(lane));
        let level = entry.level.unwrap_or(Level::None);
        let told = format!("{} {}", millis(entry.at), entry.text);
        let _ = writeln!(
            svg,
            "<circle class=\"{level}\" cx=\"{x}\" cy=\"{y}\" r=\"6\"><title>{}</title></circle>",
            escaped(&told, 300)
        );
    }
    let y = height - 8;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{y}\">{}</text><text class=\"end\" x=\"{}\" y=\"{y}\">{}</text>\n\
         </svg>",
        millis(first.at),
        WIDTH - RIGHT,
        millis(last.at)
    );
    if entries.len() > DRAWN_MAX {
        let _ = writeln!(svg, "<p>{} more entries are not drawn.</p>", entries.len() - DRAWN_MAX);
    }
    svg
}

fn middle(lane: usize) -> i64 {
    TOP + LANE * i64::try_from(lane).unwrap_or_default() + LANE / 2
}

fn across(at: Timestamp, first: Timestamp, last: Timestamp) -> i64 {
    let whole = last.micros().saturating_sub(first.micros()).max(1);
    let part = at.micros().saturating_sub(first.micros());
    let width = WIDTH - LEFT - RIGHT - 12;
    let offset = i128::from(part) * i128::from(width) / i128::from(whole);
    LEFT + 6 + i64::try_from(offset).unwrap_or_default()
}
