//! Bytes to complete lines with their offsets: the pure part of following a file.

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A newline.
    Newline,
    /// A newline outside quotes (RFC 4180). A closing quote must be followed by a comma or a
    /// newline; anything else proves that the record before was cut, and reading begins anew
    /// at the last newline. Text inside quotes cannot bring this about, because its own quotes
    /// are doubled.
    Csv,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A complete line.
    Line,
    /// A line over the limit; only its beginning is kept.
    TooLong,
    /// A CSV record that was cut, found out by what followed it.
    Broken,
    /// The file ended before the line did.
    Cut,
}

/// A part of the input. Pieces follow each other without gap or overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset of its first byte.
    pub offset: u64,
    /// Offset after its last byte, newline included.
    pub end: u64,
    /// Its bytes, without the newline and a carriage return before it.
    pub bytes: Vec<u8>,
    /// What it is.
    pub what: What,
}

/// Bytes that are kept of a line over the limit.
pub const HEAD_BYTES: usize = 64 * 1024;

/// Collects chunks of any size and gives out lines, in memory bounded by the longest line.
#[derive(Debug)]
pub struct Lines {
    framing: Framing,
    max: usize,
    /// Offset of the current record's first byte.
    start: u64,
    /// Bytes of the current record so far; after `skipping`, only its beginning.
    held: Vec<u8>,
    /// Bytes of the current record so far, those that were not kept included.
    len: u64,
    skipping: bool,
    quotes: Quotes,
    /// Index after the last newline inside the current record.
    line_in_record: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quotes {
    /// At the beginning of a field.
    #[default]
    Field,
    /// Inside a field without quotes.
    Bare,
    /// Inside quotes.
    Inside,
    /// After a quote inside quotes: the next byte says what it was.
    Maybe,
}

impl Lines {
    /// Begins at an offset, which must be the beginning of a line. `max` is the longest line in
    /// bytes, without its newline.
    #[must_use]
    pub fn new(framing: Framing, max: usize, offset: u64) -> Self {
        Self {
            framing,
            max,
            start: offset,
            held: Vec::new(),
            len: 0,
            skipping: false,
            quotes: Quotes::Field,
            line_in_record: None,
        }
    }

    /// Offset of the first byte that was not given out yet: where to go on after a restart.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.start
    }

    /// Takes the next bytes and gives out what they complete.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) {
        match self.framing {
            Framing::Newline => {
                for part in bytes.split_inclusive(|b| *b == b'\n') {
                    self.keep(part);
                    if part.ends_with(b"\n") {
                        self.complete(out);
                    }
                }
            }
            Framing::Csv => {
                for byte in bytes {
                    self.push_csv(*byte, out);
                }
            }
        }
    }

    /// Gives out what is left when no more bytes will come.
    pub fn finish(&mut self, out: &mut Vec<Piece>) {
        if self.len > 0 {
            let what = if self.skipping { What::TooLong } else { What::Cut };
            self.give(what, out);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        self.len += part.len() as u64;
        if !self.skipping {
            self.held.extend_from_slice(part);
            // The newline itself does not count.
            let over = self.held.len() - usize::from(self.held.ends_with(b"\n")) > self.max;
            if over {
                self.skipping = true;
                self.held.truncate(self.max.min(HEAD_BYTES));
                self.held.shrink_to_fit();
            }
        }
    }

    fn complete(&mut self, out: &mut Vec<Piece>) {
        let what = if self.skipping { What::TooLong } else { What::Line };
        self.give(what, out);
    }

    fn give(&mut self, what: What, out: &mut Vec<Piece>) {
        let mut bytes = std::mem::take(&mut self.held);
        if what == What::Line {
            bytes.pop_if(|b| *b == b'\n');
            bytes.pop_if(|b| *b == b'\r');
        }
        let end = self.start + self.len;
        out.push(Piece { offset: self.start, end, bytes, what });
        self.start = end;
        self.len = 0;
        self.skipping = false;
        self.quotes = Quotes::Field;
        self.line_in_record = None;
    }

    fn push_csv(&mut self, byte: u8, out: &mut Vec<Piece>) {
        let next = match (self.quotes, byte) {
            (Quotes::Field, b'"') | (Quotes::Maybe, b'"') => Quotes::Inside,
            (Quotes::Inside, b'"') => Quotes::Maybe,
            (Quotes::Inside, _) => Quotes::Inside,
            (_, b',') => Quotes::Field,
            (Quotes::Maybe, b'\r' | b'\n') => Quotes::Bare,
            (Quotes::Maybe, _) => {
                self.resume_after_break(out);
                // What was held is read again as a record of its own, and so is this byte.
                return self.push_csv(byte, out);
            }
            (Quotes::Field | Quotes::Bare, _) => Quotes::Bare,
        };
        self.keep(&[byte]);
        if byte == b'\n' {
            if next == Quotes::Inside {
                self.line_in_record = Some(self.held.len()).filter(|_| !self.skipping);
            } else {
                return self.complete(out);
            }
        }
        self.quotes = next;
    }

    /// The quotes do not add up: everything up to the last newline was a record that was cut.
    /// Without such a newline the line itself is broken and ends at its own newline.
    fn resume_after_break(&mut self, out: &mut Vec<Piece>) {
        let at = self.line_in_record.take().filter(|_| !self.skipping);
        let Some(at) = at else {
            self.quotes = Quotes::Bare;
            return;
        };
        let rest = self.held.split_off(at.min(self.held.len()));
        self.len -= rest.len() as u64;
        self.give(What::Broken, out);
        for byte in rest {
            self.push_csv(byte, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(framing: Framing, max: usize, chunks: &[&[u8]]) -> Vec<Piece> {
        let mut lines = Lines::new(framing, max, 0);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, &mut out);
        }
        lines.finish(&mut out);
        out
    }

    fn told(pieces: &[Piece]) -> Vec<(What, String)> {
        pieces.iter().map(|p| (p.what, String::from_utf8_lossy(&p.bytes).into_owned())).collect()
    }

    #[test]
    fn a_record_with_newlines_in_quotes_is_one_line() {
        let text = b"1,\"a\n\"\"b\"\"\nc\",2\r\n3,x\n";
        let found = told(&all(Framing::Csv, 100, &[text]));
        let want = [(What::Line, "1,\"a\n\"\"b\"\"\nc\",2"), (What::Line, "3,x")];
        assert_eq!(found, want.map(|(w, s)| (w, s.to_owned())));
    }

    #[test]
    fn a_cut_record_costs_itself_and_not_those_after_it() {
        let text = b"1,\"SELECT foo\n2,\"b\",x\n3,\"c\"\n";
        let found = told(&all(Framing::Csv, 100, &[text]));
        let want = [
            (What::Broken, "1,\"SELECT foo\n"),
            (What::Line, "2,\"b\",x"),
            (What::Line, "3,\"c\""),
        ];
        assert_eq!(found, want.map(|(w, s)| (w, s.to_owned())));
    }

    #[test]
    fn text_inside_quotes_cannot_pose_as_a_record() {
        let forged = b"1,\"x\n2026-11-21,\"\"forged\"\",y\n\",end\n";
        assert_eq!(all(Framing::Csv, 100, &[forged]).len(), 1);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_to_its_end_in_bounded_memory() {
        let mut lines = Lines::new(Framing::Newline, 10, 0);
        let mut out = Vec::new();
        for _ in 0..1000 {
            lines.push(&[b'x'; 1000], &mut out);
            assert!(lines.held.capacity() <= 2048);
        }
        lines.push(b"\nok\n", &mut out);
        assert_eq!((out[0].what, out[0].bytes.len(), out[0].end), (What::TooLong, 10, 1_000_001));
        assert_eq!((out[1].what, out[1].bytes.as_slice()), (What::Line, &b"ok"[..]));
        assert_eq!(all(Framing::Newline, 2, &[b"ab\n"])[0].what, What::Line);
    }

    fn chunked(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut at: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        at.windows(2).map(|w| bytes[w[0]..w[1]].to_vec()).collect()
    }

    proptest! {
        /// Every byte is in exactly one piece, and how the bytes arrive makes no difference.
        #[test]
        fn no_byte_is_lost_or_doubled_however_they_arrive(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'"'), Just(b','), Just(b'\r'), any::<u8>()],
                0..400,
            ),
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
            max in 1_usize..50,
            csv in any::<bool>(),
        ) {
            let framing = if csv { Framing::Csv } else { Framing::Newline };
            let whole = all(framing, max, &[&bytes]);
            let parts = chunked(&bytes, &cuts);
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(&all(framing, max, &parts), &whole);
            let mut next = 0;
            for piece in &whole {
                prop_assert_eq!(piece.offset, next);
                next = piece.end;
                let source = &bytes[piece.offset as usize..piece.end as usize];
                prop_assert!(source.starts_with(&piece.bytes));
                if piece.what == What::Line {
                    prop_assert!(source.len() - piece.bytes.len() <= 2);
                }
            }
            prop_assert_eq!(next, bytes.len() as u64);
        }

        /// A restart at the offset goes on as if nothing had happened.
        #[test]
        fn a_restart_goes_on_at_the_offset(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            cut in any::<usize>(),
        ) {
            let cut = cut % (bytes.len() + 1);
            let mut first = Lines::new(Framing::Newline, 1000, 0);
            let mut found = Vec::new();
            first.push(&bytes[..cut], &mut found);
            let mut second = Lines::new(Framing::Newline, 1000, first.offset());
            second.push(&bytes[first.offset() as usize..], &mut found);
            second.finish(&mut found);
            prop_assert_eq!(found, all(Framing::Newline, 1000, &[&bytes]));
        }
    }
}
