//! Detection over false positives: what other thresholds would give.

use crate::figures::{Overall, Side, overall};
use std::collections::BTreeMap;

/// Shares of benign rows that may be flagged.
pub(crate) const FALSE_POSITIVES: [f64; 5] = [0.0005, 0.001, 0.002, 0.005, 0.01];

/// A point of the curve.
pub(crate) struct Point {
    /// The share of benign rows that may be flagged, and that of those that are.
    pub(crate) wanted: f64,
    pub(crate) reached: f64,
    /// What scores above it is flagged.
    pub(crate) above: f64,
    /// Detection over sources.
    pub(crate) detection: Overall,
}

/// The points, where there are attacks and benign rows. Benign rows count alike, whatever their
/// source; attacks count by source.
pub(crate) fn points(attacks: &BTreeMap<&str, Side>, benign: &BTreeMap<&str, Side>) -> Vec<Point> {
    let mut calm: Vec<f64> = benign.values().flat_map(|side| side.scores.iter().copied()).collect();
    calm.sort_by(|a, b| b.total_cmp(a));
    let point = |wanted: f64| {
        // One more row is flagged only when the share allows it, so ties stay below.
        let most = (wanted * calm.len() as f64).floor() as usize;
        let above = calm.get(most).copied()?;
        let reached = calm.iter().filter(|score| **score > above).count() as f64;
        let share = |side: &Side| {
            let found = side.scores.iter().filter(|score| **score > above).count();
            found as f64 / side.scores.len().max(1) as f64
        };
        let shares: Vec<(String, f64)> =
            attacks.iter().map(|(name, side)| ((*name).to_owned(), share(side))).collect();
        let detection = overall(&shares, true)?;
        Some(Point { wanted, reached: reached / calm.len() as f64, above, detection })
    };
    FALSE_POSITIVES.into_iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(scores: impl Iterator<Item = f64>) -> Side {
        Side { scores: scores.collect(), ..Side::default() }
    }

    #[test]
    fn a_threshold_lets_no_more_benign_rows_through_than_allowed() {
        let benign = BTreeMap::from([("b", side((0..1000).map(|n| f64::from(n) / 1000.0)))]);
        let attacks = BTreeMap::from([
            ("x", side([0.9985, 0.9955, 0.5].into_iter())),
            ("y", side([1.0].into_iter())),
        ]);
        let points = points(&attacks, &benign);
        let told = points.iter().map(|p| (p.wanted, p.reached, p.above, p.detection.worst));
        let third = 1.0 / 3.0;
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (0.0005, 0.0, 0.999, 0.0),
                (0.001, 0.001, 0.998, third),
                (0.002, 0.002, 0.997, third),
                (0.005, 0.005, 0.994, 2.0 * third),
                (0.01, 0.01, 0.989, 2.0 * third),
            ]
        );
        assert!((points[1].detection.mean - (third + 1.0) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn many_rows_of_one_score_are_flagged_together_or_not_at_all() {
        let tied = side([0.9; 50].into_iter().chain([0.1; 950]));
        let attacks = BTreeMap::from([("x", side([0.9, 0.95].into_iter()))]);
        for point in points(&attacks, &BTreeMap::from([("b", tied)])) {
            assert_eq!((point.reached, point.detection.worst), (0.0, 0.5), "{}", point.wanted);
        }
        assert!(points(&attacks, &BTreeMap::new()).is_empty());
    }
}
