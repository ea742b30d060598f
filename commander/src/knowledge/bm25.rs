//! A small inverted index, ranked by BM25.
//!
//! Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with
//! the usual constants and the idf that cannot fall below zero. Exact: every document that shares
//! a term is scored. It holds no text, only the hashes of terms; whoever asks has the words.

use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use std::collections::HashMap;

/// How fast more of the same term stops to count.
const K1: f32 = 1.2;
/// How much a long document is held against its score.
const B: f32 = 0.75;
/// Bits of a posting that count a term's occurrences; the others name the document.
const COUNT_BITS: u32 = 8;
/// Most occurrences of a term that are counted.
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
/// Most documents.
pub const DOCUMENTS_MAX: usize = 1 << (32 - COUNT_BITS);

/// A term, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(u64);

impl Term {
    /// The term of a text. Equal texts are equal terms; that others are not is as sure as 64
    /// bits of SHA-256 are.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let mut first = [0; 8];
        first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(u64::from_be_bytes(first))
    }

    /// As a number, to be kept.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// Of a number that was kept.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A document that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its number, as [`Index::add`] gave it.
    pub document: u32,
    /// Its score, above 0; more is better.
    pub score: f32,
}

/// The index. About 4 bytes a term and document, and 40 for each different term.
#[derive(Debug, Default)]
pub struct Index {
    /// Documents and counts, packed.
    postings: HashMap<Term, SmallVec<[u32; 2]>>,
    /// Terms of each document.
    lengths: Vec<u32>,
    total: u64,
}

impl Index {
    /// Adds a document and gives its number; none when there are [`DOCUMENTS_MAX`].
    pub fn add(&mut self, terms: &[Term]) -> Option<u32> {
        if self.lengths.len() >= DOCUMENTS_MAX {
            return None;
        }
        let document = u32::try_from(self.lengths.len()).ok()?;
        self.lengths.push(0);
        self.extend(document, terms);
        Some(document)
    }

    /// Adds terms to a document; those that it has already count once more.
    pub fn extend(&mut self, document: u32, terms: &[Term]) {
        let newest = document as usize + 1 == self.lengths.len();
        let Some(length) = self.lengths.get_mut(document as usize) else { return };
        let added = u32::try_from(terms.len()).unwrap_or(u32::MAX);
        *length = length.saturating_add(added);
        self.total += u64::from(added);
        for term in terms {
            let postings = self.postings.entry(*term).or_default();
            // The newest document can only stand last; one that grows, anywhere.
            let looked_at = if newest { 1 } else { postings.len() };
            let known = |p: &&mut u32| **p >> COUNT_BITS == document;
            match postings.iter_mut().rev().take(looked_at).find(known) {
                Some(posting) if *posting & COUNT_MAX < COUNT_MAX => *posting += 1,
                Some(_) => {}
                None => postings.push(document << COUNT_BITS | 1),
            }
        }
    }

    /// Number of documents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether it has no document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// How many documents hold a term.
    #[must_use]
    pub fn holding(&self, term: Term) -> usize {
        self.postings.get(&term).map_or(0, |postings| postings.len())
    }

    /// The `max` best documents that share a term and that `wanted` lets through, best first; of
    /// equals the newest.
    #[must_use]
    pub fn search(&self, terms: &[Term], max: usize, wanted: impl Fn(u32) -> bool) -> Vec<Hit> {
        let mut scores = vec![0.0_f32; self.lengths.len()];
        let mean = (self.total as f32 / self.lengths.len().max(1) as f32).max(1.0);
        for term in terms {
            let Some(postings) = self.postings.get(term) else { continue };
            let idf = idf(self.lengths.len(), postings.len());
            for posting in postings {
                let at = (posting >> COUNT_BITS) as usize;
                let (Some(score), Some(length)) = (scores.get_mut(at), self.lengths.get(at)) else {
                    continue;
                };
                *score += idf * weight(posting & COUNT_MAX, *length, mean);
            }
        }
        let hits = (0_u32..).zip(scores).filter(|(_, score)| *score > 0.0);
        let mut best: Vec<Hit> = Vec::with_capacity(max + 1);
        for (document, score) in hits {
            let place = best.partition_point(|hit| hit.score > score);
            if place < max && wanted(document) {
                best.insert(place, Hit { document, score });
                best.truncate(max);
            }
        }
        best
    }
}

fn idf(documents: usize, holding: usize) -> f32 {
    let (n, df) = (documents as f32, holding as f32);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
}

fn weight(count: u32, length: u32, mean: f32) -> f32 {
    let count = count as f32;
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length as f32 / mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<Term> {
        text.split(' ').map(Term::of).collect()
    }

    /// BM25 from its formula, document by document.
    fn oracle(documents: &[Vec<Term>], query: &[Term]) -> Vec<f32> {
        let mean = documents.iter().map(Vec::len).sum::<usize>() as f32 / documents.len() as f32;
        let holding = |t: &Term| documents.iter().filter(|d| d.contains(t)).count();
        let score = |document: &Vec<Term>| {
            let of = |t: &Term| {
                let count = document.iter().filter(|x| *x == t).count() as u32;
                let length = document.len() as u32;
                idf(documents.len(), holding(t)) * weight(count, length, mean)
            };
            query.iter().map(of).sum()
        };
        documents.iter().map(score).collect()
    }

    #[test]
    fn the_best_come_first_as_the_formula_has_them() {
        // Words of a small vocabulary, drawn by a fixed recurrence.
        let mut seed = 7_u64;
        let mut draw = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (seed >> 33) % n
        };
        let documents: Vec<Vec<Term>> = (0..300)
            .map(|_| (0..3 + draw(20)).map(|_| Term::of(&format!("w{}", draw(40)))).collect())
            .collect();
        let mut index = Index::default();
        for document in &documents {
            index.add(document);
        }
        for _ in 0..50 {
            let query: Vec<Term> = (0..4).map(|_| Term::of(&format!("w{}", draw(44)))).collect();
            let scores = oracle(&documents, &query);
            let hits = index.search(&query, 10, |_| true);
            let mut want: Vec<f32> = scores.iter().copied().filter(|s| *s > 0.0).collect();
            want.sort_by(|a, b| b.total_cmp(a));
            for (hit, want) in hits.iter().zip(want) {
                assert!((hit.score - want).abs() < 1e-3, "{hit:?} {want}");
                assert!((scores[hit.document as usize] - hit.score).abs() < 1e-3);
            }
            assert_eq!(hits.len(), scores.iter().filter(|s| **s > 0.0).count().min(10));
        }
    }

    #[test]
    fn rare_terms_count_more_newer_documents_win_ties_and_unwanted_ones_are_left_out() {
        let mut index = Index::default();
        let first = index.add(&terms("login user_ann")).unwrap();
        let second = index.add(&terms("login user_bob")).unwrap();
        let third = index.add(&terms("login user_cid")).unwrap();
        let found = |q: &str, not: u32| -> Vec<u32> {
            index.search(&terms(q), 2, |d| d != not).iter().map(|h| h.document).collect()
        };
        assert_eq!(found("login user_ann", 9), [first, third]);
        assert_eq!(found("login", third), [second, first]);
        assert_eq!(found("nothing", 9), Vec::<u32>::new());
    }

    #[test]
    fn a_document_that_grows_is_found_by_what_it_grew() {
        let mut index = Index::default();
        let first = index.add(&terms("a")).unwrap();
        index.add(&terms("b"));
        index.extend(first, &terms("c"));
        assert_eq!(index.search(&terms("c"), 5, |_| true)[0].document, first);
        assert_eq!(index.len(), 2);
    }
}
