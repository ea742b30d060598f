//! Elements of the table's sets, as the kernel takes and gives them.
//!
//! Numbers are those of `linux/netfilter/nf_tables.h`.

use crate::Network;
use std::{net::IpAddr, time::Duration};

/// A set of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Blocked4,
    Blocked6,
    Prefixes4,
    Prefixes6,
    Slowed4,
    Slowed6,
}

impl Set {
    pub(super) const ALL: &'static [Set] = &[
        Self::Blocked4,
        Self::Blocked6,
        Self::Prefixes4,
        Self::Prefixes6,
        Self::Slowed4,
        Self::Slowed6,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Blocked4 => "blocked4",
            Self::Blocked6 => "blocked6",
            Self::Prefixes4 => "prefixes4",
            Self::Prefixes6 => "prefixes6",
            Self::Slowed4 => "slowed4",
            Self::Slowed6 => "slowed6",
        }
    }

    /// Whether its elements are ends of intervals.
    pub(super) fn is_of_intervals(self) -> bool {
        matches!(self, Self::Prefixes4 | Self::Prefixes6)
    }

    pub(super) fn slows(self) -> bool {
        matches!(self, Self::Slowed4 | Self::Slowed6)
    }
}

/// What is done with elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Add,
    Delete,
}

/// An element to add or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    network: Network,
    timeout: Option<Duration>,
}

impl Element {
    /// Without a timeout of its own.
    pub(super) fn lasting(network: Network) -> Self {
        Self { network, timeout: None }
    }

    pub(super) fn until(network: Network, timeout: Duration) -> Self {
        Self { network, timeout: Some(timeout) }
    }
}

pub(super) const NESTED: u16 = 1 << 15;
const LIST_ELEM: u16 = 1;
const ELEM_KEY: u16 = 1;
const ELEM_FLAGS: u16 = 3;
const ELEM_TIMEOUT: u16 = 4;
const ELEM_EXPIRATION: u16 = 5;
const DATA_VALUE: u16 = 1;
const INTERVAL_END: u32 = 1;

/// Appends an attribute whose value `fill` writes.
pub(super) fn attribute(buffer: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    fill(buffer);
    let length = u16::try_from(buffer.len() - start).unwrap_or(u16::MAX);
    for (at, byte) in length.to_ne_bytes().into_iter().chain(kind.to_ne_bytes()).enumerate() {
        if let Some(place) = buffer.get_mut(start + at) {
            *place = byte;
        }
    }
    while !buffer.len().is_multiple_of(4) {
        buffer.push(0);
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Appends an element; of a set of intervals, its two ends.
pub(super) fn write(buffer: &mut Vec<u8>, set: Set, element: &Element) {
    let network = &element.network;
    let mut end = |key: &[u8], flags: u32, timeout: Option<Duration>| {
        attribute(buffer, LIST_ELEM | NESTED, |buffer| {
            attribute(buffer, ELEM_KEY | NESTED, |buffer| {
                attribute(buffer, DATA_VALUE, |buffer| buffer.extend_from_slice(key));
            });
            if flags != 0 {
                attribute(buffer, ELEM_FLAGS, |b| b.extend_from_slice(&flags.to_be_bytes()));
            }
            if let Some(timeout) = timeout {
                let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
                attribute(buffer, ELEM_TIMEOUT, |b| b.extend_from_slice(&ms.to_be_bytes()));
            }
        });
    };
    end(&octets(network.first()), 0, element.timeout);
    if !set.is_of_intervals() {
        return;
    }
    // The end is the first address beyond. The last network of all has none.
    let mut beyond = octets(network.last());
    for byte in beyond.iter_mut().rev() {
        let (next, carried) = byte.overflowing_add(1);
        *byte = next;
        if !carried {
            end(&beyond, INTERVAL_END, None);
            return;
        }
    }
}

/// An element, or the end of an interval, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    key: Vec<u8>,
    is_end: bool,
    left: Option<Duration>,
}

/// The attributes of a value, by kind.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Reads the elements of a list.
pub(super) fn read(list: &[u8]) -> Vec<Told> {
    let told = |(kind, element): (u16, &[u8])| {
        let value = |of: u16| attributes(element).find(|(kind, _)| *kind == of).map(|(_, v)| v);
        let key = attributes(value(ELEM_KEY)?).find(|(kind, _)| *kind == DATA_VALUE)?.1.to_vec();
        let flags = value(ELEM_FLAGS).and_then(|v| v.try_into().ok()).map_or(0, u32::from_be_bytes);
        let left = value(ELEM_EXPIRATION).and_then(|v| v.try_into().ok()).map(u64::from_be_bytes);
        let left = left.map(Duration::from_millis);
        (kind == LIST_ELEM).then_some(Told { key, is_end: flags & INTERVAL_END != 0, left })
    };
    attributes(list).filter_map(told).collect()
}

/// The networks that a set holds, and how long each stays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) networks: Vec<(Network, Option<Duration>)>,
    /// It holds something else too.
    pub(super) strange: bool,
}

fn address(key: &[u8]) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(key).ok()?));
    let v6 = || Some(IpAddr::from(<[u8; 16]>::try_from(key).ok()?));
    v4().or_else(v6)
}

/// What elements are as networks.
pub(super) fn networks(set: Set, mut told: Vec<Told>) -> Found {
    let mut found = Found::default();
    if !set.is_of_intervals() {
        for one in told {
            let network = address(&one.key).map(single);
            found.strange |= network.is_none();
            found.networks.extend(network.map(|network| (network, one.left)));
        }
        return found;
    }
    // An end comes before a start of the same key: the former interval is over there.
    told.sort_by(|a, b| a.key.cmp(&b.key).then(b.is_end.cmp(&a.is_end)));
    let mut open: Option<Told> = None;
    for one in told.into_iter().chain([Told { key: Vec::new(), is_end: true, left: None }]) {
        if let Some(start) = open.take() {
            let last = match one.key.is_empty() {
                true => vec![u8::MAX; start.key.len()],
                false => before(&one.key),
            };
            let ends = address(&start.key).zip(address(&last));
            let network = ends.and_then(|(first, last)| Network::between(first, last));
            found.strange |= network.is_none();
            found.networks.extend(network.map(|network| (network, start.left)));
        }
        open = (!one.is_end).then_some(one);
    }
    found
}

/// What a single element of a hash set blocks: an address of IPv4, a /64 of IPv6.
fn single(address: IpAddr) -> Network {
    Network::blocked_with(address)
}

fn before(key: &[u8]) -> Vec<u8> {
    let mut key = key.to_vec();
    for byte in key.iter_mut().rev() {
        let (next, borrowed) = byte.overflowing_sub(1);
        *byte = next;
        if !borrowed {
            break;
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(set: Set, texts: &[&str]) -> Vec<String> {
        let mut buffer = Vec::new();
        for text in texts {
            write(&mut buffer, set, &Element::lasting(text.parse().unwrap()));
        }
        let found = networks(set, read(&buffer));
        assert!(!found.strange, "{texts:?}");
        let mut names: Vec<String> = found.networks.iter().map(|(n, _)| n.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_written_is_read_back() {
        let v4 = ["192.0.2.1", "203.0.113.9"];
        assert_eq!(there_and_back(Set::Blocked4, &v4), v4);
        let v6 = ["2001:db8:1:2::/64", "2001:db8:1:3::/64"];
        assert_eq!(there_and_back(Set::Blocked6, &v6), v6);
        // Two that touch, and the last of all, which has no end.
        let networks = ["192.0.2.0/24", "192.0.3.0/24", "255.255.255.0/24"];
        assert_eq!(there_and_back(Set::Prefixes4, &networks), networks);
        let networks = ["2001:db8::/48", "ffff::/16"];
        assert_eq!(there_and_back(Set::Prefixes6, &networks), networks);
    }

    #[test]
    fn an_interval_that_is_no_network_is_strange() {
        let told = |last: u8, is_end| Told { key: vec![192, 0, 2, last], is_end, left: None };
        assert!(networks(Set::Prefixes4, vec![told(1, false), told(4, true)]).strange);
        assert!(!networks(Set::Prefixes4, vec![told(4, false), told(8, true)]).strange);
    }

    #[test]
    fn bytes_that_are_no_attributes_end_the_reading() {
        for bytes in [&[][..], &[1], &[0, 0, 0, 0], &[255, 255, 1, 0, 7], &[3, 0, 1, 0]] {
            assert_eq!(read(bytes), []);
        }
    }
}
