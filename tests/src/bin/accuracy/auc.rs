//! Area under the curve: how often an attack scores higher than a benign row.

/// 0..=1, a tie counting one half; `None` where one of the two is empty.
pub(crate) fn auc(attacks: &[f64], benign: &[f64]) -> Option<f64> {
    if attacks.is_empty() || benign.is_empty() {
        return None;
    }
    let mut benign = benign.to_vec();
    benign.sort_by(f64::total_cmp);
    let wins: f64 = attacks
        .iter()
        .map(|score| {
            let below = benign.partition_point(|other| other < score);
            let up_to = benign.partition_point(|other| other <= score);
            (below + up_to) as f64 / 2.0
        })
        .sum();
    Some(wins / (attacks.len() as f64 * benign.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::auc;

    #[test]
    fn it_counts_pairs_and_ties_as_half() {
        assert_eq!(auc(&[0.9, 0.8], &[0.1, 0.2]), Some(1.0));
        assert_eq!(auc(&[0.1], &[0.9]), Some(0.0));
        assert_eq!(auc(&[0.5], &[0.5, 0.5]), Some(0.5));
        assert_eq!(auc(&[0.9, 0.5], &[0.5, 0.1]), Some(0.875));
        assert_eq!(auc(&[], &[0.5]), None);
    }

    #[test]
    fn it_agrees_with_counting_every_pair() {
        let value = |n: u64| ((n * 2_654_435_761) % 17) as f64 / 17.0;
        let attacks: Vec<f64> = (0..60).map(value).collect();
        let benign: Vec<f64> = (60..150).map(value).collect();
        let pair = |a: f64, b: f64| f64::from(a > b) + f64::from(a == b) / 2.0;
        let sum: f64 = attacks.iter().flat_map(|a| benign.iter().map(|b| pair(*a, *b))).sum();
        let want = sum / (attacks.len() * benign.len()) as f64;
        assert!((auc(&attacks, &benign).unwrap() - want).abs() < 1e-9);
    }
}
