//! A set of small integers in a row of fixed width: how texts reach a model.

/// Exclusive upper bound of every id; the rows of a model's embedding table.
pub const BUCKETS: u32 = 16_384;

/// Ids below this are scalars: kind × [`SCALAR_STEPS`] + step + 1.
const RESERVED: u32 = 256;
pub(super) const SCALAR_STEPS: u32 = 12;

/// Number of bits of a length: 0, 1, 2, 2, 3 …, at most 11.
pub(super) fn log2(length: usize) -> usize {
    (usize::BITS - length.leading_zeros()).min(11) as usize
}

/// The slots of one event, filled from the front; `seen` makes an id occur once.
pub(super) struct Slots<'a> {
    out: std::slice::IterMut<'a, i32>,
    filled: usize,
    seen: [u64; BUCKETS as usize / 64],
}

impl<'a> Slots<'a> {
    pub(super) fn new(out: &'a mut [i32]) -> Self {
        out.fill(0);
        Self { out: out.iter_mut(), filled: 0, seen: [0; BUCKETS as usize / 64] }
    }

    /// Puts an id into the next slot unless it is there already or `end` slots are filled.
    pub(super) fn put(&mut self, id: u32, end: usize) {
        if self.filled >= end {
            return;
        }
        let Some(word) = self.seen.get_mut(id as usize / 64) else { return };
        let bit = 1u64 << (id % 64);
        if *word & bit != 0 {
            return;
        }
        *word |= bit;
        if let Some(slot) = self.out.next() {
            *slot = i32::try_from(id).unwrap_or(0);
            self.filled += 1;
        }
    }

    /// Puts each value, at most one less than [`SCALAR_STEPS`], as an id of its own kind.
    pub(super) fn scalars(&mut self, values: &[usize], end: usize) {
        self.scalars_from(0, values, end);
    }

    /// The same, the first of them of the kind `first`.
    pub(super) fn scalars_from(&mut self, first: u32, values: &[usize], end: usize) {
        for (kind, value) in (first..).zip(values) {
            let step = u32::try_from(*value).unwrap_or(u32::MAX).min(SCALAR_STEPS - 1);
            self.put(1 + kind * SCALAR_STEPS + step, end);
        }
    }

    /// Puts a value of a kind of its own, the salt, as an id beyond the scalars.
    pub(super) fn hashed(&mut self, salt: u32, value: u64, end: usize) {
        let mut hash = value ^ (u64::from(salt) << 56);
        hash = (hash ^ (hash >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let range = u64::from(BUCKETS - RESERVED);
        let id = (((hash >> 32) * range) >> 32) as u32;
        self.put(RESERVED + id, end);
    }

    /// 1..3-grams over tokens with a mark at either end, taken from the two ends inwards.
    pub(super) fn grams(&mut self, tokens: &[u16], salt: u32, end: usize) {
        let count = tokens.len().saturating_sub(2);
        for step in 0..count {
            if self.filled >= end {
                return;
            }
            let at = if step % 2 == 0 { step / 2 } else { count - 1 - step / 2 };
            let Some(&[first, second, third]) = tokens.get(at..at + 3) else { return };
            let (first, second, third) = (u64::from(first), u64::from(second), u64::from(third));
            self.hashed(salt, second, end);
            self.hashed(salt, first << 16 | second | 1 << 48, end);
            self.hashed(salt, first << 32 | second << 16 | third | 2 << 48, end);
            if at + 1 == count {
                self.hashed(salt, second << 16 | third | 1 << 48, end);
            }
        }
    }

    /// 4-grams over the folded characters of the text; of a longer one, of `bytes_max` bytes at
    /// either end.
    pub(super) fn shape(&mut self, bytes: &[u8], bytes_max: usize, end: usize) {
        if bytes.len() <= 2 * bytes_max {
            self.shape_of(bytes, end);
            return;
        }
        self.shape_of(bytes.get(..bytes_max).unwrap_or_default(), end);
        self.shape_of(bytes.get(bytes.len() - bytes_max..).unwrap_or_default(), end);
    }

    fn shape_of(&mut self, bytes: &[u8], end: usize) {
        let mut window = u32::from(b'^');
        let mut age = 0u32;
        let mut last = b'^';
        for byte in bytes.iter().chain(b"$") {
            let folded = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => b'a',
                b'0'..=b'9' => b'0',
                0..=b' ' | 0x7f => b' ',
                mark => *mark,
            };
            let foldable = matches!(folded, b'a' | b'0' | b' ');
            if foldable && folded == last {
                continue;
            }
            last = folded;
            window = window << 8 | u32::from(folded);
            age = if foldable { age + 1 } else { 0 };
            if age < 4 {
                self.hashed(0xE3, u64::from(window), end);
            }
        }
    }
}
