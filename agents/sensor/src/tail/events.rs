//! Pieces of a log to what is published: the pure middle of a tail.

use super::board::Tally;
use crate::{
    Tail,
    envelope::{Bounds, Refused, dead_letter, publish},
    lines::{Piece, What},
    parse::{Found, Parsed, Parser},
    publisher::Placed,
};
use magsentinel_bus_schema::{Event, Id, Kind, SCHEMA_VERSION, Source, Tenant, Timestamp};
use magsentinel_runtime::stage::Publish;
use std::{borrow::Cow, collections::BTreeMap, path::Path};

/// Reads the pieces of one tail.
#[derive(Debug)]
pub struct Reader {
    tenant: Tenant,
    source: Source,
    parser: Parser,
    bounds: Bounds,
}

impl Reader {
    /// For a tail.
    #[must_use]
    pub fn new(tenant: &Tenant, tail: &Tail, parser: Parser, bounds: Bounds) -> Self {
        let source = Source {
            sensor: tail.format.token().to_owned(),
            name: tail.path.display().to_string(),
            trust: tail.trust,
        };
        Self { tenant: tenant.clone(), source, parser, bounds }
    }

    /// Takes in the header of a file that is read on from a later place.
    pub(super) fn header(&mut self, lines: &[String], now: Timestamp) {
        for line in lines {
            // It holds no events, and was told of when it was read first.
            drop(self.parser.line(line, now));
        }
    }

    /// The messages of some pieces of one file, in order, and what they add to the status.
    pub(super) fn read(
        &mut self,
        pieces: &[Piece],
        file: &Path,
        fingerprint: &str,
        now: Timestamp,
    ) -> (Vec<Placed>, Tally) {
        self.source.name = file.display().to_string();
        let mut batch = Vec::new();
        let mut tally = Tally::default();
        for piece in pieces {
            tally.lines += 1;
            let refused = match self.piece(piece, fingerprint, now, &mut tally) {
                Ok(messages) => {
                    let at = piece.offset;
                    batch.extend(messages.into_iter().map(|message| Placed { message, at }));
                    continue;
                }
                Err(reason) => reason,
            };
            tally.rejected += 1;
            let refused = Refused {
                name: &self.source.name,
                fingerprint,
                at: piece.offset,
                event: None,
                bytes: &piece.bytes,
                len: piece.end - piece.offset,
                reason: &refused,
            };
            match dead_letter(&self.tenant, &refused, now) {
                Ok(message) => batch.push(Placed { message, at: piece.offset }),
                Err(error) => tracing::error!(%error, "dead letter cannot be written"),
            }
        }
        (batch, tally)
    }

    fn piece(
        &mut self,
        piece: &Piece,
        fingerprint: &str,
        now: Timestamp,
        tally: &mut Tally,
    ) -> Result<Vec<Publish>, String> {
        let len = piece.end - piece.offset;
        match piece.what {
            What::Line => {}
            What::TooLong => return Err(format!("line of {len} bytes is over line_bytes_max")),
            What::Broken => return Err("record was cut: its quotes do not close".to_owned()),
            What::Cut => return Err("file ended in the middle of this line".to_owned()),
        }
        let text = String::from_utf8_lossy(&piece.bytes);
        let found = match self.parser.line(&text, now).map_err(|e| e.to_string())? {
            Parsed::Events(found) => found,
            Parsed::Skipped(reason) => {
                *tally.skipped.entry(reason).or_default() += 1;
                return Ok(Vec::new());
            }
        };
        let replaced = matches!(text, Cow::Owned(_));
        let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut messages = Vec::with_capacity(found.len());
        for found in found {
            tally.ts_missing += u64::from(found.ts.is_none());
            let nth = seen.entry(found.kind).or_default();
            let id = self.id(fingerprint, piece.offset, found.kind, *nth);
            *nth += 1;
            messages.push(publish(self.event(found, id, replaced, now), self.bounds)?);
        }
        tally.events += messages.len() as u64;
        Ok(messages)
    }

    /// One line can hold several events of a kind (stacked statements): from the second on,
    /// its place counts.
    fn id(&self, fingerprint: &str, offset: u64, kind: Kind, nth: usize) -> Id {
        let (offset, nth) = (offset.to_string(), if nth > 0 { nth.to_string() } else { "".into() });
        let mut parts =
            vec![self.tenant.as_str(), &self.source.sensor, fingerprint, &offset, kind.token()];
        if !nth.is_empty() {
            parts.push(&nth);
        }
        Id::derived(&parts)
    }

    fn event(&self, found: Found, id: Id, replaced: bool, now: Timestamp) -> Event {
        let mut body = found.body;
        if replaced {
            body.0.insert("non_utf8".to_owned(), true.into());
        }
        Event {
            v: SCHEMA_VERSION,
            id,
            tenant: self.tenant.clone(),
            kind: found.kind,
            ts: found.ts.unwrap_or(now),
            received: now,
            ts_missing: found.ts.is_none(),
            replayed: false,
            source: self.source.clone(),
            causes: Vec::new(),
            trace: None,
            body,
        }
    }
}
