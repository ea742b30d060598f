//! Numbers kept in order while some come and others go.

/// Numbers of one run.
const RUN_MAX: usize = 512;

/// Numbers in order, cut into runs, so that one more or less moves a run's and not all of them. At
/// the most events that are kept of a key (65,536) there are a few hundred runs to step over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// None of them is empty.
    runs: Vec<Vec<u64>>,
    len: u64,
}

impl Order {
    /// How many.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn add(&mut self, value: u64) {
        self.len += 1;
        let at = self.run_of(value).min(self.runs.len().saturating_sub(1));
        let Some(run) = self.runs.get_mut(at) else {
            self.runs.push(vec![value]);
            return;
        };
        run.insert(run.partition_point(|v| *v < value), value);
        if run.len() > RUN_MAX {
            let second = run.split_off(RUN_MAX / 2);
            self.runs.insert(at + 1, second);
        }
    }

    /// Takes out one that was added.
    pub(super) fn remove(&mut self, value: u64) {
        let at = self.run_of(value);
        let Some(run) = self.runs.get_mut(at) else { return };
        let place = run.partition_point(|v| *v < value);
        if run.get(place) == Some(&value) {
            self.len -= 1;
            run.remove(place);
        }
        if run.is_empty() {
            self.runs.remove(at);
        }
    }

    /// The first run that ends with this number or a higher one.
    fn run_of(&self, value: u64) -> usize {
        self.runs.partition_point(|run| run.last().is_some_and(|last| *last < value))
    }

    /// The number that `before` others come before; 0 where there are not so many.
    pub(super) fn nth(&self, before: u64) -> u64 {
        let mut left = usize::try_from(before).unwrap_or(usize::MAX);
        for run in &self.runs {
            match run.get(left) {
                Some(value) => return *value,
                None => left -= run.len(),
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_found_in_its_place_among_many_that_come_and_go() {
        let (mut order, mut plain) = (Order::default(), Vec::new());
        for n in 0..6000_u64 {
            // Many different ones, some of them often.
            let value = n * 7919 % 1009 * (n % 3);
            order.add(value);
            plain.push(value);
            if n % 5 == 4 {
                let gone = plain.swap_remove((n * 31 % plain.len() as u64) as usize);
                order.remove(gone);
            }
        }
        plain.sort_unstable();
        assert!(order.runs.len() > 4, "{} runs", order.runs.len());
        assert_eq!(order.len(), plain.len() as u64);
        let all: Vec<u64> = (0..order.len()).map(|n| order.nth(n)).collect();
        assert_eq!(all, plain);
        order.remove(1_000_000);
        plain.iter().for_each(|value| order.remove(*value));
        assert_eq!((order.len(), order.nth(0)), (0, 0));
        assert!(order.runs.is_empty());
    }
}
