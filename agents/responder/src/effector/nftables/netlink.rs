//! Messages to the kernel's nf_tables, and its answers.
//!
//! Numbers are those of `linux/netlink.h`, `linux/netfilter/nfnetlink.h` and
//! `linux/netfilter/nf_tables.h`.

use super::elements::{self, Element, Found, NESTED, Put, Set, attribute, attributes};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
/// The kernel's answer was not of one moment.
const INTERRUPTED: u16 = 0x10;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The kernel fills its answers as far as the reader has room: 32 KiB is all that it makes use of.
/// Each goes through the set from its beginning, so few and large ones matter.
const ANSWER_BYTES: usize = 64 << 10;

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

/// Appends a message.
fn message(
    buffer: &mut Vec<u8>,
    (kind, flags, seq): (u16, u16, u32),
    (family, resource): (u8, u16),
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(&flags.to_ne_bytes());
    buffer.extend_from_slice(&seq.to_ne_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&[family, 0]);
    buffer.extend_from_slice(&resource.to_be_bytes());
    fill(buffer);
    let length = u32::try_from(buffer.len() - start).unwrap_or(u32::MAX);
    overwrite(buffer, start, &length.to_ne_bytes());
}

fn overwrite(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in buffer.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}

/// A message of the kernel's.
struct Said<'a> {
    kind: u16,
    flags: u16,
    seq: u32,
    body: &'a [u8],
}

fn said(mut bytes: &[u8]) -> impl Iterator<Item = Said<'_>> {
    std::iter::from_fn(move || {
        let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let length = usize::try_from(number(0)?).ok()?;
        let body = bytes.get(16..length)?;
        let one = Said { kind: half(4)?, flags: half(6)?, seq: number(8)?, body };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(one)
    })
}

/// The error of an answer; 0 where all is well.
fn code(said: &Said<'_>) -> i32 {
    let code = said.body.get(..4).and_then(|b| b.try_into().ok()).map_or(-1, i32::from_ne_bytes);
    -code
}

/// The connection to nf_tables of this process's network namespace.
pub(super) struct Netlink {
    socket: Socket,
    seq: u32,
}

impl Netlink {
    pub(super) fn open() -> std::io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        // The answer to a request lies there when the request has been taken.
        socket.set_non_blocking(true)?;
        // An error does not repeat the request.
        socket.set_cap_ack(true)?;
        Ok(Self { socket, seq: 1 })
    }

    pub(super) fn batch(&mut self) -> Batch {
        let mut batch = Batch { buffer: Vec::new(), seq: self.seq, last: None };
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
        let first = std::mem::replace(&mut self.seq, batch.seq);
        self.send(&batch.buffer)?;
        let mut wrong = None;
        loop {
            let answer = self.receive()?;
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

    fn send(&mut self, buffer: &[u8]) -> Result<(), String> {
        // What an interrupted request left is of no use to this one.
        while self.receive().is_ok() {}
        let sent = self.socket.send(buffer, 0).map_err(|e| format!("netlink: {e}"))?;
        if sent == buffer.len() { Ok(()) } else { Err("netlink took a part only".to_owned()) }
    }

    fn receive(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES);
        let got = self.socket.recv(&mut bytes, 0);
        got.map_err(|e| format!("netlink gave no answer: {e}"))?;
        Ok(bytes)
    }

    /// A number that every change of any table of this network namespace raises by one.
    pub(super) fn generation(&mut self) -> Result<u32, String> {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        let mut buffer = Vec::new();
        message(&mut buffer, (GET_GENERATION, REQUEST, seq), (0, 0), |_| {});
        self.send(&buffer)?;
        let answer = self.receive()?;
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
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        let mut buffer = Vec::new();
        message(&mut buffer, (kind, REQUEST | DUMP, seq), (INET, 0), |b| fill(b));
        self.send(&buffer).map_err(Dump::Failed)?;
        let mut interrupted = false;
        loop {
            let answer = self.receive().map_err(Dump::Failed)?;
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

fn refused(code: i32) -> String {
    format!("the kernel refused it: {}", std::io::Error::from_raw_os_error(code))
}
