//! Messages to the kernel by netlink, and its answers.
//!
//! Numbers are those of `linux/netlink.h`.

use netlink_sys::Socket;

pub(crate) const REQUEST: u16 = 1;
pub(crate) const ACK: u16 = 4;
pub(crate) const DUMP: u16 = 0x300;
/// The kernel's answer was not of one moment.
pub(crate) const INTERRUPTED: u16 = 0x10;
pub(crate) const ERROR: u16 = 2;
pub(crate) const DONE: u16 = 3;

/// The kernel fills its answers as far as the reader has room: 32 KiB is all that it makes use of.
/// Each goes through the set from its beginning, so few and large ones matter.
const ANSWER_BYTES: usize = 64 << 10;

/// Appends a message: its kind, flags and number, and what `fill` writes.
pub(crate) fn message(
    buffer: &mut Vec<u8>,
    (kind, flags, seq): (u16, u16, u32),
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(&flags.to_ne_bytes());
    buffer.extend_from_slice(&seq.to_ne_bytes());
    buffer.extend_from_slice(&[0; 4]);
    fill(buffer);
    let length = u32::try_from(buffer.len() - start).unwrap_or(u32::MAX);
    overwrite(buffer, start, &length.to_ne_bytes());
}

/// Writes bytes over those that begin at a place.
pub(crate) fn overwrite(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in buffer.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}

/// A message of the kernel's.
pub(crate) struct Said<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) body: &'a [u8],
}

/// The messages of an answer.
pub(crate) fn said(mut bytes: &[u8]) -> impl Iterator<Item = Said<'_>> {
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
pub(crate) fn code(said: &Said<'_>) -> i32 {
    let code = said.body.get(..4).and_then(|b| b.try_into().ok()).map_or(-1, i32::from_ne_bytes);
    -code
}

/// An error in words.
pub(crate) fn refused(code: i32) -> String {
    format!("the kernel refused it: {}", std::io::Error::from_raw_os_error(code))
}

/// A connection to a part of the kernel, in this process's network namespace.
pub(crate) struct Link {
    socket: Socket,
    /// Number of the next request.
    pub(crate) seq: u32,
}

impl Link {
    /// To the part that answers to a protocol of netlink.
    pub(crate) fn open(protocol: isize) -> std::io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // The answer to a request lies there when the request has been taken.
        socket.set_non_blocking(true)?;
        // An error does not repeat the request.
        socket.set_cap_ack(true)?;
        Ok(Self { socket, seq: 1 })
    }

    /// The number of one more request.
    pub(crate) fn next(&mut self) -> u32 {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        seq
    }

    /// Sends requests.
    pub(crate) fn send(&mut self, buffer: &[u8]) -> Result<(), String> {
        // What an interrupted request left is of no use to this one.
        while self.receive().is_ok() {}
        let sent = self.socket.send(buffer, 0).map_err(|e| format!("netlink: {e}"))?;
        if sent == buffer.len() { Ok(()) } else { Err("netlink took a part only".to_owned()) }
    }

    /// What the kernel says next.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES);
        let got = self.socket.recv(&mut bytes, 0);
        got.map_err(|e| format!("netlink gave no answer: {e}"))?;
        Ok(bytes)
    }
}
