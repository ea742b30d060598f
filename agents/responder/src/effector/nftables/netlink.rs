//! Messages to the kernel's nf_tables, and its answers.
//!
//! Numbers are those of `linux/netfilter/nfnetlink.h` and `linux/netfilter/nf_tables.h`.

use super::elements::{self, Element, Found, NESTED, Put, Set, attribute, attributes};
use crate::kernel::{
    self, ACK, DONE, DUMP, ERROR, INTERRUPTED, Link, REQUEST, code, overwrite, refused, said,
};
use netlink_sys::protocols::NETLINK_NETFILTER;

const CREATE: u16 = 0x400;

const NF_TABLES: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const DELETE_TABLE: u16 = NF_TABLES << 8 | 2;
const GET_RULE: u16 = NF_TABLES << 8 | 7;
const NEW_ELEMENTS: u16 = NF_TABLES << 8 | 12;
const GET_ELEMENTS: u16 = NF_TABLES << 8 | 13;
const DELETE_ELEMENTS: u16 = NF_TABLES << 8 | 14;
const GET_GENERATION: u16 = NF_TABLES << 8 | 16;
const GENERATION_ID: u16 = 1;
/// Family `inet`: IPv4 and IPv6.
const INET: u8 = 1;

const TABLE_NAME: u16 = 1;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;

const ENOENT: i32 = 2;

/// Elements in one message: an attribute has at most 65535 bytes.
const MESSAGE_ELEMENTS_MAX: usize = 500;
/// Attempts at an answer of one moment.
const ATTEMPTS: u32 = 10;

/// A transaction that is being written.
pub(super) struct Batch {
    buffer: Vec<u8>,
    seq: u32,
    /// Where the newest message begins.
    last: Option<usize>,
}

impl Batch {
    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        let (family, resource) = match kind {
            BATCH_BEGIN | BATCH_END => (0, NF_TABLES),
            _ => (INET, 0),
        };
        message(&mut self.buffer, (kind, flags, self.seq), (family, resource), fill);
        self.seq = self.seq.wrapping_add(1);
        self.last = Some(start);
    }

    /// Adds or deletes elements of a set.
    pub(super) fn elements(&mut self, table: &str, set: Set, put: Put, elements: &[Element]) {
        let (kind, flags) = match put {
            Put::Add => (NEW_ELEMENTS, REQUEST | CREATE),
            Put::Delete => (DELETE_ELEMENTS, REQUEST),
        };
        for chunk in elements.chunks(MESSAGE_ELEMENTS_MAX) {
            self.message(kind, flags, |buffer| {
                text(buffer, LIST_TABLE, table);
                text(buffer, LIST_SET, set.name());
                attribute(buffer, LIST_ELEMENTS | NESTED, |buffer| {
                    for element in chunk {
                        elements::write(buffer, set, element);
                    }
                });
            });
        }
    }
}

/// Appends a text as the kernel wants it: with a zero at its end.
fn text(buffer: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(buffer, kind, |buffer| {
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(0);
    });
}

/// Appends a message with its family and resource.
fn message(
    buffer: &mut Vec<u8>,
    head: (u16, u16, u32),
    (family, resource): (u8, u16),
    fill: impl FnOnce(&mut Vec<u8>),
) {
    kernel::message(buffer, head, |buffer| {
        buffer.extend_from_slice(&[family, 0]);
        buffer.extend_from_slice(&resource.to_be_bytes());
        fill(buffer);
    });
}

/// The connection to nf_tables of this process's network namespace.
pub(super) struct Netlink(Link);

impl Netlink {
    pub(super) fn open() -> std::io::Result<Self> {
        Link::open(NETLINK_NETFILTER).map(Self)
    }

    pub(super) fn batch(&mut self) -> Batch {
        let mut batch = Batch { buffer: Vec::new(), seq: self.0.seq, last: None };
        batch.message(BATCH_BEGIN, REQUEST, |_| {});
        batch.last = None;
        batch
    }

    /// Carries out a transaction: all of it, or nothing.
    pub(super) fn commit(&mut self, mut batch: Batch) -> Result<(), String> {
        let Some(last) = batch.last else { return Ok(()) };
        // One answer, after all else has been looked at.
        let flags = flags_at(&batch.buffer, last) | ACK;
        overwrite(&mut batch.buffer, last + 6, &flags.to_ne_bytes());
        let awaited = batch.seq.wrapping_sub(1);
        batch.message(BATCH_END, REQUEST, |_| {});
        let first = std::mem::replace(&mut self.0.seq, batch.seq);
        self.0.send(&batch.buffer)?;
        let mut wrong = None;
        loop {
            let answer = self.0.receive()?;
            for said in said(&answer).filter(|said| said.kind == ERROR) {
                if code(&said) != 0 {
                    wrong = wrong.or(Some(code(&said)));
                }
                if said.seq == awaited || (said.seq == first && wrong.is_some()) {
                    return wrong.map_or(Ok(()), |code| Err(refused(code)));
                }
            }
        }
    }

    /// A number that every change of any table of this network namespace raises by one.
    pub(super) fn generation(&mut self) -> Result<u32, String> {
        let seq = self.0.next();
        let mut buffer = Vec::new();
        message(&mut buffer, (GET_GENERATION, REQUEST, seq), (0, 0), |_| {});
        self.0.send(&buffer)?;
        let answer = self.0.receive()?;
        let told = said(&answer).find(|said| said.seq == seq && said.kind != ERROR);
        let value = told.and_then(|said| {
            let found = attributes(said.body.get(4..)?).find(|(kind, _)| *kind == GENERATION_ID);
            Some(u32::from_be_bytes(found?.1.try_into().ok()?))
        });
        value.ok_or_else(|| "the kernel did not tell its generation".to_owned())
    }

    /// Asks for all of something, and shows each message of the answer.
    fn dump(
        &mut self,
        kind: u16,
        fill: impl Fn(&mut Vec<u8>),
        mut show: impl FnMut(&[u8]),
    ) -> Result<(), Dump> {
        let seq = self.0.next();
        let mut buffer = Vec::new();
        message(&mut buffer, (kind, REQUEST | DUMP, seq), (INET, 0), |b| fill(b));
        self.0.send(&buffer).map_err(Dump::Failed)?;
        let mut interrupted = false;
        loop {
            let answer = self.0.receive().map_err(Dump::Failed)?;
            for said in said(&answer).filter(|said| said.seq == seq) {
                interrupted |= said.flags & INTERRUPTED != 0;
                match said.kind {
                    DONE if interrupted => return Err(Dump::Interrupted),
                    DONE => return Ok(()),
                    ERROR => return Err(Dump::Failed(refused(code(&said)))),
                    _ => show(said.body.get(4..).unwrap_or_default()),
                }
            }
        }
    }

    /// As [`Self::dump`], until the answer is of one moment.
    fn whole<T: Default>(
        &mut self,
        kind: u16,
        fill: impl Fn(&mut Vec<u8>),
        show: impl Fn(&mut T, &[u8]),
    ) -> Result<T, String> {
        for _ in 0..ATTEMPTS {
            let mut found = T::default();
            match self.dump(kind, &fill, |body| show(&mut found, body)) {
                Ok(()) => return Ok(found),
                Err(Dump::Interrupted) => {}
                Err(Dump::Failed(why)) => return Err(why),
            }
        }
        Err(format!("the tables changed during each of {ATTEMPTS} looks at them"))
    }

    /// What a set holds.
    pub(super) fn list(&mut self, table: &str, set: Set) -> Result<Found, String> {
        let ask = |buffer: &mut Vec<u8>| {
            text(buffer, LIST_TABLE, table);
            text(buffer, LIST_SET, set.name());
        };
        let told = self.whole(GET_ELEMENTS, ask, |told: &mut Vec<_>, body| {
            let lists = attributes(body).filter(|(kind, _)| *kind == LIST_ELEMENTS);
            told.extend(lists.flat_map(|(_, list)| elements::read(list)));
        })?;
        Ok(elements::networks(set, told))
    }

    /// Empties a set.
    pub(super) fn flush(&mut self, table: &str, set: Set) -> Result<(), String> {
        let mut batch = self.batch();
        batch.message(DELETE_ELEMENTS, REQUEST, |buffer| {
            text(buffer, LIST_TABLE, table);
            text(buffer, LIST_SET, set.name());
        });
        self.commit(batch)
    }

    /// The rules of a table, chain by chain, as bytes to be compared.
    pub(super) fn rules(&mut self, table: &str) -> Result<Vec<u8>, String> {
        let ask = |buffer: &mut Vec<u8>| text(buffer, RULE_TABLE, table);
        let is_ours = |value: &[u8]| value.strip_suffix(&[0]) == Some(table.as_bytes());
        self.whole(GET_RULE, ask, |rules: &mut Vec<u8>, body| {
            if !attributes(body).any(|(kind, value)| kind == RULE_TABLE && is_ours(value)) {
                return;
            }
            let told = [RULE_CHAIN, RULE_EXPRESSIONS];
            for (_, value) in attributes(body).filter(|(kind, _)| told.contains(kind)) {
                rules.extend_from_slice(value);
            }
        })
    }

    /// Takes a table away, if it is there.
    pub(super) fn delete_table(&mut self, table: &str) -> Result<(), String> {
        let mut batch = self.batch();
        batch.message(DELETE_TABLE, REQUEST, |buffer| text(buffer, TABLE_NAME, table));
        match self.commit(batch) {
            Err(why) if why == refused(ENOENT) => Ok(()),
            done => done,
        }
    }
}

/// Why there is no answer to use.
enum Dump {
    Interrupted,
    Failed(String),
}

fn flags_at(buffer: &[u8], message: usize) -> u16 {
    let flags = buffer.get(message + 6..message + 8).and_then(|b| b.try_into().ok());
    flags.map_or(0, u16::from_ne_bytes)
}
