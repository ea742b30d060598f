//! Lists of words, found by word whatever its case.

/// A list and a hash table over it; `SLOTS` is a power of two at least twice the list's length.
pub(super) struct Words<const SLOTS: usize> {
    list: &'static [&'static str],
    table: [u16; SLOTS],
}

/// Longest word of a list, in bytes.
const LONGEST: usize = 24;

impl<const SLOTS: usize> Words<SLOTS> {
    /// For words in lower case.
    #[expect(clippy::indexing_slicing, reason = "when compiling, indices below the lengths")]
    pub(super) const fn new(list: &'static [&'static str]) -> Self {
        assert!(list.len() * 2 < SLOTS);
        let mut table = [0u16; SLOTS];
        let mut word = 0;
        while word < list.len() {
            assert!(list[word].len() <= LONGEST);
            let mut slot = hash(list[word].as_bytes()) % SLOTS;
            while table[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            table[slot] = word as u16 + 1;
            word += 1;
        }
        Self { list, table }
    }

    /// The place of a word in the list, whatever its case.
    pub(super) fn find(&self, word: &[u8]) -> Option<u16> {
        if word.len() < 2 || word.len() > LONGEST {
            return None;
        }
        let mut slot = hash(word) % SLOTS;
        loop {
            let place = usize::from(*self.table.get(slot)?).checked_sub(1)?;
            if self.list.get(place)?.as_bytes().eq_ignore_ascii_case(word) {
                return u16::try_from(place).ok();
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// FNV-1a over the word folded to lower case.
const fn hash(word: &[u8]) -> usize {
    let mut hash = 0x811C_9DC5u32;
    let mut rest = word;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ byte.to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    (hash ^ (hash >> 15)) as usize
}
